//! AnomalyDINO (Damm et al. 2024, arXiv 2405.14529) and SubspaceAD (2026): anomalies by the patch tokens of a vision transformer, from a
//! few good pictures, without training.
//!
//! Both look at good pictures and at turned views of them. AnomalyDINO keeps their tokens; a patch is as anomalous as its token is far from
//! the nearest of these. SubspaceAD keeps the mean and the principal components of their tokens; a patch is as anomalous as what is left of
//! its token outside of these.

mod config;
mod describe;
mod file;
mod fit;
pub mod foreground;
mod learned;
mod model;
pub mod raise;
mod references;
pub mod spectrum;

pub use config::{Config, Detector, MOST_PATCHES, Preset, Turns};
pub use describe::{describe, views};
pub use file::ModelFile;
pub use fit::{ENOUGH, FitOptions, Good, Report, Times, fit};
pub use learned::{Comparison, Learned};
pub use model::Dino;

use super::fitted::Method;

/// The network that both were published with, in its smallest size.
pub const NETWORK: &str = "dinov2_vits14";

/// AnomalyDINO among the methods.
pub const ANOMALY_DINO: Method = Method { name: "anomalydino", describe, open: model::open };

/// SubspaceAD among the methods.
pub const SUBSPACE_AD: Method = Method { name: "subspacead", describe, open: model::open };
