//! The fit: a vector of every picture, added up by class; with an earlier file, added to its sums.

use super::adapt::{Adaptation, Adapted, adapt, pictures};
use super::describe::class_words;
use super::head::{Distance, doubles};
use super::model::source;
use super::{Asked, Config, ModelFile, Prototype};
use crate::data::dataset::Classes;
use crate::data::load::Loading;
use crate::engine::Gpu;
use crate::error::{Error, Result};
use crate::methods::backbone::Backbone;
use crate::methods::batched::RunOptions;
use crate::methods::fitted::LeftOut;
use crate::methods::gathered::{Gathered, several};
use crate::methods::looking::Missed;
use crate::methods::vector::Vectors;
use crate::models::{self, Network};
use crate::tensor::Tensor;
use crate::watch::Watch;
use crate::weights::{Weights, WeightsFile};
use std::collections::BTreeMap;
use std::time::Instant;

/// How a fit works.
#[derive(Clone, Debug, Default)]
pub struct FitOptions {
    /// How plans are made, and pictures per run.
    pub run: RunOptions,
    /// How pictures are loaded.
    pub loading: Loading,
}

/// What a fit begins with: choices, the network, and a file without pictures or that of an earlier fit.
#[derive(Debug)]
pub struct Start {
    file: ModelFile,
    network: &'static Network,
    weights: Weights,
    /// The fine-tuning, and the weights that it begins with: batch norms are not folded.
    adaptation: Option<(Adaptation, Weights)>,
}

/// How a fit went.
#[derive(Debug, Default)]
pub struct Report {
    /// Pictures that could not be read.
    pub missed: Missed,
    /// Pictures of this fit that were left out, with why.
    pub left_out: Vec<LeftOut>,
    /// What fine-tuning did, if there was any.
    pub adapted: Option<Adapted>,
    /// Seconds until the network was ready, and seconds of reading pictures and computing their vectors.
    pub seconds: [f64; 2],
}

impl Start {
    /// With a network's weights, from a file or built in, and everything that was not asked for as it usually is.
    ///
    /// # Errors
    /// [`Error::Usage`] for choices that cannot be; otherwise as [`models::open`] and [`Asked::with_scalars`].
    pub fn new(asked: &Asked, weights: Option<&WeightsFile>, embed: bool) -> Result<Start> {
        let name = asked.backbone.as_deref().unwrap_or(asked.preset.usual_backbone());
        let config = asked.with_scalars(weights)?.config(models::named(name)?)?;
        let (network, raw) = models::unfolded(name, weights)?;
        if asked.adaptation.is_some() {
            may_adapt(&config, embed)?;
        }
        let adaptation = asked.adaptation.map(|asked| (asked, raw.clone()));
        let weights = raw.fold_batch_norm(&network.norms)?;
        let dim = source(&config, network, &weights).dim()?;
        let backbone = Backbone::new(network, &weights, embed);
        let (classes, pictures, left_out) = Default::default();
        let support = config.head.center.then(|| Tensor::zeros([0, dim]));
        let file = ModelFile { config, backbone, dim, classes, pictures, support, left_out, limit: None };
        Ok(Start { file, network, weights, adaptation })
    }

    /// With an earlier file, to which pictures are to be added; its weights come from it, or from `weights` if they are the same.
    ///
    /// # Errors
    /// [`Error::Usage`] for choices that are not the file's; otherwise as [`ModelFile::from_bytes`], [`Prototype::new`] and
    /// [`Asked::with_scalars`].
    pub fn after(
        asked: &Asked,
        (bytes, origin): (&[u8], &str),
        weights: Option<&WeightsFile>,
        embed: bool,
    ) -> Result<Start> {
        let mut file = ModelFile::from_bytes(bytes, origin)?;
        asked.with_scalars(weights)?.agrees(&file.config, &file.backbone.name, origin)?;
        let earlier = Prototype::new(file.clone(), origin, weights)?;
        file.backbone.weights = file.backbone.weights.filter(|_| embed);
        Ok(Start { file, network: earlier.network, weights: earlier.weights, adaptation: None })
    }

    /// Every choice.
    pub fn config(&self) -> &Config {
        &self.file.config
    }

    /// What is to be said of the weights.
    pub fn notes(&self) -> &[String] {
        self.weights.notes()
    }

    /// Whether prototypes can be made of these pictures: needs no device.
    ///
    /// # Errors
    /// [`Error::Input`] for one class only, [`Error::Usage`] if shots are to be corrected and every class has one picture.
    pub fn check(&self, support: &Classes) -> Result<()> {
        let mut counts: BTreeMap<&str, usize> = self.file.classes.iter().map(|(n, c)| (n.as_str(), c.count)).collect();
        support.counts().into_iter().for_each(|(name, n)| *counts.entry(name).or_default() += n);
        several(support, &counts.keys().copied().collect::<Vec<_>>())?;
        if self.file.config.head.shot_correction && counts.values().all(|n| *n < 2) {
            return Err(one_each());
        }
        Ok(())
    }
}

