//! Pictures through a fitted model, into results; and the same with labels, into metrics.

use super::batched::{RunOptions, Under};
use super::evaluation::Evaluation;
use super::fitted::{Finding, Fitted, Known};
use super::looking::{Device, Looked, Missed, look};
use super::results::Results;
use super::scorer::{Scored, Scorer, named};
use crate::data::Prepared;
use crate::data::dataset::{Census, Counted, Dataset, Sample, good, pictures_not_masks, reason, tests_not_masks};
use crate::data::load::{Loading, read};
use crate::engine::Gpu;
use crate::error::{Error, Result, plain, shown};
use crate::files::sha256;
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

impl Work<'_> {
    /// Hands `take` what is found in each sample, in turn.
    async fn scored(&self, samples: &[Sample], take: &mut Take<'_>) -> Result<Missed> {
        let scorer = Scorer::new(self.gpu, self.fitted, &self.options, self.features).await?;
        let preprocess = self.fitted.preprocess();
        look(&mut Scoring { scorer, samples, take }, (samples, &preprocess), &self.loading, self.watch).await
    }
}

/// Called with every picture.
pub type Each<'e> = dyn FnMut(&Sample, &Looked, &Finding) -> Result<()> + 'e;

/// Takes what was found in a picture.
type Take<'t> = dyn FnMut(&Sample, Looked, Scored) -> Result<()> + 't;

/// A scorer whose answers somebody takes.
struct Scoring<'s, 'm, 'g, 't> {
    scorer: Scorer<'m, 'g>,
    samples: &'s [Sample],
    take: &'s mut Take<'t>,
}

impl Device for Scoring<'_, '_, '_, '_> {
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
            let Some(sample) = self.samples.get(looked.number) else { continue };
            let scored = scored.map_err(|e| named(&sample.name, e))?;
            let scored = Scored { finding: self.scorer.at_own_size(scored.finding, &looked.picture), ..scored };
            (self.take)(sample, looked, scored)?;
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
    let mut take = |sample: &Sample, looked: Looked, scored: Scored| {
        each(sample, &looked, &scored.finding)?;
        results.add(sample, looked, scored)
    };
    let missed = work.scored(samples, &mut take).await?;
    for (number, why) in &missed.failed {
        if let Some(sample) = samples.get(*number) {
            results.add_failed(*number, sample, why);
        }
    }
    Ok(missed)
}

/// The score of each sample, in their order.
///
/// # Errors
/// As [`predict`]; [`Error::Internal`] for work that goes on without pictures that cannot be read.
pub async fn scores(work: &Work<'_>, samples: &[Sample]) -> Result<Vec<f64>> {
    let mut scores = vec![];
    let mut take = |_: &Sample, _: Looked, scored: Scored| {
        scores.push(scored.finding.score);
        Ok(())
    };
    work.scored(samples, &mut take).await?;
    match scores.len() == samples.len() {
        true => Ok(scores),
        false => Err(Error::Internal(format!("{} of {} pictures have a score", scores.len(), samples.len()))),
    }
}

/// Labelled pictures to test with.
#[derive(Clone, Debug)]
pub struct Labelled {
    /// The data set's folder or table.
    pub root: PathBuf,
    /// The pictures, in bytewise order of their names.
    pub samples: Vec<Sample>,
    /// What was found, and what of it is not among them.
    pub census: Census,
}

impl Labelled {
    /// What became of everything.
    pub fn counted(&self, missed: &Missed) -> Counted {
        self.census.clone().ended(self.samples.len(), missed.left_out, missed.failed.len())
    }
}

/// What is said of masks that leave a doubt.
#[derive(Default)]
struct Doubts {
    masks: usize,
    pixels: usize,
    blank: Vec<String>,
    /// Pictures of which the most part is marked.
    full: Vec<String>,
}

impl Doubts {
    fn add(&mut self, sample: &Sample, looked: &Looked) {
        let Some(mask) = &looked.mask else { return };
        self.masks += usize::from(mask.unsure > 0);
        self.pixels += mask.unsure;
        let (name, marked) = (plain(&sample.name), mask.bits.iter().filter(|b| **b).count());
        match marked {
            0 if !good(sample) => self.blank.push(name),
            n if 2 * n > mask.bits.len() => self.full.push(name),
            _ => {}
        }
    }

