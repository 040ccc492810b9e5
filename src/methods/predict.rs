//! Pictures through a fitted model, into results; and the same with labels, into metrics.

use super::batched::{RunOptions, Under};
use super::evaluation::Evaluation;
use super::fitted::{Finding, Fitted, Known};
use super::looking::{Device, Looked, Missed, look};
use super::results::Results;
use super::scorer::{Scored, Scorer, named};
use crate::data::Prepared;
use crate::data::dataset::{Dataset, Sample, good};
use crate::data::load::Loading;
use crate::engine::Gpu;
use crate::error::{Error, Result};
use crate::watch::Watch;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// What pictures are processed by, and how.
pub struct Work<'a> {
    /// The device.
    pub gpu: &'a Gpu,
    /// The model.
    pub fitted: &'a dyn Fitted,
    /// How it is planned.
    pub options: RunOptions,
    /// How pictures are loaded.
    pub loading: Loading,
    /// Whether the pictures' patch vectors are read back as well.
    pub features: bool,
    /// Who watches.
    pub watch: &'a dyn Watch,
}

/// Called with every picture.
pub type Each<'e> = dyn FnMut(&Sample, &Looked, &Finding) -> Result<()> + 'e;

/// A scorer whose answers go into results.
struct Scoring<'s, 'm, 'g, 'e> {
    scorer: Scorer<'m, 'g>,
    samples: &'s [Sample],
    results: &'s mut Results<'m>,
    each: &'s mut Each<'e>,
}

impl Device for Scoring<'_, '_, '_, '_> {
    type Answer = Vec<Result<Scored>>;

    fn batch(&self) -> usize {
        self.scorer.batch()
    }

    async fn submit(&mut self, pictures: &[&Prepared]) -> Result<Under> {
        self.scorer.submit(pictures).await
    }

    fn collect(&mut self, under: Under, pictures: usize) -> Result<Self::Answer> {
        self.scorer.collect(under, pictures)
    }

    fn take(&mut self, found: Self::Answer, looked: Vec<Looked>) -> Result<()> {
        for (looked, scored) in looked.into_iter().zip(found) {
            let Some(sample) = self.samples.get(looked.number) else { continue };
            let scored = scored.map_err(|e| named(&sample.name, e))?;
            (self.each)(sample, &looked, &scored.finding)?;
            self.results.add(sample, looked, scored)?;
        }
        Ok(())
    }
}

/// Scores `samples` into `results`, and calls `each` with every one.
///
/// # Errors
/// [`Error::Input`] for a picture that cannot be read, unless [`Loading::keep_going`]; [`Error::Numeric`] if an answer is not a
/// number; [`Error::Output`] for a file that cannot be written; whatever the device reports.
pub async fn predict<'m>(
    work: &'m Work<'_>,
    samples: &[Sample],
    results: &mut Results<'m>,
    each: &mut Each<'_>,
) -> Result<Missed> {
    let scorer = Scorer::new(work.gpu, work.fitted, &work.options, work.features).await?;
    let preprocess = work.fitted.preprocess();
    let mut scoring = Scoring { scorer, samples, results, each };
    let missed = look(&mut scoring, (samples, &preprocess), &work.loading, work.watch).await?;
    for (number, why) in &missed.failed {
        if let Some(sample) = samples.get(*number) {
            results.add_failed(*number, sample, why);
        }
    }
    Ok(missed)
}

/// Labelled pictures to test with.
#[derive(Clone, Debug)]
pub struct Labelled {
    /// The data set's folder or table.
    pub root: PathBuf,
    /// The pictures, in bytewise order of their names.
    pub samples: Vec<Sample>,
}