/// Whether a head can be fine-tuned, and its weights kept.
fn may_adapt(config: &Config, embed: bool) -> Result<()> {
    let refused = |what: &str| Err(Error::Usage(what.into()));
    match config.head {
        _ if !embed => {
            refused("--no-embed-backbone: fine-tuned weights are nowhere but in the model's file; leave the flag out")
        }
        head if head.distance != Distance::Cosine || head.center => {
            refused("--steps: fine-tuning is one of cosines that are not centred, as P>M>F has them")
        }
        _ => Ok(()),
    }
}

fn one_each() -> Error {
    let what = "--shot-correction: the spread within classes cannot be estimated from one picture in every class; add a second one to any \
                of them, or leave the flag out";
    Error::Usage(what.into())
}

/// Fits prototypes on `support`, or adds it to those of an earlier fit. Of a file that is there twice in a class, one is used.
///
/// # Errors
/// As [`Start::check`]; [`Error::Input`] for a file in two classes, a picture that cannot be read, unless [`Loading::keep_going`], and a
/// class of which none can be; [`Error::Numeric`] for vectors that are not finite; whatever the device and the watcher report.
pub async fn fit(
    gpu: &Gpu,
    support: &Classes,
    start: Start,
    options: &FitOptions,
    watch: &dyn Watch,
) -> Result<(Prototype, Report)> {
    start.check(support)?;
    let Start { mut file, network, mut weights, adaptation } = start;
    let mut since = Instant::now();
    let mut adapted = None;
    if let Some((asked, raw)) = adaptation {
        let (preprocess, planning) = (file.config.preprocess(network), options.run.planning());
        let pictures = pictures(support, &preprocess, &options.loading, watch)?;
        let tuned = adapt(gpu, (network, raw.tensors(), &file.config), &pictures, &asked, &planning, watch).await?;
        weights = Weights::from_tensors(tuned.weights.iter().map(|(name, t)| (name.clone(), (**t).clone())));
        weights = weights.fold_batch_norm(&network.norms)?;
        file.config.finetune = tuned.tuning;
        file.backbone = Backbone::new(network, &weights, true);
        adapted = Some(tuned);
    }
    let config = file.config.clone();
    let mut vectors = Vectors::new(gpu, source(&config, network, &weights), &options.run).await?;
    let planned = since.elapsed().as_secs_f64();
    since = Instant::now();
    let mut growing = Growing::new(file, support);
    let mut take =
        |looked: crate::methods::Looked, vector: Vec<f32>| growing.take(looked.number, looked.sha256, vector);
    let missed = vectors.each(&support.samples, &options.loading, watch, &mut take).await?;
    drop(vectors);
    let seconds = [planned, since.elapsed().as_secs_f64()];
    let (file, left_out) = growing.grown(&missed, watch)?;
    let fitted = Prototype::fitted(file, network, weights)?;
    log::info!("classes: {}", class_words(&fitted.file));
    Ok((fitted, Report { missed, left_out, adapted, seconds }))
}

/// A file to which pictures are added one by one.
struct Growing<'s> {
    file: ModelFile,
    support: &'s Classes,
    /// All pictures, with their vectors where these are kept.
    all: Gathered<Vec<f32>>,
}

impl Growing<'_> {
    fn new(file: ModelFile, support: &Classes) -> Growing<'_> {
        let kept = file.support.as_ref().map_or(&[][..], |t| &t.data).chunks_exact(file.dim.max(1));
        let kept = kept.map(<[f32]>::to_vec).chain(std::iter::repeat(vec![]));
        let pictures = file.pictures_by_class().map(|(class, seen)| (class.to_string(), seen.clone()));
        let all = pictures.zip(kept).map(|((class, seen), vector)| (class, seen, vector)).collect();
        Growing { file, support, all: Gathered::new(all) }
    }

    fn take(&mut self, number: usize, sha256: String, vector: Vec<f32>) -> Result<()> {
        let Some(sample) = self.support.samples.get(number) else { return Ok(()) };
        let kept = if self.file.support.is_some() { vector.clone() } else { vec![] };
        if self.all.take(sample, sha256, kept)? {
            let sums = self.file.classes.remove(&sample.label).unwrap_or_default().with(doubles(&vector));
            self.file.classes.insert(sample.label.clone(), sums);
        }
        Ok(())
    }

    /// The file, and the pictures of this fit that were left out.
    fn grown(self, missed: &Missed, watch: &dyn Watch) -> Result<(ModelFile, Vec<LeftOut>)> {
        let Growing { mut file, support, all } = self;
        let Gathered { found, left_out, .. } = all.sorted(support, missed, watch)?;
        if file.config.head.shot_correction && file.trace().is_none() {
            return Err(one_each());
        }
        if file.support.is_some() {
            let rows: Vec<f32> = found.iter().flat_map(|(_, _, vector)| vector.iter().copied()).collect();
            file.support = Some(Tensor::new([found.len(), file.dim], rows));
        }
        file.pictures = found.into_iter().map(|(_, seen, _)| seen).collect();
        file.left_out.extend(left_out.clone());
        Ok((file, left_out))
    }
}
