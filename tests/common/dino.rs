//! AnomalyDINO's and SubspaceAD's reference values: pictures, the network, and summaries of large tensors.
#![allow(dead_code)]

use super::program::no_gpu;
use super::skip::{skip, this_test};
use super::sweep::gpu;
use super::vectors::Vectors;
use lupe::data::dataset::Dataset;
use lupe::data::{Limits, Picture};
use lupe::engine::{Graph, Options, Plan, Scope, Store};
use lupe::methods::batched::{Batched, head, part};
use lupe::methods::dino::{Comparison, Config, Dino, FitOptions, Good, Learned, fit};
use lupe::methods::{Finding, Fitted, RunOptions, Scorer};
use lupe::models::{self, Network};
use lupe::tensor::Tensor;
use lupe::watch::Unwatched;
use lupe::weights::{Weights, WeightsFile};
use std::path::{Path, PathBuf};

pub const FOCUS: &str = "vit_s14_focus";

/// A file beside the project.
pub fn shared(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared").join(name)
}

/// The trained ViT-S/14, or nothing where it is not at hand: then the running test is skipped.
pub fn focus() -> Option<(&'static Network, Weights)> {
    let path = shared("weights/vit_s14_focus.safetensors");
    if no_gpu() {
        return None;
    }
    if !path.exists() {
        skip(&this_test(), "../shared/weights/vit_s14_focus.safetensors is not here");
        return None;
    }
    Some(models::open(FOCUS, Some(&WeightsFile::from(path.as_path()))).unwrap())
}

/// A picture of `real_nets`, 224x224: no decoder of JPEGs lies between.
pub fn crop(n: usize) -> Picture {
    let t = Vectors::open("real/real_nets.safetensors").get(&format!("{n}.crop_u8_hwc"));
    Picture::new(t.shape.dim(1), t.shape.dim(0), t.data.iter().map(|&v| v as u8).collect())
}

pub fn hazelnut(name: &str) -> Picture {
    Picture::open(&shared("data/hazelnut").join(name), Limits::default()).unwrap()
}

/// A folder with these good pictures, 00.png, 01.png, ….
pub fn good(pictures: &[&Picture]) -> (tempfile::TempDir, Dataset) {
    let folder = tempfile::tempdir().unwrap();
    for (i, p) in pictures.iter().enumerate() {
        let image = image::RgbImage::from_raw(p.width as u32, p.height as u32, p.rgb8().into_owned()).unwrap();
        image.save(folder.path().join(format!("{i:02}.png"))).unwrap();
    }
    let set = Dataset::open(folder.path()).unwrap();
    (folder, set)
}

