//! Prototypes (Snell et al. 2017, arXiv 1703.05175): a picture is of the class whose mean vector is nearest to its own. Nothing is
//! trained: a fit adds up vectors of a pretrained network, and more pictures can be added to the sums.

mod adapt;
mod config;
mod describe;
mod file;
pub mod finetune;
mod fit;
pub mod head;
mod learner;
mod micro;
mod model;
mod scalars;

pub use adapt::{Adaptation, Adapted, Pictures, TRIALS, decoded, with_rate};
pub use config::{Asked, Config, Preset};
pub use describe::{class_words, describe, distance_words};
pub use file::ModelFile;
pub use fit::{FitOptions, Report, Start, fit};
pub use learner::Learner;
pub use model::Prototype;
pub use scalars::Scalars;

use super::fitted::Method;

/// Prototypes among the methods.
pub const METHOD: Method = Method { name: file::METHOD, describe, open: model::open };
