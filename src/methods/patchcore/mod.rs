//! PatchCore (Roth et al. 2022, arXiv 2106.08265): patch vectors of good pictures, thinned by greedy k-centre selection into a memory
//! bank; the score of a place is its distance to the nearest vector there. In the two variants that people compare against.

mod bag;
mod config;
mod describe;
mod file;
mod fit;
pub mod import;
mod model;
pub mod projection;
pub mod score;
pub mod select;
mod training;

pub use super::backbone::Backbone;
pub use config::{Config, Grid, Preset, layer};
pub use describe::describe;
pub use file::ModelFile;
pub use fit::{FitOptions, Good, Report, Times, fit};
pub use model::PatchCore;

use super::fitted::Method;

/// Maximum number of patch vectors of a fit: kernels number them in f32.
pub const MAX_ROWS: usize = 1 << 24;

/// PatchCore among the methods.
pub const METHOD: Method = Method { name: "patchcore", describe, open: model::open };
