//! CAML's transformer against PyTorch's tensors in f64, on the device; and its checkpoints, sound, damaged and flipped.

use crate::common;
use crate::common::caml::{Named as Weight, asked, by_hand, changed, file, hash_weights, upside_down};
use crate::common::program::no_gpu;
use crate::common::skip::{MINUTES, skip, this_test};
use crate::common::sweep::{full, gpu};
use crate::common::torch::{Entry, record, state_dict, zip};
use crate::common::vectors::{Vectors, close};
use lupe::data::{Filter, Scaling};
use lupe::engine::form::typical;
use lupe::engine::lower::lower_by;
use lupe::engine::{Choices, Graph, Named, Options, Scope, Store, Var};
use lupe::memory::{held_memory, peak_memory};
use lupe::methods::caml::{Average, Config, Learner, Many, Planned, Verdict, Ways, self_test};
use lupe::methods::episodes::Learner as _;
use lupe::models::caml::{Caml, Checkpoint, RELEASED};
use lupe::tensor::Tensor;
use pollster::block_on;
use std::time::Instant;

const EPISODES: [&str; 4] = ["w5s2", "w2_3good_1bad", "w3_unsorted", "w2s1_labels13"];

fn rows(t: &Tensor) -> Vec<&[f32]> {
    t.data.chunks_exact(t.shape.last()).collect()
}

fn tiny(v: &Vectors) -> Vec<Weight> {
    v.named("w:").into_iter().map(|(name, t)| (name, (*t).clone())).collect()
}

fn read(tensors: &[Weight], heads: usize) -> Checkpoint {
    Checkpoint::read(&file(tensors), "model.pth", heads).unwrap()
}

/// Logits of some queries at a time.
fn logits(c: &Checkpoint, support: (&[&[f32]], &[usize]), queries: &[&[f32]], at_once: usize) -> Vec<Vec<f32>> {
    let sizes = [support.0.len(), at_once];
    let planned = block_on(Planned::new(gpu(), c, sizes, (&Store::new(), Options::default()))).unwrap();
    planned.logits(support.0, support.1, queries).unwrap()
}

fn config(average: Average, many: Option<Many>) -> Config {
    Config { place: "cls".into(), size: 224, crop: false, average, many, reversed: false }
}

fn names(n: usize) -> Vec<String> {
    (0..n).map(|i| format!("class {i}")).collect()
}

#[test]
fn a_tiny_one_with_unequal_unsorted_and_absent_labels() {
    if no_gpu() {
        return;
    }
    let v = Vectors::open("caml_tiny.safetensors");
    let checkpoint = read(&tiny(&v), 4);
    assert_eq!(checkpoint.caml, Caml { features: 24, code: 8, labels: 5, depth: 2, heads: 4, mlp: 64 });
    for episode in EPISODES {
        let of = |part: &str| v.get(&format!("{episode}.{part}"));
        let (support, queries, want) = (of("support"), of("query"), of("logits"));
        let labels: Vec<usize> = of("labels").data.iter().map(|l| *l as usize).collect();
        let (support, queries) = (rows(&support), rows(&queries));
        let got = logits(&checkpoint, (&support, &labels), &queries, 3);
        close(episode, &got.concat(), &want.data, 2e-5);
        // Alone, in pairs or with empty ones: the same bits.
        for at_once in [1, 2, 7] {
            let other = logits(&checkpoint, (&support, &labels), &queries, at_once);
            assert!(other == got, "{episode}: {at_once} queries at a time");
        }
        // In another order: the same to rounding.
        let turned: (Vec<&[f32]>, Vec<usize>) = support.iter().zip(&labels).rev().unzip();
        let other = logits(&checkpoint, (&turned.0, &turned.1), &queries, 3);
        close(&format!("{episode} backwards"), &other.concat(), &got.concat(), 2e-6);
        masked(&of("probs_masked"), &labels, &got);
    }
}

/// Probabilities of the labels that are there; what the logits of others are does not matter.
fn masked(want: &Tensor, labels: &[usize], logits: &[Vec<f32>]) {
    let mut there = labels.to_vec();
    there.sort_unstable();
    there.dedup();
    let ways = Ways::new(&names(there.len()), 5, &config(Average::First(1), None)).unwrap();
    for (row, want) in logits.iter().zip(want.data.chunks(5)) {
        let own: Vec<f32> = (0..5).map(|l| there.get(l).map_or(50.0, |l| row[*l])).collect();
        let got: Vec<f32> = ways.log_probabilities(&[&own]).iter().map(|l| l.exp() as f32).collect();
        assert!((got.iter().sum::<f32>() - 1.0).abs() < 1e-6 && got.len() == there.len());
        close("masked", &got, &there.iter().map(|l| want[*l]).collect::<Vec<_>>(), 2e-5);
        assert!((0..5).filter(|l| !there.contains(l)).all(|l| want[l] == 0.0));
    }
}

