//! AnomalyDINO and SubspaceAD against reference values: bytes of turned pictures, tokens, masks, distances, subspaces, maps and scores,
//! with the trained ViT-S/14 where it is at hand.

mod common;

use common::dino::{
    chw, crop, fitted, focus, found, hazelnut, hold, map_summary, one, sample64, shared, summary, tokens, with,
};
use common::skip::{MINUTES, skip, this_test};
use common::vectors::Vectors;
use lupe::data::{Picture, rotate_bilinear, rotate_nearest};
use lupe::methods::Fitted;
use lupe::methods::dino::foreground::{Growth, THRESHOLD, beyond, grown};
use lupe::methods::dino::spectrum::first_scores;
use lupe::methods::dino::{Config, Detector, Dino, Learned, Turns};
use lupe::models::{self, Network};
use lupe::tensor::Tensor;
use lupe::weights::Weights;
use std::sync::Arc;

type Net<'w> = (&'static Network, &'w Weights);

/// What is allowed: where no decoder of JPEGs lies between, and where one does.
struct Allowed {
    tokens: f64,
    scores: f64,
    bits: usize,
    distance: f64,
    score: f64,
}

const TIGHT: Allowed = Allowed { tokens: 5e-4, scores: 2e-3, bits: 0, distance: 1e-5, score: 5e-6 };

fn vectors() -> Vectors {
    Vectors::open("dino_ad.safetensors")
}

fn picture(width: usize, height: usize, prepared: lupe::data::Prepared) -> Tensor {
    match prepared {
        lupe::data::Prepared::Bytes { rgb, size } => {
            assert_eq!(size, [height, width]);
            Tensor::new([rgb.len()], rgb.iter().map(|&b| f32::from(b)).collect())
        }
        lupe::data::Prepared::Numbers(_) => panic!("8 bits were expected"),
    }
}

/// Bytes and numbers of a network's input; the sum of bytes is that before anything is cut.
fn input(v: &Vectors, name: &str, config: &Config, p: &Picture, tolerance: f64) {
    let preprocess = config.adapted(models::find("vit_s14_focus").unwrap()).preprocess;
    summary(v, &format!("{name}.input"), &chw(&preprocess.apply(p).unwrap()), 0, tolerance);
    if tolerance < 1e-5 {
        let uncut = lupe::data::Preprocess { cut: None, ..preprocess }.sized(p).unwrap();
        let sum: u64 = uncut.rgb8().iter().map(|&b| u64::from(b)).sum();
        assert_eq!(v.get(&format!("{name}.input.u8_sum")).data[0], sum as f32, "{name}");
        let prepared = picture(uncut.width / 14 * 14, uncut.height / 14 * 14, preprocess.prepare(p).unwrap());
        assert!(!prepared.data.is_empty());
    }
}

/// A turned picture, all bytes.
fn turned(v: &Vectors, name: &str, p: &Picture) {
    let bytes: Vec<f32> = p.rgb8().iter().map(|&b| f32::from(b)).collect();
    hold(v, &format!("{name}.rotated.sample64"), &sample64(&bytes), 0.0);
    let sum: u64 = p.rgb8().iter().map(|&b| u64::from(b)).sum();
    assert_eq!(v.get(&format!("{name}.rotated.u8_sum")).data[0], sum as f32, "{name}");
}

fn plain(network: &Network) -> Config {
    Config { turns: Turns::None, ..Config::anomaly_dino(network) }
}

fn subspace(network: &Network, turns: Turns) -> Config {
    Config { turns, ..Config::subspace_ad(network, &Weights::default(), None).unwrap() }
}

