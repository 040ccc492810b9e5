//! P>M>F's fine-tuning: PyTorch's steps, pictures a few at a time, and from pictures to a model by the command.

use crate::common::parts::{part, spoiled, verb};
use crate::common::program::{Bench, done, no_gpu, refused, text};
use crate::common::skip::{MINUTES, skip, without_device};
use crate::common::sweep::gpu;
use crate::common::thin;
use crate::common::vectors::{Vectors, close, nhwc};
use crate::common::vit::TINY;
use lupe::engine::{Graph, Named, Options, Parameters, Scope, Store};
use lupe::methods::prototype::ModelFile;
use lupe::methods::prototype::finetune::{Backbone, Classes, Finetune, Ground, Tuner, loss};
use lupe::methods::prototype::head::{Distance, Head};
use lupe::models::vit::{Head as VitHead, Vit};
use lupe::models::{EMBEDDED, Network, Positions, named, stand_in, unfolded};
use lupe::tensor::Tensor;
use lupe::train::{Job, Learning, Rate, Rule, Trainer, learn};
use lupe::watch::Unwatched;
use lupe::weights::WeightsFile;
use pollster::block_on;
use std::fs;
use std::path::PathBuf;

/// Runs PyTorch's three steps with an optimiser; losses, and some weights after each.
fn steps(prefix: &str, rule: Rule, rate: f64) {
    let file = Vectors::open("pmf_step.safetensors");
    let named = file.named("w:backbone.");
    let labels: Vec<usize> = file.get("labels").data.iter().map(|l| *l as usize).collect();
    let support = Classes { labels, size: [32; 2] };
    let learning = Learning { rule, rate: Rate::Constant(rate), clip: None };
    let (graph, store) = (Graph::new(), Store::new());
    let trained = Parameters::new(&named, rule.slots(), |_| true);
    let own = nhwc(&file.get("support"));
    let pictures = graph.input("pictures", [10, 32, 32, 3]);
    let places = Vit { head: VitHead::None, ..TINY }.places(
        pictures,
        &Scope::new(&graph, &named).training(&trained),
        Positions::Offset,
    );
    let total = loss(places.find("cls").unwrap(), &support, &Head::new(Distance::Cosine), false);
    learn(total, &learning);
    let losses = [("loss", total)];
    let planned = Trainer::new(gpu(), (&graph, &losses), (&store, &trained), learning, Options::default());
    let mut trainer = block_on(planned).unwrap();
    for step in 1..=3 {
        let mut inputs = |step: u64| {
            let z = nhwc(&file.get(&format!("z{}", step + 1)));
            Ok(vec![Tensor::new([10, 32, 32, 3], own.data.iter().chain(&z.data).copied().collect())])
        };
        let watch = (&Unwatched as &dyn lupe::watch::Watch, "steps");
        trainer.run(Job { steps: step, inputs: &mut inputs, heard: &mut |_, _| Ok(()), watch, saving: None }).unwrap();
        let name = format!("{prefix}.loss_step{step}");
        close(&name, &[trainer.losses().data[step as usize - 1]], &file.get(&name).data, 1e-4);
        let now = trained.weights(gpu(), &store).unwrap();
        let (mut near, mut all) = (0, 0);
        for (name, want) in file.named(&format!("{prefix}.step{step}:")) {
            for (got, want) in now[&name].data.iter().zip(&want.data) {
                let off = (got - want).abs();
                // Gradients that are nothing but rounding move weights by Adam's whole rate.
                assert!(off <= 2.0 * rate as f32 * step as f32, "{name}: {got} instead of {want}");
                near += usize::from(off <= 1e-5);
                all += 1;
            }
        }
        println!("{prefix} step {step}: {near} of {all} weights to 1e-5");
        assert!(100 * near > 97 * all, "{near} of {all}");
    }
}

#[test]
fn pytorchs_steps_of_adam() {
    if without_device("steps of fine-tuning") {
        return;
    }
    steps("adam", Rule::adam(0.0), 1e-3);
}

#[test]
fn pytorchs_steps_of_gradient_descent() {
    if without_device("steps of fine-tuning") {
        return;
    }
    steps("sgd", Rule::Sgd { momentum: 0.9, decay: 0.0 }, 1e-2);
}

