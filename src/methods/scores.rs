//! Scores of pictures by a fitted model, and nothing else of what is found.

use super::batched::{RunOptions, Under};
use super::fitted::Fitted;
use super::looking::{Device, Looked, look};
use super::scorer::{Scored, Scorer, named};
use crate::data::Prepared;
use crate::data::dataset::Sample;
use crate::data::load::Loading;
use crate::engine::Gpu;
use crate::error::{Error, Result};
use crate::watch::Watch;

/// A scorer of whose answers scores are kept.
struct Scoring<'s, 'm, 'g> {
    scorer: Scorer<'m, 'g>,
    samples: &'s [Sample],
    scores: Vec<f64>,
}

impl Device for Scoring<'_, '_, '_> {
    type Answer = Vec<Result<Scored>>;

    fn batch(&self) -> usize {
        self.scorer.batch()
    }

    fn most(&self, size: [usize; 2]) -> usize {
        self.scorer.most(size)
    }

    async fn submit(&mut self, pictures: &[&Prepared]) -> Result<Under> {
        self.scorer.submit(pictures).await
    }

    fn collect(&mut self, under: Under, pictures: usize) -> Result<Self::Answer> {
        self.scorer.collect(under, pictures)
    }

    fn take(&mut self, found: Self::Answer, looked: Vec<Looked>) -> Result<()> {
        for (looked, scored) in looked.into_iter().zip(found) {
            let name = self.samples.get(looked.number).map_or("", |s| &s.name);
            let finding = scored.map_err(|e| named(name, e))?.finding;
            self.scores.push(self.scorer.at_own_size(finding, &looked.picture).score);
        }
        Ok(())
    }
}

/// The score of each sample, in their order.
///
/// # Errors
/// As [`Scorer::new`]; [`Error::Input`] for a picture that cannot be read; [`Error::Numeric`] where a score is not a number; whatever the
/// device and the watcher report.
pub async fn scores(
    (gpu, fitted): (&Gpu, &dyn Fitted),
    samples: &[Sample],
    (options, loading): (&RunOptions, &Loading),
    watch: &dyn Watch,
) -> Result<Vec<f64>> {
    let scorer = Scorer::new(gpu, fitted, options, false).await?;
    let preprocess = fitted.preprocess();
    let loading = Loading { keep_going: false, ..loading.clone() };
    let mut scoring = Scoring { scorer, samples, scores: vec![] };
    look(&mut scoring, (samples, &preprocess), &loading, watch).await?;
    match scoring.scores.len() == samples.len() {
        true => Ok(scoring.scores),
        false => Err(Error::Internal(format!("{} of {} pictures have a score", scoring.scores.len(), samples.len()))),
    }
}