#[test]
fn pictures_are_turned_and_brought_to_size_to_the_byte() {
    let (v, network) = (vectors(), models::find("vit_s14_focus").unwrap());
    let (reference, test) = (crop(0), crop(1));
    let config = plain(network);
    input(&v, "crops.ref", &config, &reference, 2e-6);
    input(&v, "crops.test", &config, &test, 2e-6);
    let rotated = rotate_bilinear(&reference, 45.0);
    turned(&v, "crops.ref.rot45", &rotated);
    input(&v, "crops.ref.rot45", &config, &rotated, 2e-6);
    let config = subspace(network, Turns::Drawn(4));
    input(&v, "subspace_crops.ref", &config, &reference, 2e-6);
    let angles = config.angles(4, 0);
    hold(&v, "subspace_crops.ref.angles__f64", &angles.iter().map(|&a| a as f32).collect::<Vec<_>>(), 2e-5);
    let rotated = rotate_nearest(&reference, angles[0]);
    turned(&v, "subspace_crops.ref.aug0", &rotated);
    input(&v, "subspace_crops.ref.aug0", &config, &rotated, 2e-6);
    input(&v, "anomalib_crops.ref", &Config::anomalib(network), &reference, 2e-5);
    let all = subspace(network, Turns::Drawn(30));
    for (i, name) in ["ref00", "ref01"].into_iter().enumerate() {
        let angles: Vec<f32> = all.angles(30, i).iter().map(|&a| a as f32).collect();
        hold(&v, &format!("subspace.{name}.angles__f64"), &angles, 2e-5);
    }
}

/// Photographs of hazelnuts, decoded here: one is 512x522 and is cut.
#[test]
fn photographs_are_turned_and_brought_to_size_to_the_byte() {
    if !shared("data/hazelnut").exists() {
        return skip(&this_test(), "../shared/data/hazelnut is not here");
    }
    let (v, network) = (vectors(), models::find("vit_s14_focus").unwrap());
    for name in ["00", "01"] {
        let p = hazelnut(&format!("train/good/{name}.jpg"));
        let config = plain(network);
        input(&v, &format!("adino.ref{name}"), &config, &p, 2e-6);
        let rotated = rotate_bilinear(&p, 45.0);
        turned(&v, &format!("adino.ref{name}.rot45"), &rotated);
        input(&v, &format!("adino.ref{name}.rot45"), &config, &rotated, 2e-6);
        let config = subspace(network, Turns::Drawn(30));
        input(&v, &format!("subspace.ref{name}"), &config, &p, 2e-6);
        let rotated = rotate_nearest(&p, config.angles(1, name.parse().unwrap())[0]);
        turned(&v, &format!("subspace.ref{name}.aug0"), &rotated);
        input(&v, &format!("subspace.ref{name}.aug0"), &config, &rotated, 2e-6);
        input(&v, &format!("anomalib.ref{name}"), &Config::anomalib(network), &p, 2e-5);
    }
}

fn bits(v: &Vectors, name: &str, got: &[bool], allowed: usize) {
    let want = v.get(name);
    let off = got.iter().zip(&want.data).filter(|(g, w)| **g != (**w == 1.0)).count();
    println!("{name}: {off} bits off");
    assert!(off <= allowed && got.len() == want.data.len(), "{name}: {off} bits off");
}

fn flat(t: &Tensor) -> Tensor {
    let (n, d) = t.shape.rows();
    t.clone().reshape([n, d])
}

/// Tokens, scores on the first component and masks of a picture.
fn seen(v: &Vectors, name: &str, t: &Tensor, allowed: &Allowed) {
    summary(v, &format!("{name}.tokens"), &flat(t), 1, allowed.tokens);
    let (scores, grid) = (first_scores(t), [t.shape.dim(0), t.shape.dim(1)]);
    hold(v, &format!("{name}.pc1"), &scores.iter().map(|&s| s as f32).collect::<Vec<_>>(), allowed.scores);
    let raw = beyond(&scores, grid);
    bits(v, &format!("{name}.mask_raw__u8"), &raw, allowed.bits);
    bits(v, &format!("{name}.mask__u8"), &grown(&raw, grid, Growth::Column), allowed.bits);
    bits(v, &format!("{name}.mask_grid__u8"), &grown(&raw, grid, Growth::Grid), allowed.bits);
    let margin = scores.iter().map(|s| (s.abs() - THRESHOLD).abs()).fold(f64::INFINITY, f64::min);
    one(v, &format!("{name}.mask_margin__f64"), margin, allowed.scores);
}

