//! Features do not depend on the batch, on the run or on the process; what does not fit is refused or split.

mod common;

use common::sweep::gpu;
use common::vectors::Vectors;
use lupe::engine::Gpu;
use lupe::error::Error;
use lupe::methods::embed::{EmbedOptions, Embedder, Tap};
use lupe::models;
use lupe::tensor::Tensor;
use lupe::weights::Weights;

fn options(batch: usize) -> EmbedOptions {
    EmbedOptions { taps: vec![Tap::Layer(2), Tap::Pool], batch, ..EmbedOptions::default() }
}

fn embedder<'g>(gpu: &'g Gpu, options: &EmbedOptions) -> Result<Embedder<'g>, Error> {
    let (model, weights) = (models::find("resnet50_thin").unwrap(), Weights::embedded().unwrap());
    pollster::block_on(Embedder::new(gpu, model, &weights, [96, 96], options))
}

/// A crop of a photograph, 96x96, BGR minus the means.
fn picture(shift: usize) -> Tensor {
    let rgb = Vectors::open("real/real_nets.safetensors").get("0.crop_u8_hwc");
    Tensor::from_fn([1, 96, 96, 3], |i| {
        let (y, x, c) = (i / (96 * 3) + shift, i / 3 % 96 + 2 * shift, i % 3);
        rgb.data[(y * 224 + x) * 3 + 2 - c] - [104.0, 117.0, 123.0][c]
    })
}

fn bits(features: &[Vec<Tensor>]) -> Vec<Vec<u32>> {
    features.iter().map(|f| f.iter().flat_map(|t| t.data.iter().map(|v| v.to_bits())).collect()).collect()
}

#[test]
fn alone_in_a_batch_and_twice_in_a_row() {
    let pictures: Vec<Tensor> = (0..9).map(|i| picture(7 * i)).collect();
    let one = embedder(gpu(), &options(1)).unwrap();
    let eight = embedder(gpu(), &options(8)).unwrap();
    assert_eq!((one.batch(), eight.batch()), (1, 8));
    let alone = bits(&pollster::block_on(one.run(&pictures)).unwrap());
    let together = bits(&pollster::block_on(eight.run(&pictures)).unwrap());
    let again = bits(&pollster::block_on(eight.run(&pictures)).unwrap());
    assert_eq!(alone.len(), 9);
    assert!(alone == together && together == again, "bits differ");
    assert!(alone[0] != alone[1], "different pictures have different features");
}

#[test]
fn too_little_memory_is_refused_before_anything_is_made() {
    let tight = EmbedOptions { limit_memory: Some(8 << 20), ..options(1) };
    match embedder(gpu(), &tight).unwrap_err() {
        Error::Memory { need, have } => assert!(have == 8 << 20 && need > have),
        other => panic!("{other}"),
    }
}

#[test]
fn a_batch_that_does_not_fit_is_split_and_gives_the_same_bits() {
    let pictures: Vec<Tensor> = (0..4).map(|i| picture(7 * i)).collect();
    let whole = embedder(gpu(), &options(4)).unwrap();
    let tight = EmbedOptions { limit_memory: Some(45 << 20), ..options(1024) };
    let split = embedder(gpu(), &tight).unwrap();
    assert!(split.batch() < 1024, "45 MiB take {} pictures", split.batch());
    let (a, b) = (pollster::block_on(whole.run(&pictures)).unwrap(), pollster::block_on(split.run(&pictures)).unwrap());
    assert!(bits(&a) == bits(&b));
}