/// The stored codes are what is used, times their scale; they are what the reference calls equally long and at equal angles.
#[test]
fn codes_come_from_the_checkpoint() {
    let v = Vectors::open("elmes.safetensors");
    let checkpoint = read(&tiny(&Vectors::open("caml_tiny.safetensors")), 4);
    let (codes, stored) = (checkpoint.codes(), v.get("elmes_p8_C5"));
    assert_eq!(codes.data, stored.data.iter().map(|c| 1.25 * c).collect::<Vec<_>>());
    for (name, gram, n, p) in [
        ("elmes_p8_C5", "gram_p8_C5", 5, 8),
        ("elmes_p256_C5", "gram_p256_C5", 5, 256),
        ("elmes_p16_C10", "gram_p16_C10", 10, 16),
    ] {
        let codes = v.get(name);
        let dot = |i: usize| (0..p).map(|k| codes.data[i / n * p + k] * codes.data[i % n * p + k]).sum::<f32>();
        close(gram, &(0..n * n).map(dot).collect::<Vec<_>>(), &v.get(gram).data, 1e-6);
    }
    let caml = checkpoint.caml;
    let (one, two) = ([1.0; 24], [2.0; 24]);
    let support = caml.support(&[&one[..], &two[..]], &[3, 0], &codes);
    assert_eq!(support.shape.dims(), [2, 32]);
    assert_eq!((&support.data[..24], &support.data[24..32]), (&one[..], &codes.data[24..32]));
    assert_eq!((&support.data[32..56], &support.data[56..]), (&two[..], &codes.data[..8]));
}

/// Wrappers, the older names, and what belongs to an encoder; as an archive of PyTorch's, too.
#[test]
fn a_checkpoint_is_read_however_it_is_spelled() {
    let tensors = tiny(&Vectors::open("caml_tiny.safetensors"));
    let plain = read(&tensors, 4);
    let encoder = ("feature_extractor.conv1.weight".to_string(), Tensor::zeros([2, 3, 1, 1]));
    let respelled =
        |name: &str| format!("module.{name}").replace("mlp.0", "mlp.linear_1").replace("mlp.3", "mlp.linear_2");
    let mut other: Vec<Weight> = tensors.iter().map(|(name, t)| (respelled(name), t.clone())).collect();
    other.push(encoder);
    let read_other = read(&other, 4);
    assert!(read_other.weights.sha256() == plain.weights.sha256() && read_other.caml == plain.caml);
    assert!(plain.weights.notes().is_empty());
    assert!(
        read_other.weights.notes()[0].starts_with("1 tensors of the checkpoint are outside of transformer_encoder")
    );
    let entry = |(i, (name, t)): (usize, &Weight)| Entry::new(name, t.shape.dims(), "FloatStorage", &i.to_string());
    let entries: Vec<Entry> = tensors.iter().enumerate().map(entry).collect();
    let mut records = vec![record("model/data.pkl", &state_dict(&entries)), record("model/byteorder", b"little")];
    for (i, (_, t)) in tensors.iter().enumerate() {
        let bytes: Vec<u8> = t.data.iter().flat_map(|v| v.to_le_bytes()).collect();
        records.push(record(&format!("model/data/{i}"), &bytes));
    }
    let archive = Checkpoint::read(&zip(&records), "model.pth", 4).unwrap();
    assert_eq!(archive.weights.sha256(), plain.weights.sha256());
}