/// Distances, scores and maps of a picture by a model, without a mask and with both.
fn judged(v: &Vectors, [case, name, views]: [&str; 3], (dino, net): (&Dino, Net), p: &Picture, allowed: &Allowed) {
    let Detector::Neighbors { neighbors, .. } = dino.file.config.detector else { panic!("it has no neighbours") };
    for (mask, growth) in [("nomask", None), ("mask", Some(Growth::Column)), ("mask_grid", Some(Growth::Grid))] {
        let detector = Detector::Neighbors { neighbors, mask: growth, mask_references: false };
        let masked = with(dino, net, Config { detector, ..dino.file.config.clone() });
        let found = found(&masked, std::slice::from_ref(p)).remove(0);
        assert!(found.whole);
        one(v, &format!("{case}.{name}.score.{views}.{mask}__f64"), found.score, allowed.score);
        if mask != "mask_grid" {
            map_summary(v, &format!("{case}.{name}.map.{views}.{mask}"), &found.map.unwrap(), allowed.score);
        }
    }
}

#[test]
fn anomalydino_on_crops() {
    let Some((network, weights)) = focus() else { return };
    let (v, net) = (vectors(), (network, &weights));
    let (reference, test) = (crop(0), crop(1));
    let config = Config::anomaly_dino(network);
    let rotated = rotate_bilinear(&reference, 45.0);
    let all = tokens(net, &config, &[reference.clone(), test.clone(), rotated]);
    seen(&v, "crops.ref", &all[0], &TIGHT);
    seen(&v, "crops.test", &all[1], &TIGHT);
    summary(&v, "crops.ref.rot45.tokens", &flat(&all[2]), 1, TIGHT.tokens);
    let turned = fitted(net, &config, &[&reference]);
    assert!(turned.limit().is_none() && turned.file.scores.is_empty(), "one picture gives no limit");
    let Learned::Bank { rows, counts } = &turned.file.learned else { panic!("no bank") };
    // Without views, the bank is what their own tokens are of it: the first 1024 rows.
    let own = Arc::new(Tensor::new([1024, 384], rows.data[..1024 * 384].to_vec()));
    assert_eq!((counts.as_slice(), v.get("crops.bank_rows").data[1]), (&[8192][..], 8192.0));
    judged(&v, ["crops", "test", "rot"], (&turned, net), &test, &TIGHT);
    let mut upright = turned.file.clone();
    upright.learned = Learned::Bank { rows: own, counts: vec![1024] };
    upright.backbone.weights = Some(weights.clone());
    let upright = Dino::new(upright, "a model", None).unwrap();
    judged(&v, ["crops", "test", "norot"], (&upright, net), &test, &TIGHT);
    for (dino, name) in [(&turned, "rot"), (&upright, "norot")] {
        let mut whole = dino.file.config.clone();
        whole.detector = Detector::Neighbors { neighbors: 1, mask: None, mask_references: false };
        let distances = grid_of(&with(dino, net, whole), &test);
        hold(&v, &format!("crops.test.distance.{name}"), &distances.data, TIGHT.distance);
    }
    // The reference itself is not anomalous at all.
    let same = found(&upright, &[reference]).remove(0);
    assert!(same.score < 1e-6, "{}", same.score);
}

/// Distances of patches, before they become a map.
fn grid_of(dino: &Dino, p: &Picture) -> Tensor {
    use lupe::methods::batched::RunOptions;
    use lupe::methods::batched::{Batched, head};
    let (gpu, preprocess) = (common::sweep::gpu(), dino.preprocess());
    let head = head(move |graph, pictures| dino.answer(graph, pictures, &gpu.caps).outputs);
    let prepared = preprocess.prepare(p).unwrap();
    let options = RunOptions { batch: 1, ..RunOptions::default() };
    let mut batched = pollster::block_on(Batched::new(gpu, &preprocess, prepared.size(), &options, head)).unwrap();
    let under = pollster::block_on(batched.submit(&[&prepared])).unwrap();
    let outputs = batched.collect(under).unwrap();
    dino.findings(&outputs, 1).remove(0).unwrap().map.unwrap()
}

