//! EfficientAD against PyTorch's, Pillow's and the implementations' own values: networks at full width, maps in the order of every preset,
//! changed pictures, the losses of a step. `LUPE_NO_GPU=1` leaves the device out visibly.

use crate::common::hash;
use crate::common::pdn::{hashed, weights as pdn_weights};
use crate::common::scene::{Scene, mask, numbers, picture, toy, toy_scene};
use crate::common::skip::without_device;
use crate::common::sweep::gpu;
use crate::common::vectors::{Vectors, close, nchw};
use lupe::data::{Jitter, Picture, without_colours};
use lupe::engine::{Graph, Named, Options, Plan, Scope, Store, Var};
use lupe::methods::efficientad::maps::{Scale, largest, quantile};
use lupe::methods::efficientad::step::{HARD, Losses};
use lupe::methods::efficientad::{Border, Config, Networks, Preset, Statistics, Sums};
use lupe::models::autoencoder::AUTOENCODER;
use lupe::models::pdn::{MEDIUM, Pdn, SMALL, Size};
use lupe::tensor::{Shape, Tensor};
use std::cell::Cell;

fn run(graph: &Graph, outputs: &[Var], inputs: &[&Tensor]) -> Vec<Tensor> {
    let plan = pollster::block_on(Plan::new(gpu(), graph, outputs, &Store::new(), Options::default())).unwrap();
    pollster::block_on(plan.run(inputs)).unwrap()
}

/// A PDN's map of a picture, `[1, c, h, w]`, on the device.
fn mapped(pdn: Pdn, named: &Named, x: &Tensor) -> Tensor {
    let graph = Graph::new();
    let map = pdn.map(graph.input("x", x.shape), &Scope::new(&graph, named));
    graph.requested().check("weights", named, &[]).unwrap();
    nchw(&run(&graph, &[map], &[x])[0])
}

/// Every `c`-th channel and every `s`-th row and column.
fn grid(t: &Tensor, c: usize, s: usize) -> Vec<f32> {
    let [_, channels, h, w] = t.shape.nhwc();
    let at = |c, y, x| t.data[(c * h + y) * w + x];
    let rows = |c| (0..h).step_by(s).flat_map(move |y| (0..w).step_by(s).map(move |x| at(c, y, x)));
    (0..channels).step_by(c).flat_map(rows).collect()
}

/// The mean of all channels.
fn channel_mean(t: &Tensor) -> Vec<f32> {
    let [_, channels, h, w] = t.shape.nhwc();
    let mean = |i| (0..channels).map(|c| f64::from(t.data[c * h * w + i])).sum::<f64>() / channels as f64;
    (0..h * w).map(|i| mean(i) as f32).collect()
}

#[test]
fn networks_at_full_width() {
    if without_device("networks at full width") {
        return;
    }
    let v = Vectors::open("ad/nets.safetensors");
    let check = |name: &str, got: &[f32]| close(name, got, &v.get(name).data, 1e-4);
    let (small, img64, img256) =
        (pdn_weights("pdn_small.", SMALL), picture("nets.img64", 64), picture("nets.img256", 256));
    check("pdn_small_64", &mapped(SMALL, &small, &img64).data);
    check("pdn_medium_64", &mapped(MEDIUM, &pdn_weights("pdn_medium.", MEDIUM), &img64).data);
    let padded = mapped(Pdn { padded: true, ..SMALL }, &small, &img64);
    assert_eq!(padded.shape, Shape::from([1, 384, 16, 16]));
    check("pdn_small_padded_64_grid", &grid(&padded, 16, 2));
    let toy = Pdn { widths: [8, 16, 16, 0], outputs: 12, padded: true, ..SMALL };
    check("toypad_32", &mapped(toy, &pdn_weights("toypad.", toy), &picture("nets.img32", 32)).data);
    let whole = mapped(SMALL, &small, &img256);
    check("pdn_small_256_chanmean", &channel_mean(&whole));
    check("pdn_small_256_grid", &grid(&whole, 16, 8));
}