#[test]
fn what_is_no_checkpoint_is_told() {
    let tensors = tiny(&Vectors::open("caml_tiny.safetensors"));
    let said = |tensors: &[Weight], heads| Checkpoint::read(&file(tensors), "x.pth", heads).unwrap_err().to_string();
    let without =
        |end: &str| -> Vec<Weight> { tensors.iter().filter(|(name, _)| !name.ends_with(end)).cloned().collect() };
    let told = said(&without("encoder_layer_1.mlp.3.bias"), 4);
    assert!(
        told.ends_with("x.pth: transformer_encoder.encoder.layers.encoder_layer_1.mlp.3.bias [32] is missing"),
        "{told}"
    );
    for end in ["output_proj.weight", "encoder_layer_0.mlp.0.weight"] {
        let told = said(&without(end), 4);
        assert!(told.contains(end) && told.ends_with("is missing"), "{told}");
    }
    let told = said(&without("label_elmes"), 4);
    assert!(told.contains("not a checkpoint of CAML") && told.contains("given by --weights"), "{told}");
    let told = said(&changed(&tensors, "layer_0.ln_1.bias", |_| Tensor::zeros([31])), 4);
    assert!(told.contains("encoder_layer_0.ln_1.bias has shape [31], expected [32]"), "{told}");
    let more = |name: &str| [&tensors[..], &[(name.to_string(), Tensor::zeros([24, 24]))]].concat();
    let told = said(&more("transformer_encoder.feature_proj.weight"), 4);
    assert!(told.contains("feature_proj.weight is not part of CAML as released"), "{told}");
    let told = said(&more("transformer_encoder.encoder.layers.encoder_layer_900.x"), 4);
    assert!(told.contains("names block 900"), "{told}");
    let told = said(&more("other.label_elmes"), 4);
    assert!(told.contains("has label_elmes both in other. and in transformer_encoder."), "{told}");
    assert!(said(&tensors, 5).contains("tokens of 32 values cannot be shared by 5 heads"));
    let told = said(&changed(&tensors, "layer_1.ln_2.bias", |t| Tensor::from_fn(t.shape, |_| f32::NAN)), 4);
    assert!(told.contains("contains a number that is not finite"), "{told}");
}

#[test]
fn a_flipped_checkpoint_is_found_by_what_it_says() {
    if no_gpu() {
        return;
    }
    let (caml, sound) = by_hand(128);
    let test = |tensors: &[Weight], reversed| {
        let checkpoint = read(tensors, 16);
        assert_eq!(checkpoint.caml, caml);
        block_on(self_test(gpu(), &checkpoint, reversed, Options::default())).unwrap()
    };
    let flipped = changed(&sound, "output_proj.weight", upside_down);
    assert_eq!((test(&sound, false), test(&sound, true)), (Verdict::Sound, Verdict::Flipped));
    assert_eq!((test(&flipped, false), test(&flipped, true)), (Verdict::Flipped, Verdict::Sound));
    let blind = changed(&sound, "output_proj.weight", |t| Tensor::zeros(t.shape));
    assert_eq!(test(&blind, false), Verdict::Other(vec![0; 5]));
}

/// On an adapter with WebGPU's base limits: every weight is bound by itself, and as many tokens go through the transformer together as
/// half of a binding takes. In front of it are 113 supports of 35 pictures, as subsets of nine classes have them.
#[test]
fn no_value_of_a_released_size_is_larger_than_a_binding() {
    let shapes = RELEASED.map(|r| Caml { features: r.features, code: 256, labels: 5, depth: 1, heads: 16, mlp: 4096 });
    for (caml, caps) in shapes.iter().flat_map(|caml| typical().into_iter().map(move |a| (caml, a.1))) {
        let (graph, none) = (Graph::new(), Named::new());
        let queries = graph.input("queries", [1, caml.features]);
        let supports: Vec<Var> = (0..113).map(|_| graph.input("support", [35, caml.width()])).collect();
        let logits = caml.logits(queries, &supports, &Scope::new(&graph, &none));
        assert_eq!(logits.shape().dims(), [113, 5]);
        let lowered = lower_by(&graph, &[logits], &caps, &Choices::First).unwrap();
        let largest = lowered.values.iter().map(|v| 4 * v.shape.len()).max().unwrap();
        assert!((113 * 36 * 4096 * 4..=128 << 20).contains(&largest), "{largest} bytes in {caml:?}");
    }
}

/// As timm prepares pictures for the encoders that checkpoints were trained on.
#[test]
fn pictures_are_cropped_as_the_authors_do() {
    for (released, edge) in RELEASED.iter().zip([248, 224, 235]) {
        let encoder = lupe::models::named(released.encoder).unwrap();
        let own = Config { crop: true, ..config(Average::All, None) }.preprocess(encoder);
        assert_eq!((own.scaling, own.crop), (Some(Scaling::ShortEdge(edge)), Some([224; 2])), "{}", released.name);
        assert_eq!(own.filter, Filter::Bicubic, "{}", released.name);
        let whole = config(Average::All, None).preprocess(encoder);
        assert_eq!(whole.scaling, Some(Scaling::Square(224)), "{}", released.name);
    }
}

