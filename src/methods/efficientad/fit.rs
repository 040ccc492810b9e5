//! The fit: what the teacher says of good pictures, the training, and then scales and limits by pictures that nobody was trained on.

use super::begin::{Begun, Good, begin};
use super::looking::each;
use super::maps::largest;
use super::model::EfficientAd;
use super::split::Kept;
use super::train::{Trained, train};
use super::{Config, ModelFile};
use crate::data::dataset::Sample;
use crate::data::load::Loading;
use crate::engine::{Gpu, Named, Scope};
use crate::error::{Error, Result, shown};
use crate::memory::peak_memory;
use crate::methods::backbone::Backbone;
use crate::methods::batched::{RunOptions, head};
use crate::methods::fitted::Seen;
use crate::methods::kept::Kept as Keep;
use crate::methods::limit::{self, LimitRule};
use crate::methods::looking::Missed;
use crate::tensor::Tensor;
use crate::train::{End, Keeping};
use crate::watch::Watch;
use std::time::Instant;

/// Seconds of a fit by stage.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    /// What the teacher says of the good pictures.
    pub teacher: f64,
    /// The training.
    pub training: f64,
    /// Scales and limits.
    pub scoring: f64,
}

/// How a fit works.
#[derive(Clone, Debug, Default)]
pub struct FitOptions {
    /// How plans are made, and pictures per run where nothing is trained.
    pub run: RunOptions,
    /// How pictures are loaded.
    pub loading: Loading,
    /// Whether the teacher's weights are left out of the model's file.
    pub no_embed_teacher: bool,
    /// How the limits follow from the scores of the pictures that were kept.
    pub limit_rule: LimitRule,
    /// Where what the teacher says of good pictures is kept between runs.
    pub kept: Keep,
    /// Where the training is kept while it goes on.
    pub keeping: Keeping,
}

/// How a fit went.
#[derive(Debug, Default)]
pub struct Report {
    /// Pictures that could not be read.
    pub missed: Missed,
    /// How long it took.
    pub times: Times,
    /// What the training gave.
    pub trained: Option<Trained>,
}

/// Fits EfficientAD. Of files that are the same one is used.
///
/// # Errors
/// As [`begin`], [`train`] and [`Begun::finish`].
pub async fn fit(
    gpu: &Gpu,
    good: Good<'_>,
    config: &Config,
    options: &FitOptions,
    watch: &dyn Watch,
) -> Result<(EfficientAd, Report)> {
    let (mut since, mut times) = (Instant::now(), Times::default());
    let begun = begin(gpu, good, config, options, watch).await?;
    times.teacher = lap(&mut since, "teacher");
    let (train_on, kept) = (begun.split.train.len(), begun.split.validation.len());
    watch.say(&format!("fitting   {train_on} good pictures, {kept} are kept to find scales and limits by"));
    let trained = train(gpu, &begun, options, watch).await?;
    times.training = lap(&mut since, "training");
    let (fitted, missed) = begun.finish(gpu, (&trained.networks, Some(&trained.end)), options, watch).await?;
    times.scoring = lap(&mut since, "scoring");
    Ok((fitted, Report { missed, times, trained: Some(trained) }))
}

/// Seconds since the last lap.
fn lap(since: &mut Instant, stage: &str) -> f64 {
    let seconds = since.elapsed().as_secs_f64();
    *since = Instant::now();
    let peak = peak_memory().map_or(String::new(), |b| format!(", peak memory so far {:.0} MB", b as f64 / 1e6));
    log::info!("{stage} took {seconds:.1} s{peak}");
    seconds
}

/// The raw maps of the pictures that were kept, in their order.
#[derive(Default)]
struct Raw {
    student: Vec<Tensor>,
    autoencoder: Vec<Tensor>,
    sizes: Vec<[usize; 2]>,
}

