//! CAML (Fifty et al., ICLR 2024) as a method: a support of a few pictures of each class, and a transformer that reads it together with
//! each picture that is asked about. Nothing is trained; a fit computes the features of the support.

mod config;
mod describe;
mod file;
mod fit;
mod flip;
mod learner;
mod model;
mod support;
mod ways;

pub use config::{Average, Config, Many};
pub use describe::{class_words, describe, label_words};
pub use file::{ModelFile, Origin};
pub use fit::{Asked, FitOptions, Report, Start, fit};
pub use flip::{Verdict, self_test};
pub use learner::{Learner, Planned};
pub use model::CamlModel;
pub use ways::{Asking, Ways};

use super::fitted::Method;

/// CAML among the methods.
pub const METHOD: Method = Method { name: file::METHOD, describe, open: model::open };