    fn say(&self, watch: &dyn Watch) {
        if self.masks > 0 {
            watch.say(&format!(
                "note: {} masks are not two-valued: {} of their pixels are neither black nor at least half bright; they count as \
                 defective in masks of at most 8 values, else as good",
                self.masks, self.pixels
            ));
        }
        if let Some(first) = self.blank.first() {
            let n = self.blank.len();
            watch
                .say(&format!("note: the masks of {n} defective pictures mark no pixel; the first is that of {first}"));
        }
        if let Some(first) = self.full.first() {
            let n = self.full.len();
            watch.say(&format!(
                "note: the masks of {n} defective pictures mark more than half of their pixels; the first is that of {first}: are they \
                 inverted? What is not black is defective"
            ));
        }
    }
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
    let (mut evaluation, mut doubts) = (Evaluation::new(work.fitted, samples, room), Doubts::default());
    let mut each = |sample: &Sample, looked: &Looked, found: &Finding| {
        doubts.add(sample, looked);
        evaluation.add(sample, looked, found)
    };
    let missed = predict(work, samples, results, &mut each).await?;
    doubts.say(work.watch);
    if evaluation.pictures() == 0 {
        return Err(none_left(labelled, &missed));
    }
    let train = match work.fitted.known() {
        Known::Fitted { on, .. } => on.len(),
        Known::Unknown => 0,
    };
    let mut counts = Map::from_iter([
        ("train".to_string(), json!(train)),
        ("skipped_seen".into(), json!(missed.left_out)),
        ("failed".into(), json!(missed.failed.len())),
    ]);
    if let Value::Object(counted) = labelled.counted(&missed).json() {
        counts.extend(counted.into_iter().filter(|c| c.0 != "unreadable")); // `failed`
    }
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

/// Why there is nothing to measure, and what to do about it.
fn none_left(labelled: &Labelled, missed: &Missed) -> Error {
    let why = match missed.failed.is_empty() {
        true => "the model was fitted on all of them; add others, or give --allow-seen",
        false => "none can be read",
    };
    Error::Input(format!("{}: no picture is left to test on: {why}", shown(&labelled.root)))
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

/// Which pictures are tested.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Whether defective pictures without a mask are left out.
    pub skip_unmasked: bool,
    /// Whether pictures count that the model was fitted on.
    pub allow_seen: bool,
    /// Whether pictures that look like masks are taken all the same.
    pub all: bool,
}

/// Pictures of a data set to test with: its test split, and every good picture of its training split that the model has not seen, which
/// is left to [`Loading::leave_out`]. Where that is not known, or does not matter, the training split is taken only if the test split
/// has no good picture: it is what such a model was most likely fitted on.
///
/// Either every defective picture must have a mask, or none, unless those without are to be left out.
///
/// # Errors
/// [`Error::Input`] if masks are missing, or if pictures may be masks.
pub fn to_test(fitted: &dyn Fitted, set: Dataset, choice: Choice) -> Result<Labelled> {
    let Dataset { root, train, test: mut all, mut census, .. } = set;
    let train = if all.iter().any(good) { unseen(fitted, train, choice, &mut census) } else { train };
    all.extend(train);
    all.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
    if !choice.all {
        pictures_not_masks(&all.iter().filter(|s| good(s)).cloned().collect::<Vec<_>>())?;
        tests_not_masks(&all)?;
    }
    let unmasked = |s: &Sample| !good(s) && s.mask.is_none();
    let without = all.iter().filter(|s| unmasked(s)).count();
    let Some(first) = all.iter().find(|s| unmasked(s)).filter(|_| all.iter().any(|s| !good(s) && s.mask.is_some()))
    else {
        return Ok(Labelled { root, samples: all, census });
    };
    if !choice.skip_unmasked {
        let (first, left) = (plain(&first.name), census.reasons());
        let left = if left.is_empty() { left } else { format!("; left out: {left}") };
        return Err(Error::Input(format!(
            "{without} defective pictures have no mask, the first is {first}; add masks or give --skip-unmasked{left}"
        )));
    }
    all.iter().filter(|s| unmasked(s)).for_each(|s| census.leave_out(reason::UNMASKED, &s.name));
    all.retain(|s| !unmasked(s));
    Ok(Labelled { root, samples: all, census })
}

/// The training split's pictures to test with, beside a test split that has good ones.
fn unseen(fitted: &dyn Fitted, train: Vec<Sample>, choice: Choice, census: &mut Census) -> Vec<Sample> {
    let (known, seen) = (matches!(fitted.known(), Known::Fitted { .. }), fitted_on(fitted));
    if known && !choice.allow_seen {
        return train; // those that were seen are left out as they are read
    }
    let mut rest = vec![];
    for sample in train {
        // One that cannot be read is told when it is looked at.
        match known && !read(&sample.path).is_ok_and(|bytes| seen.contains(&sha256(&bytes))) {
            true => rest.push(sample),
            false => census.leave_out(reason::TRAIN, &sample.name),
        }
    }
    rest
}