/// A model fitted on these pictures.
pub fn fitted((network, weights): (&'static Network, &Weights), config: &Config, pictures: &[&Picture]) -> Dino {
    let (_folder, set) = good(pictures);
    let good = Good { set: &set, network, weights };
    pollster::block_on(fit(gpu(), good, config, &FitOptions::default(), &Unwatched)).unwrap().0
}

/// The same model with other choices that its fit does not depend on.
pub fn with(dino: &Dino, (network, weights): (&'static Network, &Weights), config: Config) -> Dino {
    let mut file = dino.file.clone();
    (file.config, file.backbone.weights) = (config, Some(weights.clone()));
    assert_eq!(file.backbone.name, network.name);
    Dino::new(file, "a model", None).unwrap()
}

pub fn found(model: &dyn Fitted, pictures: &[Picture]) -> Vec<Finding> {
    let options = RunOptions { batch: 1, ..RunOptions::default() };
    let mut scorer = pollster::block_on(Scorer::new(gpu(), model, &options, false)).unwrap();
    pollster::block_on(scorer.score(pictures)).unwrap()
}

/// Tokens `[h, w, d]` of pictures, which are prepared by these choices.
pub fn tokens((network, weights): (&Network, &Weights), config: &Config, pictures: &[Picture]) -> Vec<Tensor> {
    let network = config.adapted(network);
    let prepared: Vec<_> = pictures.iter().map(|p| network.preprocess.prepare(p).unwrap()).collect();
    let head = head(move |graph, pictures| {
        config.tokens(&network, pictures, &Scope::new(graph, weights.tensors())).into_iter().collect()
    });
    let options = RunOptions { batch: 1, ..RunOptions::default() };
    let size = prepared[0].size();
    let mut batched = pollster::block_on(Batched::new(gpu(), &network.preprocess, size, &options, head)).unwrap();
    let mut all = vec![];
    for one in &prepared {
        let under = pollster::block_on(batched.submit(&[one])).unwrap();
        let own = part(&batched.collect(under).unwrap()[0], 0, 1);
        let [_, h, w, d] = own.shape.nhwc();
        all.push(own.reshape([h, w, d]));
    }
    all
}

/// Distances of tokens `[h, w, d]` to what was learned.
pub fn compared(learned: &Learned, all: &[Tensor]) -> Vec<Tensor> {
    let [h, w, d] = [0, 1, 2].map(|axis| all[0].shape.dim(axis));
    let (comparison, graph) = (Comparison::new(learned.clone()), Graph::new());
    let found = comparison.compared(graph.input("tokens", [h * w, d]), 1, &gpu().caps, None);
    let plan = pollster::block_on(Plan::new(gpu(), &graph, &[found], &Store::new(), Options::default())).unwrap();
    let one = |t: &Tensor| {
        let rows = pollster::block_on(plan.run(&[&t.clone().reshape([h * w, d])])).unwrap().remove(0);
        let values = rows.data.len() / (h * w);
        Tensor::new([h, w], rows.data.into_iter().step_by(values).collect())
    };
    all.iter().map(one).collect()
}

/// The largest difference.
pub fn off(got: &[f32], want: &[f32]) -> f64 {
    assert_eq!(got.len(), want.len(), "lengths differ");
    got.iter().zip(want).map(|(&a, &b)| (f64::from(a) - f64::from(b)).abs()).fold(0.0, f64::max)
}

/// Holds values to those of that name, absolutely.
pub fn hold(v: &Vectors, name: &str, got: &[f32], tolerance: f64) {
    let off = off(got, &v.get(name).data);
    println!("{name}: off by {off:.1e}");
    assert!(off <= tolerance, "{name}: off by {off:.2e}, more than {tolerance:.0e}");
}

pub fn one(v: &Vectors, name: &str, got: f64, tolerance: f64) {
    hold(v, name, &[got as f32], tolerance);
}

/// 64 values spread over a tensor.
pub fn sample64(data: &[f32]) -> Vec<f32> {
    (0..64u64).map(|i| data[(i * 2_654_435_761 % data.len() as u64) as usize]).collect()
}

/// Holds a tensor, its axes as in the vectors, to its summary: 64 values, and means over all axes but one.
pub fn summary(v: &Vectors, name: &str, t: &Tensor, axis: usize, tolerance: f64) {
    let shape: Vec<usize> = v.get(&format!("{name}.shape")).data.iter().map(|&n| n as usize).collect();
    assert_eq!(t.shape.dims(), shape, "{name}");
    hold(v, &format!("{name}.sample64"), &sample64(&t.data), tolerance);
    let (n, after) = (t.shape.dim(axis), t.shape.dims()[axis + 1..].iter().product::<usize>());
    let mut sums = vec![0.0f64; n];
    t.data.iter().enumerate().for_each(|(i, &v)| sums[i / after % n] += f64::from(v));
    let means: Vec<f32> = sums.iter().map(|s| (s * n as f64 / t.data.len() as f64) as f32).collect();
    hold(v, &format!("{name}.channel_mean"), &means, tolerance);
}

/// Holds a map to its summary.
pub fn map_summary(v: &Vectors, name: &str, map: &Tensor, tolerance: f64) {
    let shape: Vec<usize> = v.get(&format!("{name}.shape")).data.iter().map(|&n| n as usize).collect();
    assert_eq!(map.shape.dims(), shape, "{name}");
    hold(v, &format!("{name}.sample64"), &sample64(&map.data), tolerance);
    let mean = map.data.iter().map(|&v| f64::from(v)).sum::<f64>() / map.data.len() as f64;
    let max = map.data.iter().copied().fold(f32::MIN, f32::max);
    hold(v, &format!("{name}.mean_max__f64"), &[mean as f32, max], tolerance);
}

/// A network's input as the vectors have it, `[3, h, w]`.
pub fn chw(input: &Tensor) -> Tensor {
    let t = input.permute(&[0, 3, 1, 2]);
    let [_, c, h, w] = t.shape.nhwc();
    t.reshape([c, h, w])
}