/// Three pictures of one class and two of another.
fn pictures(size: usize) -> (Tensor, Classes) {
    let edge = size as u32;
    let one = |i: u64| if i < 3 { part(i, edge, edge) } else { spoiled(i, edge, edge).0 };
    let data = (0..5u64).flat_map(|i| one(i).into_raw()).map(|v| f32::from(v) / 64.0 - 2.0).collect();
    (Tensor::new([5, size, size, 3], data), Classes { labels: vec![0, 0, 0, 1, 1], size: [size; 2] })
}

fn tuned(few: Option<usize>, tuning: &Finetune) -> (Named, Vec<f32>, [f64; 2]) {
    let (network, weights) = unfolded(EMBEDDED.name, None).unwrap();
    tuned_of((network, weights.tensors()), few, tuning)
}

/// Weights of a network that was tuned to [`pictures`], so `few` at a time; the losses of the steps; that of the pictures before and after.
fn tuned_of(
    (network, weights): (&Network, &Named),
    few: Option<usize>,
    tuning: &Finetune,
) -> (Named, Vec<f32>, [f64; 2]) {
    let head = Head::new(Distance::Cosine);
    let backbone = Backbone { network, weights, place: network.vector, head };
    let (pictures, classes) = pictures(64);
    let ground = Ground::new(&backbone, classes.size, tuning).unwrap();
    let options = Options::default();
    let planned = Tuner::new(gpu(), (&backbone, &classes), tuning, &ground, (&options, few));
    let mut tuner = block_on(planned).unwrap();
    let before = tuner.loss(&pictures, &head).unwrap();
    let losses = tuner.tune(&pictures, (&mut |_, _| (), &Unwatched)).unwrap();
    let after = tuner.loss(&pictures, &head).unwrap();
    (tuner.weights().unwrap(), losses, [before, after])
}

#[test]
fn twice_the_same_and_a_few_pictures_at_a_time_as_all() {
    if without_device("fine-tuning") {
        return;
    }
    let tuning = Finetune { steps: 6, rate: 1e-4, balance: false, cutout: false, seed: 1 };
    let (weights, losses, [before, after]) = tuned(None, &tuning);
    assert!(after < before, "the loss of the pictures as they are went from {before} to {after}");
    assert!(weights.keys().any(|name| name.ends_with("bn1.weight")), "{:?}", weights.keys());
    assert!(!weights.keys().any(|name| name.contains("running")), "statistics stay: {:?}", weights.keys());
    let again = tuned(None, &tuning);
    assert!(again.0 == weights && again.1 == losses, "two runs differ");
    let one = Finetune { steps: 1, ..tuning };
    let [whole, three, single] = [None, Some(3), Some(1)].map(|few| tuned(few, &one));
    for (name, other) in [("three", &three), ("one", &single)] {
        close(&format!("the loss, {name} at a time"), &other.1, &whole.1, 1e-6);
        let (near, all) = near(&other.0, &whole.0, one.rate);
        println!("{name} at a time: {near} of {all} weights to 1e-6 of their largest");
        assert!(1000 * near > 990 * all, "{name} at a time: {near} of {all}");
    }
}

/// The shares of weights that lie within 1e-6 of the largest of their tensor, and whether all lie within what two steps of Adam are.
fn near(got: &Named, want: &Named, rate: f64) -> (usize, usize) {
    let (mut near, mut all) = (0, 0);
    for (key, want) in want {
        let largest = want.data.iter().fold(0f32, |m, v| m.max(v.abs()));
        for (got, want) in got[key].data.iter().zip(&want.data) {
            assert!((got - want).abs() <= 2.1 * rate as f32, "{key}: {got} instead of {want}");
            near += usize::from((got - want).abs() <= 1e-6 * largest.max(1.0));
            all += 1;
        }
    }
    (near, all)
}

#[test]
fn residual_networks_are_tuned_too() {
    if without_device("fine-tuning of residual networks") {
        return;
    }
    let tuning = Finetune { steps: 3, rate: 1e-4, balance: false, cutout: false, seed: 1 };
    let file = WeightsFile { path: thin::FILE.into(), ..WeightsFile::default() };
    let (network, weights) = unfolded(thin::NAME, Some(&file)).unwrap();
    let (_, _, [before, after]) = tuned_of((network, weights.tensors()), None, &tuning);
    assert!(after < before, "{}: from {before} to {after}", thin::NAME);
    let network = named("resnet18").unwrap();
    let weights = stand_in::weights(network).tensors().clone();
    let one = Finetune { steps: 1, ..tuning };
    let [whole, three] = [None, Some(3)].map(|few| tuned_of((network, &weights), few, &one));
    close("the loss, three at a time", &three.1, &whole.1, 1e-6);
    assert!(whole.0.contains_key("conv1.weight") && !whole.0.contains_key("fc.weight"), "{:?}", whole.0.keys());
    let (near, all) = near(&three.0, &whole.0, one.rate);
    assert!(1000 * near > 990 * all, "{near} of {all} weights of resnet18");
}

