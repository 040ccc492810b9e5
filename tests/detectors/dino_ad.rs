//! AnomalyDINO and SubspaceAD against reference values: bytes of turned pictures, tokens, masks, distances, subspaces, maps and scores,
//! with the trained ViT-S/14 where it is at hand.

use crate::common::dino::{
    chw, compared, crop, fitted, focus, found, hazelnut, hold, map_summary, one, sample64, shared, summary, tokens,
};
use crate::common::skip::{skip, this_test};
use crate::common::vectors::Vectors;
use lupe::data::{Picture, rotate_bilinear, rotate_nearest};
use lupe::methods::Fitted;
use lupe::methods::dino::foreground::{Growth, THRESHOLD, beyond, grown};
use lupe::methods::dino::spectrum::{Moments, first_scores};
use lupe::methods::dino::{Config, Detector, Learned, Turns};
use lupe::models::{self, Network};
use lupe::tensor::Tensor;
use lupe::weights::Weights;
use std::sync::{Arc, OnceLock};

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

/// Bytes and numbers of a network's input; the sum of bytes is that before anything is cut.
fn input(v: &Vectors, name: &str, config: &Config, p: &Picture, tolerance: f64) {
    let preprocess = config.adapted(models::find("vit_s14_focus").unwrap()).preprocess;
    summary(v, &format!("{name}.input"), &chw(&preprocess.apply(p).unwrap()), 0, tolerance);
    if tolerance < 1e-5 {
        let uncut = lupe::data::Preprocess { cut: None, ..preprocess }.sized(p).unwrap();
        let sum: u64 = uncut.rgb8().iter().map(|&b| u64::from(b)).sum();
        assert_eq!(v.get(&format!("{name}.input.u8_sum")).data[0], sum as f32, "{name}");
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

/// Distances, scores and maps of the test crop, without a mask and with both.
fn judged(v: &Vectors, views: &str, learned: &Learned, test: &Tensor) {
    let distances = compared(learned, std::slice::from_ref(test)).remove(0);
    hold(v, &format!("crops.test.distance.{views}"), &distances.data, TIGHT.distance);
    let network = models::find("vit_s14_focus").unwrap();
    for (mask, growth) in [("nomask", None), ("mask", Some(Growth::Column)), ("mask_grid", Some(Growth::Grid))] {
        let detector = Detector::Neighbors { neighbors: 1, mask: growth, mask_references: false };
        let config = Config { detector, ..plain(network) };
        let found = config.finding(distances.clone(), Some(test)).unwrap();
        one(v, &format!("crops.test.score.{views}.{mask}__f64"), found.score, TIGHT.score);
        if mask != "mask_grid" {
            let map = config.raise().map(&found.map.unwrap(), [224, 224]);
            map_summary(v, &format!("crops.test.map.{views}.{mask}"), &map, TIGHT.score);
        }
    }
}

/// Tokens of the crops, and of the first one turned by 45 degrees, as AnomalyDINO has them: made once.
fn crops(net: Net) -> &'static [Tensor; 3] {
    static TOKENS: OnceLock<[Tensor; 3]> = OnceLock::new();
    let make = || tokens(net, &plain(net.0), &[crop(0), crop(1), rotate_bilinear(&crop(0), 45.0)]).try_into().unwrap();
    TOKENS.get_or_init(make)
}

#[test]
fn anomalydino_on_crops() {
    let Some((network, weights)) = focus() else { return };
    let (v, net) = (vectors(), (network, &weights));
    let [reference, test, turned] = crops(net);
    seen(&v, "crops.ref", reference, &TIGHT);
    seen(&v, "crops.test", test, &TIGHT);
    summary(&v, "crops.ref.rot45.tokens", &flat(turned), 1, TIGHT.tokens);
    let dino = fitted(net, &Config::anomaly_dino(network), &[&crop(0)]);
    assert!(dino.limit().is_none() && dino.file.scores.is_empty(), "one picture gives no limit");
    let Learned::Bank { rows, counts } = &dino.file.learned else { panic!("no bank") };
    assert_eq!((counts.as_slice(), v.get("crops.bank_rows").data[1]), (&[8192][..], 8192.0));
    judged(&v, "rot", &dino.file.learned, test);
    // The picture itself comes first among its views.
    let own = Arc::new(Tensor::new([1024, 384], rows.data[..1024 * 384].to_vec()));
    let upright = Learned::Bank { rows: own, counts: vec![1024] };
    judged(&v, "norot", &upright, test);
    let itself = compared(&upright, std::slice::from_ref(reference)).remove(0);
    assert!(itself.data.iter().all(|d| d.abs() < 1e-6), "a copy is not anomalous at all");
    // The way of a picture through the model.
    let found = found(&dino, &[crop(1)]).remove(0);
    assert!(found.whole, "the map has the picture's own size");
    one(&v, "crops.test.score.rot.nomask__f64", found.score, TIGHT.score);
    map_summary(&v, "crops.test.map.rot.nomask", &found.map.unwrap(), TIGHT.score);
}

#[test]
fn masked_references_on_crops() {
    let Some((network, weights)) = focus() else { return };
    let (v, net) = (vectors(), (network, &weights));
    let test = &crops(net)[1];
    for (name, growth, rows) in [("mask_both", Growth::Column, 2), ("mask_grid_both", Growth::Grid, 3)] {
        let detector = Detector::Neighbors { neighbors: 1, mask: Some(growth), mask_references: true };
        let config = Config { detector, ..plain(network) };
        let learned = fitted(net, &config, &[&crop(0)]).file.learned;
        let Learned::Bank { rows: bank, .. } = &learned else { panic!("no bank") };
        assert_eq!(bank.shape.dim(0) as f32, v.get("crops.bank_rows").data[rows], "{name}");
        let distances = compared(&learned, std::slice::from_ref(test)).remove(0);
        let found = config.finding(distances, Some(test)).unwrap();
        one(&v, &format!("crops.test.score.norot.{name}__f64"), found.score, TIGHT.score);
    }
}

#[test]
fn anomalibs_preset_on_crops() {
    let Some((network, weights)) = focus() else { return };
    let (v, net, test) = (vectors(), (network, &weights), crop(1));
    let config = Config::anomalib(network);
    summary(
        &v,
        "anomalib_crops.test.tokens",
        &flat(&tokens(net, &config, std::slice::from_ref(&test))[0]),
        1,
        TIGHT.tokens,
    );
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
    let turned = fitted(net, &subspace(network, Turns::Drawn(4)), &[&crop(0)]);
    let mut moments = Moments::about(&own[0]);
    moments.add(&own[0]);
    let plain = Learned::Subspace(moments.subspace(0.99).unwrap());
    for (case, learned) in [("noaug", &plain), ("aug4", &turned.file.learned)] {
        let name = |what: &str| format!("subspace_crops.{case}.{what}");
        let Learned::Subspace(s) = learned else { panic!("no subspace") };
        assert_eq!(v.get(&name("k")).data[0], s.components.shape.dim(0) as f32, "{case}");
        hold(&v, &name("mean"), &s.mean.iter().map(|&m| m as f32).collect::<Vec<_>>(), 1e-5);
        relative(&v, &name("eigenvalues__f64"), &s.eigenvalues.iter().map(|&m| m as f32).collect::<Vec<_>>(), 1e-4);
        relative(&v, &name("test.residual"), &s.outside(&own[1]), 1e-4);
        let found = match case {
            "noaug" => turned.file.config.finding(compared(learned, &own[1..]).remove(0), None).unwrap(),
            _ => found(&turned, std::slice::from_ref(&test)).remove(0),
        };
        let want = f64::from(v.get(&name("test.score__f64")).data[0]);
        one(&v, &name("test.score__f64"), found.score, 1e-4 * want);
        let most = f64::from(v.get(&name("test.map.mean_max__f64")).data[1]);
        map_summary(&v, &name("test.map"), &found.map.unwrap(), 1e-4 * most);
    }
}