#[test]
fn the_autoencoder_at_full_width() {
    if without_device("the autoencoder at full width") {
        return;
    }
    let v = Vectors::open("ad/nets.safetensors");
    let named = hashed("ae.", |x, p| {
        AUTOENCODER.map(x, p, &|_, y| y);
    });
    let (graph, x) = (Graph::new(), picture("nets.img256", 256));
    let (p, input) = (Scope::new(&graph, &named), graph.input("x", x.shape));
    let outputs = [AUTOENCODER.code(input, &p), AUTOENCODER.map(input, &p, &|_, y| y)];
    let got = run(&graph, &outputs, &[&x]);
    let (code, map) = (&got[0], nchw(&got[1]));
    close("ae_bottleneck", &code.data, &v.get("ae_bottleneck").data, 1e-4);
    close("ae_256_chanmean", &channel_mean(&map), &v.get("ae_256_chanmean").data, 1e-4);
    close("ae_256_grid", &grid(&map, 16, 7), &v.get("ae_256_grid").data, 1e-4);
    let (n, all) = (map.data.len() as f64, || map.data.iter().map(|&v| f64::from(v)));
    let mean = all().sum::<f64>() / n;
    let std = (all().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
    let stats = [mean, std, all().fold(f64::MAX, f64::min), all().fold(f64::MIN, f64::max)].map(|v| v as f32);
    close("ae_256_stats", &stats, &v.get("ae_256_stats").data, 1e-4);
}

/// The maps of a set, `[h, w]` each.
fn maps(t: &Tensor) -> Vec<Tensor> {
    let [n, _, h, w] = t.shape.nhwc();
    t.data.chunks(t.data.len() / n).map(|m| Tensor::new([h, w], m.to_vec())).collect()
}

#[test]
fn maps_in_the_order_of_every_preset() {
    let v = Vectors::open("ad/map_norm.safetensors");
    let get = |name: &str| maps(&v.get(name));
    for (preset, letter, name) in
        [(Preset::Nelson, "A", "map_40x52"), (Preset::Anomalib, "B", "map_88"), (Preset::Paper, "C", "map_88")]
    {
        let config = Config { image_size: 88, ..Config::new(Size::Small, 1, preset) };
        let scales = config.scales(&get("val_st"), &get("val_ae")).unwrap();
        let quantiles = scales.numbers().map(|v| v as f32);
        close(&format!("{letter}_quantiles"), &quantiles, &v.get(&format!("{letter}_quantiles")).data, 2e-6);
        let map = config.combined(&get("test_st")[0], &get("test_ae")[0], &scales);
        let map = if config.whole_maps() {
            let inner: Vec<f32> = (4..18).flat_map(|y| map.data[22 * y + 4..22 * y + 18].to_vec()).collect();
            close("A_combined_14", &inner, &v.get("A_combined_14").data, 1e-5);
            assert!(map.data[..22].iter().all(|v| *v == 0.0), "the border is zero");
            config.whole(&map, [40, 52])
        } else {
            map
        };
        close(&format!("{letter}_{name}"), &map.data, &v.get(&format!("{letter}_{name}")).data, 1e-5);
        close(&format!("{letter}_score"), &[largest(&map) as f32], &v.get(&format!("{letter}_score")).data, 1e-5);
    }
}

/// Nothing that is published: the edge goes on, and no pixel of the border is lower than what it lies beside.
#[test]
fn edges_can_be_repeated_instead() {
    let v = Vectors::open("ad/map_norm.safetensors");
    let get = |name: &str| maps(&v.get(name));
    for preset in [Preset::Nelson, Preset::Anomalib] {
        let config = Config { image_size: 88, border: Border::Replicate, ..Config::new(Size::Small, 1, preset) };
        let scales = config.scales(&get("val_st"), &get("val_ae")).unwrap();
        let map = config.combined(&get("test_st")[0], &get("test_ae")[0], &scales);
        let (corner, inside) = match preset {
            Preset::Nelson => (map.data[0], map.data[4 * 22 + 4]),
            _ => (map.data[0], map.data[16 * 88 + 16]),
        };
        assert!((corner - inside).abs() < 0.5 * inside.abs().max(0.1) && corner != 0.0, "{corner} beside {inside}");
    }
}

#[test]
fn quantiles_of_many_values() {
    let v = Vectors::open("ad/quantile.safetensors");
    let levels = v.get("q").data;
    let check = |name: &str, values: Vec<f32>| {
        let got: Vec<f32> =
            levels.iter().map(|&q| quantile(&mut values.clone(), f64::from(q)).unwrap() as f32).collect();
        close(name, &got, &v.get(name).data, 2e-6);
    };
    check("a_q", hash::tensor("quant.a", [1000], 0.5, 0.5).data);
    check("ties_q", v.get("ties").data);
    check("one_q", vec![0.7]);
    let big: Vec<f32> = hash::tensor("quant.big", [1_204_224], 0.5, 0.5).data.iter().map(|v| v.powi(4)).collect();
    check("big_q", big);
    assert!(Scale::of([Tensor::new([4], v.get("ties").data[..4].to_vec())]).is_ok());
}

#[test]
fn changed_pictures_as_pillow_and_torchvision_have_them() {
    let v = Vectors::open("ad/augment.safetensors");
    let hwc = |t: &Tensor| t.permute(&[1, 2, 0]).data;
    let img = hwc(&v.get("img_u8"));
    let picture = Picture::new(20, 16, img.iter().map(|v| *v as u8).collect());
    for (jitter, name) in Jitter::ALL.into_iter().zip(["brightness", "contrast", "saturation"]) {
        for factor in ["0.83", "1.17"] {
            let (by, want) = (factor.parse().unwrap(), hwc(&v.get(&format!("pil_{name}_{factor}_u8"))));
            let got: Vec<f32> = jitter.of_bytes(&picture, by).rgb8().iter().map(|v| f32::from(*v)).collect();
            assert_eq!(got, want, "{name} {factor}");
            let mut floats: Vec<f32> = img.iter().map(|v| v / 255.0).collect();
            jitter.of_floats(&mut floats, by);
            close(&format!("{name}_{factor}"), &floats, &hwc(&v.get(&format!("{name}_{factor}"))), 1e-6);
        }
    }
    let gray: Vec<f32> = without_colours(&picture).rgb8().iter().step_by(3).map(|v| f32::from(*v)).collect();
    assert_eq!(gray, v.get("pil_gray_u8").data);
    let floats: Vec<f32> =
        img.chunks(3).map(|p| lupe::data::gray_float(&[p[0], p[1], p[2]].map(|v| v / 255.0))).collect();
    close("gray", &floats, &v.get("gray").data, 1e-6);
}

/// The squared differences of the hard loss, and the losses of the penalty, the autoencoder and the student.
fn losses(
    scene: &Scene,
    drop: &dyn for<'g> Fn(usize, Var<'g>) -> Var<'g>,
    values: impl Fn(&Graph, &[Var], &[&Tensor]) -> Vec<Tensor>,
) -> [Vec<f32>; 4] {
    let graph = Graph::new();
    let (p, x) = (Scope::new(&graph, &scene.named), graph.input("pictures", scene.pictures.shape));
    let apart: Cell<Option<Var>> = Cell::new(None);
    let keep = |d| {
        apart.set(Some(d));
        d.mean()
    };
    let taught = scene.step.taught(x, &p);
    let Losses { penalty, autoencoder, student, .. } = scene.step.losses((x, taught), &p, &|i, y| drop(i, y), &keep);
    let outputs = [apart.get().unwrap(), penalty.unwrap(), autoencoder, student];
    let got = values(&graph, &outputs, &[&scene.pictures]);
    got.into_iter().map(|t| t.data).collect::<Vec<_>>().try_into().unwrap()
}

