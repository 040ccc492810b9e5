//! Features do not depend on the batch, on the run or on the process; what does not fit is refused or split.

use crate::common::sweep::gpu;
use crate::common::vectors::Vectors;
use lupe::data::{Picture, Prepared};
use lupe::error::Error;
use lupe::methods::RunOptions;
use lupe::methods::embed::Embedder;
use lupe::models;
use lupe::tensor::Tensor;
use lupe::weights::Weights;

fn options(batch: usize) -> RunOptions {
    RunOptions { batch, ..RunOptions::default() }
}

fn places() -> [String; 2] {
    ["block4", "pool"].map(String::from)
}

fn embedder<'a>(
    (weights, places): (&'a Weights, &'a [String]),
    options: &RunOptions,
) -> Result<Embedder<'a, 'static>, Error> {
    pollster::block_on(Embedder::new(gpu(), (models::EMBEDDED, weights), places, [96, 96], options))
}

/// A crop of a photograph, 96x96.
fn picture(shift: usize) -> Prepared {
    let rgb = Vectors::open("real/real_nets.safetensors").get("0.crop_u8_hwc");
    let at = |i: usize| (i / (96 * 3) + shift, i / 3 % 96 + 2 * shift, i % 3);
    let rgb = (0..96 * 96 * 3).map(at).map(|(y, x, c)| rgb.data[(y * 224 + x) * 3 + c] as u8).collect();
    Prepared::Bytes { rgb, size: [96, 96] }
}

fn bits(features: &[Vec<Tensor>]) -> Vec<Vec<u32>> {
    features.iter().map(|f| f.iter().flat_map(|t| t.data.iter().map(|v| v.to_bits())).collect()).collect()
}

#[test]
fn alone_in_a_batch_and_twice_in_a_row() {
    let (weights, places) = (Weights::embedded().unwrap(), places());
    let with = (&weights, places.as_slice());
    let pictures: Vec<Prepared> = (0..9).map(|i| picture(7 * i)).collect();
    let mut one = embedder(with, &options(1)).unwrap();
    let mut eight = embedder(with, &options(8)).unwrap();
    assert_eq!((one.batch(), eight.batch()), (1, 8));
    let alone = bits(&pollster::block_on(one.run(&pictures)).unwrap());
    let together = bits(&pollster::block_on(eight.run(&pictures)).unwrap());
    let again = bits(&pollster::block_on(eight.run(&pictures)).unwrap());
    assert_eq!(alone.len(), 9);
    assert!(alone == together && together == again, "bits differ");
    assert!(alone[0] != alone[1], "different pictures have different features");
}

/// The table makes of a byte what the host makes of it, in either form and in one batch.
#[test]
fn bytes_and_numbers_give_the_same_bits() {
    let (weights, places) = (Weights::embedded().unwrap(), places());
    let preprocess = models::EMBEDDED.preprocess;
    let bytes: Vec<Prepared> = (0..3).map(|i| picture(11 * i)).collect();
    let numbers: Vec<Prepared> = bytes.iter().map(|p| Prepared::Numbers(preprocess.numbers(p.clone()))).collect();
    let mixed = [bytes[0].clone(), numbers[1].clone(), bytes[2].clone()];
    let mut embedder = embedder((&weights, &places), &options(3)).unwrap();
    let [a, b, c] = [&bytes, &numbers, &mixed.to_vec()].map(|p| bits(&pollster::block_on(embedder.run(p)).unwrap()));
    assert!(a == b && b == c, "bits differ");
    let gray = Picture::new(2, 1, vec![0, 128, 255, 3, 2, 1]);
    let prepared = lupe::data::Preprocess { scaling: None, crop: None, ..preprocess }.prepare(&gray).unwrap();
    assert!(matches!(prepared, Prepared::Bytes { size: [1, 2], .. }), "{prepared:?}");
}

#[test]
fn too_little_memory_is_refused_before_anything_is_made() {
    let (weights, places) = (Weights::embedded().unwrap(), places());
    let tight = RunOptions { limit_memory: Some(8 << 20), ..options(1) };
    match embedder((&weights, &places), &tight).map(|_| ()).unwrap_err() {
        Error::Memory { need, have, .. } => assert!(have == 8 << 20 && need > have),
        other => panic!("{other}"),
    }
}

#[test]
fn a_batch_that_does_not_fit_is_split_and_gives_the_same_bits() {
    let (weights, places) = (Weights::embedded().unwrap(), places());
    let with = (&weights, places.as_slice());
    let pictures: Vec<Prepared> = (0..4).map(|i| picture(7 * i)).collect();
    let mut whole = embedder(with, &options(4)).unwrap();
    let tight = RunOptions { limit_memory: Some(45 << 20), ..options(1024) };
    let mut split = embedder(with, &tight).unwrap();
    assert!(split.batch() < 1024, "45 MiB take {} pictures", split.batch());
    let (a, b) = (pollster::block_on(whole.run(&pictures)).unwrap(), pollster::block_on(split.run(&pictures)).unwrap());
    assert!(bits(&a) == bits(&b));
}

#[test]
fn an_unknown_place_lists_those_there_are() {
    let (weights, places) = (Weights::embedded().unwrap(), [String::from("block99")]);
    let text = embedder((&weights, &places), &options(1)).map(|_| ()).unwrap_err().to_string();
    let blocks = (0..16).map(|i| format!("block{i}, ")).collect::<String>();
    assert_eq!(text, format!("unknown place `block99`; available: {blocks}head, pool, logits"));
}