#[test]
fn classes_may_weigh_the_same_and_copies_may_be_cut() {
    if without_device("fine-tuning") {
        return;
    }
    let tuning = Finetune { steps: 1, rate: 1e-4, balance: false, cutout: false, seed: 1 };
    let loss = |tuning: Finetune| tuned(None, &tuning).1[0];
    let plain = loss(tuning);
    for (what, other) in
        [("balance", Finetune { balance: true, ..tuning }), ("cutout", Finetune { cutout: true, ..tuning })]
    {
        let other = loss(other);
        assert!((plain - other).abs() > 1e-6, "{what}: {plain} {other}");
    }
}

fn data(b: &Bench) -> PathBuf {
    let root = b.path("data");
    for (class, n) in [("good", 0), ("good", 1), ("spot", 2), ("spot", 3), ("spot", 4)] {
        fs::create_dir_all(root.join(class)).unwrap();
        let made = if class == "spot" { spoiled(n, 64, 64).0 } else { part(n, 64, 64) };
        made.save(root.join(format!("{class}/{n}.png"))).unwrap();
    }
    root
}

#[test]
fn from_pictures_to_a_model() {
    if no_gpu() {
        return skip("fine-tuning by the command", "LUPE_NO_GPU is set");
    }
    let b = Bench::new();
    let root = data(&b);
    let fit = |name: &str, more: &[&str]| {
        let mut command = verb(&["fit", "pmf"]);
        command.arg(&root).arg("-o").arg(b.path(name)).args(["--backbone", EMBEDDED.name, "--size", "64"]).args(more);
        command
    };
    let said = done(&mut fit("plain.lupe", &[]));
    assert!(!said.contains("tuned"), "{said}");
    let said = done(&mut fit("tuned.lupe", &["--steps", "3"]));
    assert!(said.contains("tuned     3 steps at 0.0001: the loss of the pictures went from"), "{said}");
    done(&mut fit("again.lupe", &["--steps", "3"]));
    let [plain, tuned, again] = ["plain.lupe", "tuned.lupe", "again.lupe"].map(|name| fs::read(b.path(name)).unwrap());
    assert!(tuned == again && tuned != plain, "twice the same bytes");
    let file = ModelFile::from_bytes(&tuned, "m").unwrap();
    assert_eq!(file.config.finetune, Some(Finetune { steps: 3, rate: 1e-4, balance: false, cutout: false, seed: 0 }));
    let said = done(lupe_inspect(&b, "tuned.lupe").arg("--json"));
    assert!(said.contains("finetune"), "{said}");
    let predicted = done(verb(&["predict"]).arg(b.path("tuned.lupe")).arg(&root).arg("-o").arg(b.path("results")));
    assert!(predicted.contains("spot"), "{predicted}");
    let usage: [(&[&str], &str); 7] = [
        (&["--balance"], "give --steps too"),
        (&["--cutout"], "give --steps too"),
        (&["--lr", "auto"], "give --steps too"),
        (&["--steps", "3", "--no-embed-backbone"], "fine-tuned weights are nowhere but in the model's file"),
        (&["--steps", "3", "--lr", "0"], "a number above 0"),
        (&["--steps", "3", "--lr", "fast"], "or auto"),
        (&["--steps", "3", "--micro-batch", "0"], "0 is not in"),
    ];
    for (more, want) in usage {
        refused(&mut fit("wrong.lupe", more), 2, &[want]);
    }
    let mut add = verb(&["fit", "pmf"]);
    add.arg(&root).arg("--add").arg(b.path("tuned.lupe"));
    refused(&mut add, 2, &["fit anew with all of them"]);
}