/// The quantile that the hard loss begins at, how many differences count, and their mean.
fn hard_loss(apart: &[f32]) -> [f32; 3] {
    let from = quantile(&mut apart.to_vec(), HARD).unwrap();
    let counts: Vec<f64> = apart.iter().map(|v| f64::from(*v)).filter(|v| *v >= from).collect();
    [from as f32, counts.len() as f32, (counts.iter().sum::<f64>() / counts.len() as f64) as f32]
}

/// Holds the losses of a scene to those under `prefix`.
fn check_losses(v: &Vectors, prefix: &str, [apart, penalty, autoencoder, student]: [Vec<f32>; 4]) {
    let [from, count, hard] = hard_loss(&apart);
    let total = hard + penalty[0] + autoencoder[0] + student[0];
    for (name, got) in [
        ("d_hard", from),
        ("loss_hard", hard),
        ("loss_penalty", penalty[0]),
        ("loss_ae", autoencoder[0]),
        ("loss_stae", student[0]),
        ("loss_total", total),
    ] {
        let name = format!("{prefix}{name}");
        close(&name, &[got], &v.get(&name).data, 1e-4);
    }
    assert_eq!(count, v.get(&format!("{prefix}n_hard")).data[0]);
}

#[test]
fn a_teachers_statistics() {
    let v = Vectors::open("ad/efficientad_toy_step.safetensors");
    let (networks, mut sums) = (toy(), Sums::default());
    let teacher = pdn_weights("toy.teacher.", networks.teacher);
    for name in ["toy.img", "toy.img2"] {
        let graph = Graph::new();
        let map = networks.teacher.map(graph.input("x", [1, 256, 256, 3]), &Scope::new(&graph, &teacher));
        sums.add(&graph.eval(&[map], &[&picture(name, 256)]).unwrap()[0]);
    }
    let got = sums.statistics().unwrap();
    for (name, got) in [("teacher_mean", &got.mean), ("teacher_std", &got.std)] {
        close(name, &got.iter().map(|v| *v as f32).collect::<Vec<_>>(), &v.get(name).data, 1e-5);
    }
}

