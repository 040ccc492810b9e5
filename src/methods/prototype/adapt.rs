//! Fine-tuning as a part of a fit: pictures from disk, a learning rate that is given or found, weights that go into the model's file.

use super::Config;
use super::finetune::{Backbone, Classes, Finetune, Ground, Tuner};
use crate::data::Preprocess;
use crate::data::dataset::{self, Sample};
use crate::data::load::Loading;
use crate::engine::{Gpu, Named, Options};
use crate::error::{Error, Result};
use crate::methods::labelled::best;
use crate::methods::looking::{Missed, read};
use crate::models::Network;
use crate::tensor::Tensor;
use crate::train::Told;
use crate::watch::Watch;
use std::collections::BTreeSet;

/// The learning rates that are tried where none is given, as the authors try them; none at all wins unless one is better.
const RATES: [f64; 3] = [1e-2, 1e-3, 1e-4];

/// Steps of a trial.
const TRIAL: u64 = 50;

/// Steps of all trials together.
pub const TRIALS: u64 = RATES.len() as u64 * TRIAL;

/// What was asked for of a fine-tuning.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adaptation {
    /// Its choices; the rate is found if there is none.
    pub tuning: Finetune,
    /// Whether the rate is to be found: the first picture of each class is learned, the others are asked about.
    pub auto: bool,
    /// Pictures at a time; `None`: as many as fit.
    pub few: Option<usize>,
}

/// A fine-tuned backbone.
#[derive(Clone, Debug)]
pub struct Adapted {
    /// Its weights, batch norms not folded.
    pub weights: Named,
    /// The choices, with the rate; `None` where no rate was better than none.
    pub tuning: Option<Finetune>,
    /// The mean loss of the pictures as they are, before and after.
    pub losses: [f64; 2],
    /// Rates and the shares of pictures that each told right, where one was looked for; the first is no fine-tuning.
    pub tried: Vec<(f64, f64)>,
}

/// Pictures as a network takes them, each once, and their classes.
#[derive(Debug)]
pub struct Pictures {
    /// `[n, h, w, 3]`, by class and name.
    pub tensor: Tensor,
    /// The class of each.
    pub classes: Classes,
}

/// Pictures as a network takes them, and the hashes of their files, `None` for those that cannot be read; and what was missed.
///
/// # Errors
/// [`Error::Input`] for a picture that cannot be read, unless [`Loading::keep_going`]; the watcher's interrupt.
#[allow(clippy::type_complexity)]
pub fn decoded(
    samples: &[Sample],
    preprocess: &Preprocess,
    loading: &Loading,
    watch: &dyn Watch,
) -> Result<(Vec<Option<(Tensor, String)>>, Missed)> {
    let mut all = vec![None; samples.len()];
    let missed = read((samples, preprocess), loading, watch, &mut |loaded| {
        let found = Some((preprocess.numbers(loaded.input), loaded.sha256));
        all.iter_mut().skip(loaded.number).take(1).for_each(|place| *place = found.clone());
        Ok(())
    })?;
    Ok((all, missed))
}

/// Reads the pictures of a support. Who computes the vectors of all pictures counts those that cannot be read.
///
/// # Errors
/// As [`decoded`].
pub(super) fn pictures(
    support: &dataset::Classes,
    preprocess: &Preprocess,
    loading: &Loading,
    watch: &dyn Watch,
) -> Result<Pictures> {
    let names: Vec<&str> = support.counts().into_keys().collect();
    let (mut data, mut labels, mut seen, mut size) = (vec![], vec![], BTreeSet::new(), [0; 2]);
    let (all, _) = decoded(&support.samples, preprocess, loading, watch)?;
    for (sample, found) in support.samples.iter().zip(all) {
        let Some((numbers, hash)) = found else { continue };
        if seen.insert(hash) {
            size = [numbers.shape.dim(1), numbers.shape.dim(2)];
            data.extend(numbers.data);
            labels.extend(names.iter().position(|n| *n == sample.label));
        }
    }
    let tensor = Tensor::new([labels.len(), size[0], size[1], 3], data);
    Ok(Pictures { tensor, classes: Classes { labels, size } })
}

/// Fine-tunes a network to the pictures of a support.
///
/// # Errors
/// [`Error::Usage`] where a rate is to be found and every class has one picture; as [`Tuner::new`] and [`Tuner::tune`].
pub(super) async fn adapt(
    gpu: &Gpu,
    (network, weights, config): (&Network, &Named, &Config),
    pictures: &Pictures,
    asked: &Adaptation,
    options: &Options,
    watch: &dyn Watch,
) -> Result<Adapted> {
    let backbone = Backbone { network, weights, place: &config.place, head: config.head };
    let (tuning, tried) = with_rate(gpu, &backbone, pictures, asked, options, watch).await?;
    let ground = Ground::new(&backbone, pictures.classes.size, &tuning)?;
    let planned = Tuner::new(gpu, (&backbone, &pictures.classes), &tuning, &ground, (options, asked.few));
    let mut tuner = planned.await?;
    watch.say(&format!("tuning    {}", tuner.words()));
    let before = tuner.loss(&pictures.tensor, &config.head)?;
    if tuning.rate == 0.0 {
        return Ok(Adapted { weights: weights.clone(), tuning: None, losses: [before; 2], tried });
    }
    let mut told = Told::new(0, tuning.steps);
    tuner.tune(&pictures.tensor, (&mut |step, losses| told.heard(step, losses, watch), watch))?;
    let after = tuner.loss(&pictures.tensor, &config.head)?;
    let mut tuned = weights.clone();
    tuned.extend(tuner.weights()?);
    Ok(Adapted { weights: tuned, tuning: Some(tuning), losses: [before, after], tried })
}