#[test]
fn masked_references_on_crops() {
    let Some((network, weights)) = focus() else { return };
    let (v, net, test) = (vectors(), (network, &weights), crop(1));
    for (name, growth, rows) in [("mask_both", Growth::Column, 2), ("mask_grid_both", Growth::Grid, 3)] {
        let detector = Detector::Neighbors { neighbors: 1, mask: Some(growth), mask_references: true };
        let dino = fitted(net, &Config { detector, ..plain(network) }, &[&crop(0)]);
        let Learned::Bank { rows: bank, .. } = &dino.file.learned else { panic!("no bank") };
        assert_eq!(bank.shape.dim(0) as f32, v.get("crops.bank_rows").data[rows], "{name}");
        let found = found(&dino, std::slice::from_ref(&test)).remove(0);
        one(&v, &format!("crops.test.score.norot.{name}__f64"), found.score, TIGHT.score);
    }
}

#[test]
fn anomalibs_preset_on_crops() {
    let Some((network, weights)) = focus() else { return };
    let (v, net, test) = (vectors(), (network, &weights), crop(1));
    let config = Config::anomalib(network);
    summary(&v, "anomalib_crops.test.tokens", &flat(&tokens(net, &config, std::slice::from_ref(&test))[0]), 1, TIGHT.tokens);
    let dino = fitted(net, &config, &[&crop(0)]);
    let found = found(&dino, &[test]).remove(0);
    one(&v, "anomalib_crops.test.score__f64", found.score, TIGHT.score);
    map_summary(&v, "anomalib_crops.test.map", &found.map.unwrap(), TIGHT.score);
    assert!(!found.whole, "the map is over what the network saw");
}

/// Values relative to the largest.
fn relative(v: &Vectors, name: &str, got: &[f32], tolerance: f64) {
    let most = v.get(name).data.iter().fold(0f32, |m, v| m.max(v.abs()));
    hold(v, name, got, tolerance * f64::from(most));
}

#[test]
fn subspacead_on_crops() {
    let Some((network, weights)) = focus() else { return };
    let (v, net, test) = (vectors(), (network, &weights), crop(1));
    let own = tokens(net, &subspace(network, Turns::None), &[crop(0), test.clone()]);
    summary(&v, "subspace_crops.ref.tokens", &flat(&own[0]), 1, 2e-5);
    summary(&v, "subspace_crops.test.tokens", &flat(&own[1]), 1, 2e-5);
    for (case, turns, rows) in [("noaug", Turns::None, 1024.0), ("aug4", Turns::Drawn(4), 5120.0)] {
        let name = |what: &str| format!("subspace_crops.{case}.{what}");
        let dino = fitted(net, &subspace(network, turns), &[&crop(0)]);
        let Learned::Subspace(s) = &dino.file.learned else { panic!("no subspace") };
        assert_eq!((v.get(&name("rows")).data[0], v.get(&name("k")).data[0]), (rows, s.components.shape.dim(0) as f32));
        hold(&v, &name("mean"), &s.mean.iter().map(|&m| m as f32).collect::<Vec<_>>(), 1e-5);
        relative(&v, &name("eigenvalues__f64"), &s.eigenvalues.iter().map(|&m| m as f32).collect::<Vec<_>>(), 1e-4);
        relative(&v, &name("test.residual"), &s.outside(&own[1]), 1e-4);
        let found = found(&dino, std::slice::from_ref(&test)).remove(0);
        let want = f64::from(v.get(&name("test.score__f64")).data[0]);
        one(&v, &name("test.score__f64"), found.score, 1e-4 * want);
        let most = f64::from(v.get(&name("test.map.mean_max__f64")).data[1]);
        map_summary(&v, &name("test.map"), &found.map.unwrap(), 1e-4 * most);
    }
}
