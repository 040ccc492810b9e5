//! EfficientAD (Batzner, Heckler and König 2023, arXiv 2303.14535): a student that was taught on good pictures alone says what a teacher
//! says, and what an autoencoder says of the whole picture; where it does not, the picture is not as good ones are.
//!
//! The teacher is a PDN from a file, frozen. Student and autoencoder are trained for each kind of part. What a picture's pixels are worth
//! is the mean of two maps, teacher against student and autoencoder against student, each brought to one scale by what good pictures have
//! that nobody was trained on.

mod begin;
pub mod config;
mod describe;
mod examples;
mod file;
mod fit;
mod held;
mod looking;
pub mod maps;
mod model;
mod networks;
mod split;
mod statistics;
pub mod step;
mod taught;
pub mod teacher;
pub mod train;

pub use begin::{Begun, Good, begin};
pub use config::{Border, Config, Penalty, Preset};
pub use describe::{describe, ended, ended_json};
pub use examples::{Changed, Example, Examples};
pub use file::ModelFile;
pub use fit::{FitOptions, Report, Times, fit};
pub use model::EfficientAd;
pub use networks::{AUTOENCODER, Maps, Networks, STUDENT, TEACHER};
pub use split::{Kept, Split};
pub use statistics::{Statistics, Sums};
pub use teacher::Teacher;

use super::fitted::Method;

/// EfficientAD among the methods.
pub const METHOD: Method = Method { name: "efficientad", describe, open: model::open };