/// What the teacher said before the training is the same as what it says at a step, and what its scaled outputs say.
#[test]
fn what_a_teacher_said_before() {
    let v = Vectors::open("ad/efficientad_toy_step.safetensors");
    let scene = toy_scene(&v);
    let graph = Graph::new();
    let named: Named = scene.named.iter().chain(&scene.unscaled).map(|(name, t)| (name.clone(), t.clone())).collect();
    let (p, x) = (Scope::new(&graph, &named), graph.input("pictures", scene.pictures.shape));
    let said = scene.step.networks.teacher.map(x.slice(0, 1, 2), &p.at("unscaled"));
    let by = |known| scene.step.taught_by(x, (known, &scene.statistics), &p);
    let outputs = [scene.step.taught(x, &p), by(None), by(Some(said))].concat();
    let got = graph.eval(&outputs, &[&scene.pictures]).unwrap();
    assert_eq!(got[2].data, got[4].data);
    for (before, scaled) in got[2..4].iter().zip(&got[..2]) {
        close("taught", &before.data, &scaled.data, 1e-5);
    }
}

#[test]
fn the_losses_of_a_narrow_step_by_the_references() {
    let v = Vectors::open("ad/efficientad_toy_step.safetensors");
    let by_references = |g: &Graph, o: &[Var], x: &[&Tensor]| g.eval(o, x).unwrap();
    check_losses(&v, "step1.", losses(&toy_scene(&v), &|_, y| y, by_references));
}

/// With the masks of the vectors; what survives is 1.25 times as large.
#[test]
fn the_losses_of_a_narrow_step_with_dropout() {
    if without_device("the losses of a narrow step with dropout") {
        return;
    }
    let v = Vectors::open("ad/efficientad_toy_step.safetensors");
    let [apart, penalty, autoencoder, student] = losses(&toy_scene(&v), &|i, y| y * mask(i, y), run);
    let total = hard_loss(&apart)[2] + penalty[0] + autoencoder[0] + student[0];
    for (name, got) in [("loss_ae", autoencoder[0]), ("loss_stae", student[0]), ("loss_total", total)] {
        close(name, &[got], &v.get(&format!("dropout.{name}")).data, 1e-4);
    }
}

#[test]
fn the_losses_of_a_step_at_full_width() {
    if without_device("the losses of a step at full width") {
        return;
    }
    let v = Vectors::open("ad/efficientad_full_step.safetensors");
    let statistics = Statistics { mean: numbers(&v, "teacher_mean"), std: numbers(&v, "teacher_std") };
    let scene = Scene::new("full", Networks::of(Size::Small, 1, false), statistics);
    check_losses(&v, "", losses(&scene, &|_, y| y, run));
}
