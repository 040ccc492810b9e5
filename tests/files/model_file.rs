//! The model file: what goes in comes out, the same bytes every time, and no damage goes unseen.

use crate::common::hash;
use lupe::Error;
use lupe::methods::Seen;
use lupe::methods::patchcore::{Backbone, ModelFile};
use lupe::methods::patchcore::{Config, Grid, Preset};
use lupe::tensor::Tensor;
use lupe::weights::Weights;
use proptest::prelude::*;
use std::sync::Arc;

fn model() -> ModelFile {
    let half = Tensor::new([2, 3], vec![0.5, -1.25, 3.0, 0.0, 1024.0, -0.0625]);
    let weights =
        Weights::from_tensors([("conv1.weight".into(), half), ("fc.bias".into(), Tensor::new([1], vec![0.1]))]);
    let seen = |i: usize| Seen { name: format!("good/{i:02}.png"), sha256: format!("{i:064x}") };
    ModelFile {
        config: Config::new(Preset::Official),
        geometry: Grid { grid: [28, 28], dim: 6 },
        backbone: Backbone { name: "resnet50_thin".into(), sha256: weights.sha256(), weights: Some(weights) },
        bank: Arc::new(hash::tensor("bank", [5, 6], 1.0, 0.0)),
        sources: vec![[0, 3], [0, 700], [1, 0], [3, 1], [3, 783]],
        pictures: (0..4).map(seen).collect(),
        scores: vec![1.5, 2.25, 0.75, 1.0],
        peaks: vec![1.25, 2.0, f64::INFINITY, 0.5],
        left_out: vec![],
        held_out: vec![seen(9)],
        limit_rule: Default::default(),
        origin: None,
    }
}

/// The same bank, from elsewhere.
fn imported() -> ModelFile {
    let (sources, pictures, scores, peaks, held_out) = (vec![], vec![], vec![], vec![], vec![]);
    ModelFile { sources, pictures, scores, peaks, held_out, origin: Some("somebody else's".into()), ..model() }
}

/// Everything of a model, comparable.
fn content(m: &ModelFile) -> String {
    let weights = m.backbone.weights.as_ref().map(|w| w.tensors().clone());
    format!(
        "{:?} {:?} {:?} {weights:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
        m.config,
        m.geometry,
        m.backbone.sha256,
        m.bank.data,
        m.sources,
        m.pictures,
        m.scores,
        m.peaks,
        m.held_out,
        m.origin
    )
}

fn refused(bytes: &[u8], by: &str) {
    match ModelFile::from_bytes(bytes, "m.lupe") {
        Ok(_) => panic!("{by}: it was read"),
        Err(e) => {
            assert_eq!(e.exit_code(), 4, "{e}");
            assert!(e.to_string().contains(by), "{by}: {e}");
        }
    }
}

#[test]
fn there_and_back() {
    let (m, bytes) = (model(), model().to_bytes().unwrap());
    assert_eq!(bytes, m.to_bytes().unwrap());
    let back = ModelFile::from_bytes(&bytes, "m.lupe").unwrap();
    assert_eq!(content(&back), content(&m));
    assert_eq!(back.to_bytes().unwrap(), bytes);
    assert_eq!((back.limit(), back.map_limit()), (Some(2.25), Some(2.0)));
    assert_eq!([0, 1, 2, 3].map(|i| back.own_rows(i)), [(0, 2), (2, 3), (3, 3), (3, 5)]);
    let entries = lupe::weights::safetensors::inspect(&bytes, "m.lupe").unwrap();
    let dtype = |name: &str| entries.iter().find(|e| e.name == name).unwrap().dtype.clone();
    assert_eq!([dtype("backbone.conv1.weight"), dtype("backbone.fc.bias")], ["F16", "F32"]);
    let mut bare = model();
    bare.backbone.weights = None;
    let back = ModelFile::from_bytes(&bare.to_bytes().unwrap(), "m.lupe").unwrap();
    assert!(back.backbone.weights.is_none());
}

#[test]
fn an_imported_model_there_and_back() {
    let (m, bytes) = (imported(), imported().to_bytes().unwrap());
    let back = ModelFile::from_bytes(&bytes, "m.lupe").unwrap();
    assert_eq!(content(&back), content(&m));
    assert_eq!(back.to_bytes().unwrap(), bytes);
    assert_eq!((back.limit(), back.map_limit(), back.origin.as_deref()), (None, None, Some("somebody else's")));
    assert!(back.spread() > 0.0 && back.spread().is_finite());
    // The file of a fit does not change by there being others.
    assert!(!String::from_utf8_lossy(&model().to_bytes().unwrap()).contains("origin"));
}

