//! A classifier: vectors of a network and one linear layer, trained by cross-entropy on a folder of classes. The network stays as it is, or
//! all of it is trained (the usual baseline of few-shot studies: a pretrained ResNet and a new last layer).

mod asked;
mod config;
mod describe;
mod examples;
mod file;
mod fit;
mod head;
mod model;
mod split;
mod train;

pub use config::{Asked, Config, Layers, Optimizer};
pub use describe::{class_words, describe, trained_words, validation_words};
pub use examples::{Examples, Inputs};
pub use file::{Figures, Learned, ModelFile, Part};
pub use fit::{FitOptions, Report, Start, fit};
pub use head::{Body, Step, initial};
pub use model::Classifier;
pub use split::kept;
pub use train::{Trained, train};

use super::fitted::Method;

/// Classifiers among the methods.
pub const METHOD: Method = Method { name: file::METHOD, describe, open: model::open };