impl Begun<'_> {
    /// The model of a student and an autoencoder that were trained, `student.*` and `ae.*`, and how that ended; and the pictures that were
    /// missed.
    ///
    /// # Errors
    /// [`Error::Weights`] for weights that are not theirs; [`Error::Input`] for a picture that cannot be read, unless others are to be
    /// taken all the same, and if none can be; [`Error::Numeric`] for maps that are not finite, or the same everywhere; [`Error::Usage`]
    /// for a limit rule that gives no limit; whatever the device and the watcher report.
    pub async fn finish(
        self,
        gpu: &Gpu,
        (trained, end): (&Named, Option<&End>),
        options: &FitOptions,
        watch: &dyn Watch,
    ) -> Result<(EfficientAd, Missed)> {
        let all = self.teacher.iter().chain(trained).map(|(name, t)| (name.clone(), t.clone())).collect::<Named>();
        self.config.networks().check(&all, "the networks")?;
        let (raw, kept, missed) = self.validate(gpu, &all, (options, watch)).await?;
        let scales = self.config.scales(&raw.student, &raw.autoencoder)?;
        let (mut scores, mut peaks) = (vec![], vec![]);
        for ((student, autoencoder), size) in raw.student.iter().zip(&raw.autoencoder).zip(&raw.sizes) {
            let map = self.config.combined(student, autoencoder, &scales);
            let map = if self.config.whole_maps() { self.config.whole(&map, *size) } else { map };
            scores.push(largest(&map));
            peaks.push(largest(&map));
        }
        limit::check_asked(&options.limit_rule, &scores)?;
        let teacher = self.good.teacher;
        let seen = |kept: &[Kept]| kept.iter().map(|k| k.seen.clone()).collect::<Vec<Seen>>();
        let file = ModelFile {
            config: self.config.clone(),
            backbone: Backbone::new(teacher.network, &teacher.weights, !options.no_embed_teacher),
            statistics: self.statistics,
            scales,
            trained: trained.clone(),
            validation: kept.len(),
            pictures: [seen(&self.split.train), seen(&kept)].concat(),
            scores,
            peaks,
            left_out: self.split.left_out,
            limit_rule: options.limit_rule,
            ended: end.filter(|_| self.config.patience.is_some()).cloned(),
        };
        Ok((EfficientAd::fitted(file, all, teacher.weights.notes()), missed))
    }

    /// The raw maps of the pictures that are kept, those pictures, and all that were missed.
    async fn validate(
        &self,
        gpu: &Gpu,
        all: &Named,
        (options, watch): (&FitOptions, &dyn Watch),
    ) -> Result<(Raw, Vec<Kept>, Missed)> {
        let (networks, mut raw) = (self.config.networks(), Raw::default());
        let samples: Vec<Sample> = self.split.validation.iter().map(|k| k.sample.clone()).collect();
        let mut missed = {
            let head = head(move |graph, pictures| {
                let maps = networks.maps(pictures, &Scope::new(graph, all));
                vec![maps.student, maps.autoencoder]
            });
            let place = (&samples[..], &self.config.preprocess(), self.config.image_size);
            let mut take = |looked: crate::methods::Looked, outputs: Vec<Tensor>| {
                let mut maps = outputs.into_iter().map(flat);
                raw.student.extend(maps.next());
                raw.autoencoder.extend(maps.next());
                raw.sizes.push([looked.picture.height, looked.picture.width]);
                Ok(())
            };
            each(gpu, place, (options, watch), head, &mut take).await?
        };
        let kept = self.split.validation.iter().enumerate().filter(|(i, _)| !missed.has(*i));
        let kept: Vec<Kept> = kept.map(|k| k.1.clone()).collect();
        if kept.is_empty() {
            let list: String = missed.failed.iter().map(|(_, why)| format!("\n  {why}")).collect();
            let data = shown(&self.good.set.root);
            return Err(Error::Input(format!(
                "{data}: no picture kept to find scales and limits by can be read:{list}"
            )));
        }
        missed.failed.splice(0..0, self.missed.failed.iter().cloned());
        Ok((raw, kept, missed))
    }
}

/// The map `[h, w]` of one picture, `[1, h, w]`.
pub(super) fn flat(map: Tensor) -> Tensor {
    let [_, _, h, w] = map.shape.nhwc();
    map.reshape([h, w])
}
