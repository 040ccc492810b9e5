//! The training of student and autoencoder.

use super::begin::Begun;
use super::fit::FitOptions;
use crate::engine::{Gpu, Named};
use crate::error::{Error, Result};
use crate::watch::Watch;

/// Trains student and autoencoder as the choices say, from [`Networks::initial`](super::Networks::initial) weights, on the examples of what
/// has begun: their weights, `student.*` and `ae.*`.
///
/// # Errors
/// [`Error::Usage`]: training is not part of this version.
pub async fn train(gpu: &Gpu, begun: &Begun<'_>, options: &FitOptions, watch: &dyn Watch) -> Result<Named> {
    let _ = (gpu, begun, options);
    watch.go_on()?;
    Err(Error::Usage("fit efficientad: training is not part of this version of Lupe".into()))
}