/// The choices with a rate, which is found if it is to be found (0: no rate was better than none), and the rates that were tried with the
/// shares of pictures that each told right.
///
/// # Errors
/// [`Error::Usage`] where a rate is to be found and every class has one picture; as [`Tuner::new`] and [`Tuner::tune`].
pub async fn with_rate(
    gpu: &Gpu,
    backbone: &Backbone<'_>,
    pictures: &Pictures,
    asked: &Adaptation,
    options: &Options,
    watch: &dyn Watch,
) -> Result<(Finetune, Vec<(f64, f64)>)> {
    if !asked.auto {
        return Ok((asked.tuning, vec![]));
    }
    let tried = trials(gpu, backbone, pictures, asked, options, watch).await?;
    // The first of the best: none at all, or the largest rate.
    let found = tried.iter().copied().reduce(|best, one| if one.1 > best.1 { one } else { best });
    Ok((Finetune { rate: found.map_or(0.0, |f| f.0), ..asked.tuning }, tried))
}

/// What each rate gives where the first picture of each class is learned and the others are asked about.
async fn trials(
    gpu: &Gpu,
    backbone: &Backbone<'_>,
    pictures: &Pictures,
    asked: &Adaptation,
    options: &Options,
    watch: &dyn Watch,
) -> Result<Vec<(f64, f64)>> {
    let labels = &pictures.classes.labels;
    let first = |i: &usize| labels.get(*i).is_some_and(|l| labels.iter().position(|o| o == l) == Some(*i));
    let (few, others): (Vec<usize>, Vec<usize>) = (0..labels.len()).partition(first);
    if others.is_empty() {
        let what = "--lr auto: every class has one picture, so that none is left to compare rates with; add pictures, or give a rate";
        return Err(Error::Usage(what.into()));
    }
    let [learned, asked_about] = [&few, &others].map(|numbers| chosen(pictures, numbers));
    let mut tried = vec![];
    for rate in [0.0].into_iter().chain(RATES) {
        let tuning = Finetune { rate, steps: TRIAL, ..asked.tuning };
        let ground = Ground::new(backbone, pictures.classes.size, &tuning)?;
        let planned = Tuner::new(gpu, (backbone, &learned.1), &tuning, &ground, (options, asked.few));
        let mut tuner = planned.await?;
        if rate > 0.0 {
            match tuner.tune(&learned.0, (&mut |_, _| (), watch)) {
                // A rate that is too large to learn with is none to take.
                Err(Error::Numeric(_)) => continue,
                done => done.map(drop)?,
            }
        }
        let (own, queries) = (tuner.vectors(&learned.0)?, tuner.vectors(&asked_about.0)?);
        let right = told(backbone, (&own, &learned.1), (&queries, &asked_about.1))?;
        watch.say(&format!("rate      {rate}: {right} of {} other pictures are told right", others.len()));
        tried.push((rate, right as f64 / others.len() as f64));
    }
    Ok(tried)
}

/// Some of the pictures, and their classes.
fn chosen(pictures: &Pictures, numbers: &[usize]) -> (Tensor, Classes) {
    let [_, h, w, c] = pictures.tensor.shape.nhwc();
    let each = h * w * c;
    let one = |i: &usize| pictures.tensor.data.get(i * each..(i + 1) * each).unwrap_or_default();
    let data = numbers.iter().flat_map(one).copied().collect();
    let labels = numbers.iter().filter_map(|i| pictures.classes.labels.get(*i).copied()).collect();
    (Tensor::new([numbers.len(), h, w, c], data), Classes { labels, size: pictures.classes.size })
}

/// How many queries are told right by the prototypes of a support.
fn told(
    backbone: &Backbone<'_>,
    (own, support): (&Tensor, &Classes),
    (queries, asked): (&Tensor, &Classes),
) -> Result<usize> {
    let rows: Vec<&[f32]> = own.data.chunks_exact(own.shape.last()).collect();
    let prototypes = support.prototypes(&rows, &backbone.head)?;
    let said = queries.data.chunks_exact(queries.shape.last()).map(|q| best(&prototypes.logits(q)).map(|b| b.0));
    Ok(said.zip(&asked.labels).filter(|(said, label)| *said == Some(**label)).count())
}
