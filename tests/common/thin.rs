//! `resnet50_thin`, a ResNet with biases in the place of batch norms: its weights are a file of the repository.

use lupe::models::{self, Network};
use lupe::weights::{Weights, WeightsFile};
use std::path::Path;

pub const NAME: &str = "resnet50_thin";

pub const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/weights/resnet50_thin.f16.safetensors");

/// What makes `fit` and `import` take it.
pub const BACKBONE: [&str; 4] = ["--backbone", NAME, "--weights", FILE];

pub fn network() -> &'static Network {
    models::find(NAME).unwrap()
}

pub fn weights() -> Weights {
    models::open(NAME, Some(&WeightsFile::from(Path::new(FILE)))).unwrap().1
}