/// Scores labelled pictures into `results`: the metrics, and which pictures were skipped. Pictures that the model was fitted on are left
/// out as far as `work` says. Pixels at the pictures' own size are counted in `room` bytes.
///
/// # Errors
/// As [`predict`]; [`Error::Input`] if no picture is left.
pub async fn evaluate<'m>(
    work: &'m Work<'_>,
    labelled: &Labelled,
    results: &mut Results<'m>,
    room: u64,
) -> Result<(Value, Missed)> {
    let samples = labelled.samples.as_slice();
    let mut evaluation = Evaluation::new(work.fitted, samples, room);
    let mut each = |sample: &Sample, looked: &Looked, found: &Finding| evaluation.add(sample, looked, found);
    let missed = predict(work, samples, results, &mut each).await?;
    if evaluation.pictures() == 0 {
        let why = if missed.failed.is_empty() { "the model was fitted on all of them" } else { "none can be read" };
        return Err(Error::Input(format!(
            "{}: no picture is left to test on: {why}",
            crate::error::shown(&labelled.root)
        )));
    }
    let train = match work.fitted.known() {
        Known::Fitted { on, .. } => on.len(),
        Known::Unknown => 0,
    };
    let counts = Map::from_iter([
        ("train".to_string(), json!(train)),
        ("skipped_seen".into(), json!(missed.left_out)),
        ("failed".into(), json!(missed.failed.len())),
    ]);
    let mut model = work.fitted.facts();
    model.insert("method".into(), json!(work.fitted.method()));
    model.insert("limit".into(), json!(work.fitted.limit()));
    model.insert("pixel_limit".into(), json!(work.fitted.map_limit()));
    model.insert("limit_rule".into(), json!(work.fitted.limit_rule().map(|rule| rule.to_string())));
    model.insert("train".into(), json!(train));
    let i = &work.gpu.info;
    let device = json!({"name": i.name, "backend": i.backend, "driver": i.driver, "driver_info": i.driver_info});
    Ok((evaluation.finish(counts, model.into(), device)?, missed))
}

/// Hashes of the pictures that a model was fitted on, or given for that.
pub fn fitted_on(fitted: &dyn Fitted) -> BTreeSet<String> {
    match fitted.known() {
        Known::Fitted { on, left_out, .. } => {
            on.iter().chain(left_out.iter().map(|l| &l.picture)).map(|p| p.sha256.clone()).collect()
        }
        Known::Unknown => BTreeSet::new(),
    }
}

/// Test pictures of a data set; if it has no good ones, those that the fit kept aside.
///
/// Either every defective picture must have a mask, or none, unless those without are to be left out (`skip_unmasked`).
///
/// # Errors
/// [`Error::Input`] if there are none, or masks are missing.
pub fn to_test(fitted: &dyn Fitted, set: Dataset, skip_unmasked: bool) -> Result<Labelled> {
    let root = set.root.clone();
    let aside: BTreeSet<&str> = match fitted.known() {
        Known::Fitted { held_out, .. } => held_out.iter().map(|p| p.name.as_str()).collect(),
        Known::Unknown => BTreeSet::new(),
    };
    let test_good = set.test.iter().any(good);
    let kept = set.train.into_iter().filter(|s| !test_good && aside.contains(s.name.as_str()));
    let mut all: Vec<Sample> = set.test.into_iter().chain(kept).collect();
    all.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
    if all.is_empty() {
        return Err(Error::Input(format!(
            "{}: has no pictures to test on; expected test/*, or folders of defects beside good/",
            crate::error::shown(&root)
        )));
    }
    if all.iter().all(|s| s.mask.is_none()) {
        return Ok(Labelled { root, samples: all });
    }
    let unmasked: Vec<&Sample> = all.iter().filter(|s| !good(s) && s.mask.is_none()).collect();
    match unmasked.first() {
        Some(first) if !skip_unmasked => Err(Error::Input(format!(
            "{} defective pictures have no mask, the first is {}; add masks or give --skip-unmasked",
            unmasked.len(),
            crate::error::plain(&first.name)
        ))),
        _ => Ok(Labelled { root, samples: all.into_iter().filter(|s| good(s) || s.mask.is_some()).collect() }),
    }
}