/// A learner of episodes answers as the transformer does, averages and shares out as asked.
#[test]
fn a_learner_of_episodes() {
    if no_gpu() {
        return;
    }
    let v = Vectors::open("caml_tiny.safetensors");
    let checkpoint = read(&tiny(&v), 4);
    let (support, queries) = (v.get("w5s2.support"), v.get("w5s2.query"));
    let (support, queries) = (rows(&support), rows(&queries));
    let by_class: Vec<Vec<&[f32]>> = support.chunks(2).map(<[&[f32]]>::to_vec).collect();
    let learner = |classes: usize, labels, config: &Config| {
        let ways = Ways::new(&names(classes), labels, config).unwrap();
        let options = Options::default();
        let supports = [1, 2].map(|shots| vec![shots; classes]);
        block_on(Learner::new(gpu(), &checkpoint, ways, (&supports, 2), &options)).unwrap()
    };
    let probabilities = |logs: &[Vec<f64>]| logs.iter().flatten().map(|l| l.exp() as f32).collect::<Vec<_>>();
    let mut five = learner(5, 5, &config(Average::First(1), None));
    let got = probabilities(&five.logits(&by_class, &queries).unwrap());
    close("episode", &got, &v.get("w5s2.probs_masked").data, 2e-5);
    let ones: Vec<Vec<&[f32]>> = by_class.iter().map(|c| c[..1].to_vec()).collect();
    assert!(probabilities(&five.logits(&ones, &queries).unwrap()) != got, "another number of shots");
    // With five classes and labels, averaging over all orders makes the order of the classes irrelevant.
    let all = config(Average::All, None);
    let two = |classes: [usize; 2]| {
        let own: Vec<Vec<&[f32]>> = classes.iter().map(|c| by_class[*c].clone()).collect();
        probabilities(&learner(2, 5, &all).logits(&own, &queries).unwrap())
    };
    let [one, other] = [two([1, 3]), two([3, 1])];
    let turned: Vec<f32> = other.chunks(2).flat_map(|p| [p[1], p[0]]).collect();
    close("both orders", &turned, &one, 2e-6);
    let six = [&by_class[..], &by_class[..1]].concat();
    let mut subsets = learner(6, 5, &config(Average::First(1), Some(Many::Subsets)));
    let got = subsets.logits(&six, &queries).unwrap();
    assert!(got.iter().all(|p| (p.iter().map(|l| l.exp()).sum::<f64>() - 1.0).abs() < 1e-9));
}

/// 302 million parameters as released, within 6 GB.
#[test]
fn the_large_one_with_hash_weights() {
    if no_gpu() {
        return;
    }
    if !full() {
        return skip(&this_test(), MINUTES);
    }
    let large = Caml { features: 768, code: 256, labels: 5, depth: 24, heads: 16, mlp: 4096 };
    let all: usize = asked(&large).iter().map(|(_, shape)| shape.len()).sum();
    assert_eq!(all - 5 * 256, 302_316_801, "the codes are not trained");
    let codes = Vectors::open("elmes.safetensors").get("elmes_p256_C5");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    std::fs::write(&path, file(&hash_weights(&large, &codes))).unwrap();
    let checkpoint = Checkpoint::open(&path, 16).unwrap();
    assert_eq!(checkpoint.caml, large);
    let input = |name: &str, n: usize| common::hash::tensor(&format!("input:{name}"), [n, 768], 1.0, 0.0);
    let (support, queries) = (input("caml_support", 10), input("caml_query", 3));
    let labels: Vec<usize> = (0..10).map(|i| i / 5).collect();
    let want = Vectors::open("full_models_hash_weights.safetensors").get("caml_large.logits");
    let made = peak_memory();
    let (store, (support, labels)) = (Store::new(), (rows(&support), labels));
    for at_once in [1, 16] {
        let sizes = [10, at_once];
        let planned = block_on(Planned::new(gpu(), &checkpoint, sizes, (&store, Options::default()))).unwrap();
        let run = || planned.logits(&support, &labels, &rows(&queries)).unwrap();
        let got = run();
        close("caml_large", &got.concat(), &want.data, 5e-4);
        let since = Instant::now();
        assert!(run() == got);
        let seconds = since.elapsed().as_secs_f64() / if at_once == 1 { 3.0 } else { 16.0 };
        println!("{at_once} queries a run: {seconds:.2} s a query, {:.1} GMAC/s", 3.33 / seconds);
    }
    let peak = peak_memory();
    println!("peak memory {peak:?} bytes, before the plans {made:?}; held {:?}", held_memory());
    assert!(peak.is_none_or(|bytes| bytes < 6_000_000_000), "{peak:?} bytes");
}