#[test]
fn a_byte_flipped_is_seen_or_harmless() {
    let bytes = model().to_bytes().unwrap();
    let whole = content(&ModelFile::from_bytes(&bytes, "m.lupe").unwrap());
    let mut harmless = 0;
    for i in 0..500u64 {
        let z = hash::z(hash::fnv1a64("flip"), i);
        let mut flipped = bytes.clone();
        flipped[(z >> 8) as usize % bytes.len()] ^= (z as u8).max(1);
        match ModelFile::from_bytes(&flipped, "m.lupe") {
            Ok(m) => {
                assert_eq!(content(&m), whole, "flip {i} went unseen");
                harmless += 1;
            }
            Err(e) => assert_eq!(e.exit_code(), 4, "{e}"),
        }
    }
    println!("{harmless} of 500 flips were harmless");
    assert!(harmless < 25, "{harmless} flips changed nothing");
}

#[test]
fn what_is_no_model_is_refused() {
    let bytes = model().to_bytes().unwrap();
    refused(&bytes[..bytes.len() - 1], "damaged");
    refused(b"", "damaged, or not a model file");
    refused(lupe::weights::EMBEDDED, "not a Lupe model");
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let at = text.find("\\\"format_version\\\":1").expect("the version stands in the header") + 19;
    let mut newer = bytes.clone();
    newer[at] = b'7';
    refused(&newer, "format 7, but this version of Lupe reads formats up to 1");
}

#[test]
fn what_does_not_fit_itself_is_refused() {
    let broken = |change: &dyn Fn(&mut ModelFile), by: &str| {
        let mut m = model();
        change(&mut m);
        refused(&m.to_bytes().unwrap(), by);
    };
    broken(&|m| m.sources[4] = [4, 0], "places that do not exist");
    broken(&|m| m.sources[4] = [3, 784], "places that do not exist");
    broken(&|m| m.sources.swap(0, 1), "out of order");
    broken(&|m| m.geometry.dim = 7, "bank has shape [5,6]");
    broken(&|m| m.geometry.grid = [usize::MAX, 2], "impossible");
    broken(&|m| m.scores.truncate(3), "3 scores");
    broken(&|m| m.peaks.truncate(1), "1 scores");
    broken(&|m| m.config.ratio = 2.0, "ratio 2");
    broken(&|m| m.backbone.sha256 = "0".repeat(64), "not the one it names");
}

#[test]
fn an_imported_model_knows_nothing_of_pictures_and_a_fitted_one_does() {
    let broken = |mut m: ModelFile, change: &dyn Fn(&mut ModelFile), by: &str| {
        change(&mut m);
        refused(&m.to_bytes().unwrap(), by);
    };
    broken(model(), &|m| m.sources.clear(), "0 rows of 6 are listed");
    broken(model(), &|m| m.origin = Some("x".into()), "imported, and yet lists pictures");
    broken(imported(), &|m| m.origin = None, "0 rows of 6 are listed");
    broken(imported(), &|m| m.pictures = model().pictures, "imported, and yet lists pictures");
    broken(imported(), &|m| m.sources = model().sources, "imported, and yet lists pictures");
    broken(imported(), &|m| m.held_out = model().held_out, "imported, and yet lists pictures");
    broken(imported(), &|m| m.scores = vec![1.0], "imported, and yet lists pictures");
    broken(imported(), &|m| m.peaks = vec![1.0], "imported, and yet lists pictures");
    broken(imported(), &|m| m.bank = Arc::new(hash::tensor("bank", [5, 5], 1.0, 0.0)), "bank has shape [5,5]");
    broken(imported(), &|m| m.bank = Arc::new(Tensor::new([30], vec![0.5; 30])), "bank has shape [30]");
    broken(imported(), &|m| m.bank = Arc::new(Tensor::zeros([0, 6])), "bank has shape [0,6]");
}

#[test]
fn numbers_that_are_none_survive_the_file() {
    let mut m = model();
    m.bank = Arc::new(Tensor::new([5, 6], vec![f32::NAN; 30]));
    let back = ModelFile::from_bytes(&m.to_bytes().unwrap(), "m.lupe").unwrap();
    assert!(back.bank.data.iter().all(|v| v.is_nan()), "scoring refuses them, with its own code");
    assert!(matches!(Error::Numeric(String::new()).exit_code(), 7));
}

proptest! {
    #[test]
    fn any_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(ModelFile::from_bytes(&bytes, "x").is_err());
    }
}