#[test]
fn a_rate_that_is_too_large_is_told_and_the_advice_helps() {
    if no_gpu() {
        return skip("rates of fine-tuning by the command", "LUPE_NO_GPU is set");
    }
    let b = Bench::new();
    let root = data(&b);
    let fit = |more: &[&str]| {
        let mut command = verb(&["fit", "pmf"]);
        command.arg(&root).arg("-o").arg(b.path("m.lupe")).args(["--backbone", EMBEDDED.name, "--size", "32"]);
        told(command.args(["--steps", "4"]).args(more))
    };
    let wild = fit(&["--lr", "0.3"]);
    assert!(wild.contains("warning: the loss of the pictures rose"), "{wild}");
    assert!(wild.contains("give --lr 0.03, or --lr auto"), "{wild}");
    if std::env::var_os("LUPE_FULL").is_none() {
        return skip("a rate that is looked for", MINUTES);
    }
    let found = fit(&["--lr", "auto"]);
    assert!(!found.contains("warning") && found.contains("other pictures are told right"), "{found}");
}

#[test]
fn a_step_that_does_not_fit_is_done_in_parts() {
    if no_gpu() {
        return skip("fine-tuning within a limit of memory", "LUPE_NO_GPU is set");
    }
    let b = Bench::new();
    let root = data(&b);
    let fit = |name: &str, more: &[&str]| {
        let mut command = verb(&["fit", "pmf"]);
        command.arg(&root).arg("-o").arg(b.path(name)).args(["--backbone", EMBEDDED.name, "--size", "64"]);
        told(command.args(["--steps", "2"]).args(more))
    };
    let megabytes = |said: &str| -> u64 {
        let line = said.lines().find(|l| l.starts_with("tuning ")).unwrap_or_else(|| panic!("{said}"));
        let words: Vec<&str> = line.split(' ').collect();
        words[words.iter().position(|w| *w == "MB").unwrap() - 1].parse().unwrap()
    };
    let whole = fit("whole.lupe", &[]);
    assert!(whole.contains("tuning    10 pictures a step") && !whole.contains("warning"), "{whole}");
    let limit = (1_000_000 * (megabytes(&whole) - 1)).to_string();
    let cut = fit("cut.lupe", &["--limit-memory", &limit]);
    assert!(cut.contains("segments, most of it computed twice"), "{cut}");
    assert!(megabytes(&cut) < megabytes(&whole), "{cut}");
    let same = |name: &str| fs::read(b.path(name)).unwrap();
    assert!(same("cut.lupe") == same("whole.lupe"), "a part of it computed twice changes no bit");
    let few = fit("few.lupe", &["--micro-batch", "1"]);
    assert!(few.contains("1 at a time") && megabytes(&few) < megabytes(&cut), "{few}");
}

#[test]
fn episodes_are_fine_tuned_each_from_the_networks_own_weights() {
    if no_gpu() {
        return skip("fine-tuned episodes", "LUPE_NO_GPU is set");
    }
    let b = Bench::new();
    let root = data(&b);
    let episodes = |out: &str, more: &[&str]| {
        let mut command = verb(&["episodes"]);
        command.arg(&root).args(["--method", "pmf", "--backbone", EMBEDDED.name, "--size", "64", "--queries", "1"]);
        command.args(["--shots", "1", "--episodes", "2", "-o"]).arg(b.path(out)).args(more);
        command
    };
    done(&mut episodes("plain", &[]));
    done(&mut episodes("tuned", &["--steps", "2", "--lr", "0.001"]));
    done(&mut episodes("again", &["--steps", "2", "--lr", "0.001"]));
    let lines = |out: &str| fs::read_to_string(b.path(out).join("episodes.jsonl")).unwrap();
    assert_eq!(lines("tuned"), lines("again"));
    let summary = |out: &str| fs::read_to_string(b.path(out).join("summary.json")).unwrap();
    assert!(
        summary("tuned").contains("\"steps\": 2") && !summary("plain").contains("finetune"),
        "{}",
        summary("tuned")
    );
    assert_eq!(lines("tuned").lines().count(), 2);
    refused(&mut episodes("wrong", &["--steps", "2", "--lr", "auto"]), 2, &["here give one"]);
    let mut prototypes = verb(&["episodes"]);
    prototypes.arg(&root).args(["--steps", "2"]);
    refused(&mut prototypes, 2, &["only --method pmf is fine-tuned"]);
}

/// What a command that succeeds says, all of it.
fn told(command: &mut std::process::Command) -> String {
    let output = command.output().unwrap();
    let said = text(&[&output.stderr[..], &output.stdout].concat());
    assert!(output.status.success(), "{said}");
    said
}

fn lupe_inspect(b: &Bench, name: &str) -> std::process::Command {
    let mut command = verb(&["weights", "inspect"]);
    command.arg(b.path(name));
    command
}
