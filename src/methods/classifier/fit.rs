//! The fit: pictures read and split, the training, a file.

use super::config::{Asked, Config, Layers};
use super::examples::{Examples, Inputs};
use super::file::{Learned, Part};
use super::head::{BODY, Body, HEAD, Step};
use super::model::source;
use super::train::{Trained, train};
use super::{Classifier, ModelFile, split};
use crate::data::dataset::Classes;
use crate::data::load::{Loaded, Loading};
use crate::data::{Limits, Prepared};
use crate::engine::{Gpu, Named};
use crate::error::{Error, Result, plain};
use crate::files::sha256;
use crate::methods::backbone::Backbone;
use crate::methods::batched::RunOptions;
use crate::methods::fitted::{LeftOut, Seen};
use crate::methods::gathered::{Gathered, several};
use crate::methods::looking::{Looked, Missed, read};
use crate::methods::vector::Vectors;
use crate::models::{self, Network};
use crate::tensor::Tensor;
use crate::train::Keeping;
use crate::watch::Watch;
use crate::weights::{Weights, WeightsFile};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::time::Instant;

/// How a fit works.
#[derive(Clone, Debug, Default)]
pub struct FitOptions {
    /// How plans are made, and pictures per run where nothing is trained.
    pub run: RunOptions,
    /// How pictures are loaded.
    pub loading: Loading,
    /// Where the training is kept while it goes on.
    pub keeping: Keeping,
}

/// What a fit begins with: choices, and the network.
#[derive(Debug)]
pub struct Start {
    config: Config,
    network: &'static Network,
    /// As published: batch norms are not folded.
    raw: Weights,
    /// With batch norms folded.
    weights: Weights,
    values: usize,
    embed: bool,
}

/// How a fit went.
#[derive(Debug)]
pub struct Report {
    /// Pictures that could not be read.
    pub missed: Missed,
    /// Pictures that were left out, with why.
    pub left_out: Vec<LeftOut>,
    /// The mean loss of the steps up to each check.
    pub losses: Vec<f32>,
    /// The loss of the kept pictures at each; none without such pictures.
    pub checks: Vec<f32>,
    /// Seconds of reading pictures and computing vectors, and of the training.
    pub seconds: [f64; 2],
}

/// What is kept of a picture.
#[derive(Clone, Debug)]
struct Own {
    /// The number of the sample that it is.
    number: usize,
    /// Its vector, where the network stays as it is.
    vector: Vec<f32>,
    /// It, prepared, where the network is trained and there is room.
    prepared: Option<Prepared>,
}

/// Class and picture, and what is kept of it.
type Known = (String, Seen, Own);

/// Bytes of prepared pictures that are held in memory while a network is trained; others are read in every epoch. At 224 pixels a side these
/// are some 3500 pictures.
const HELD: usize = 512 << 20;

impl Start {
    /// With a network's weights, from a file or built in, and everything that was not asked for as it usually is.
    ///
    /// # Errors
    /// [`Error::Usage`] for choices that cannot be; otherwise as [`models::open`].
    pub fn new(asked: &Asked, weights: Option<&WeightsFile>, embed: bool) -> Result<Start> {
        let config = asked.config(models::named(asked.network())?)?;
        if config.layers == Layers::All && !embed {
            let what = "--no-embed-backbone: trained weights are nowhere but in the model's file; leave the flag out";
            return Err(Error::Usage(what.into()));
        }
        let (network, raw) = models::unfolded(asked.network(), weights)?;
        let weights = raw.clone().fold_batch_norm(&network.norms)?;
        let values = source(&config, network, &weights).dim()?;
        Ok(Start { config, network, raw, weights, values, embed })
    }

    /// Every choice.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What is to be said of the weights.
    pub fn notes(&self) -> &[String] {
        self.weights.notes()
    }

    /// Whether there are classes to tell apart: needs no device.
    ///
    /// # Errors
    /// [`Error::Input`] for one class only.
    pub fn check(&self, support: &Classes) -> Result<()> {
        several(support, &support.counts().into_keys().collect::<Vec<_>>())
    }

    /// Reads all pictures: their vectors, where the network stays as it is.
    async fn gathered(
        &self,
        gpu: &Gpu,
        support: &Classes,
        options: &FitOptions,
        watch: &dyn Watch,
    ) -> Result<(Gathered<Own>, Missed)> {
        let mut gathered = Gathered::new(vec![]);
        let mut take = |sha256: String, own: Own| match support.samples.get(own.number) {
            Some(sample) => gathered.take(sample, sha256, own).map(drop),
            None => Ok(()),
        };
        let (samples, loading) = (&support.samples[..], &options.loading);
        let missed = match self.config.layers {
            Layers::Fc => {
                let from = source(&self.config, self.network, &self.weights);
                let mut vectors = Vectors::new(gpu, from, &options.run).await?;
                let mut take =
                    |looked: Looked, vector| take(looked.sha256, Own { number: looked.number, vector, prepared: None });
                vectors.each(samples, loading, watch, &mut take).await?
            }
            Layers::All => {
                let (preprocess, mut room) = (self.config.preprocess(self.network), HELD);
                read((samples, &preprocess), loading, watch, &mut |Loaded { number, sha256, input, .. }| {
                    let fits = input.bytes() <= room;
                    room -= if fits { input.bytes() } else { 0 };
                    take(sha256, Own { number, vector: vec![], prepared: fits.then_some(input) })
                })?
            }
        };
        Ok((gathered.sorted(support, &missed, watch)?, missed))
    }

    /// The examples of pictures, each with its class, of which some are kept.
    fn examples(
        &self,
        (support, limits): (&Classes, Limits),
        own: impl Iterator<Item = Own>,
        (classes, kept): (Vec<usize>, &[bool]),
    ) -> Examples {
        let picture = |own: Own| Some((support.samples.get(own.number)?.clone(), own.prepared));
        let inputs = match self.config.layers {
            Layers::Fc => Inputs::Vectors(own.map(|own| own.vector).collect()),
            Layers::All => Inputs::Pictures {
                pictures: own.filter_map(picture).collect(),
                preprocess: self.config.preprocess(self.network),
                limits,
            },
        };
        Examples::new(&self.config, inputs, classes, kept)
    }

    /// What is trained of it, to tell so many classes apart.
    fn step(&self, classes: usize) -> Step<'_> {
        let body = Body { network: self.network, place: &self.config.place, size: self.config.size };
        let body = (self.config.layers == Layers::All).then_some((body, self.raw.tensors()));
        Step::new(body, [classes, self.values], self.config.seed)
    }

    /// Everything that a training depends on: a checkpoint of another one is none to go on from.
    fn choices(&self, found: &[Known]) -> Map<String, Value> {
        let pictures = found.iter().map(|(class, seen, _)| format!("{class}/{}", seen.sha256)).collect::<Vec<_>>();
        let Ok(Value::Object(mut made)) = serde_json::to_value(&self.config) else { return Map::new() };
        made.insert("network".into(), json!(self.network.name));
        made.insert("weights".into(), json!(self.raw.sha256()));
        made.insert("number of pictures".into(), json!(found.len()));
        made.insert("pictures".into(), json!(sha256(pictures.join(" ").as_bytes())));
        made
    }
}

/// Fits a classifier on `support`. Of a file that is there twice in a class, one is used.
///
/// # Errors
/// As [`Start::check`] and [`train`]; [`Error::Input`] for a file in two classes, a picture that cannot be read, unless
/// [`Loading::keep_going`], and a class of which none can be; [`Error::Numeric`] for vectors that are not finite.
pub async fn fit(
    gpu: &Gpu,
    support: &Classes,
    start: Start,
    options: &FitOptions,
    watch: &dyn Watch,
) -> Result<(Classifier, Report)> {
    start.check(support)?;
    let mut since = Instant::now();
    let mut lap = || std::mem::replace(&mut since, Instant::now()).elapsed().as_secs_f64();
    let (Gathered { found, left_out, .. }, missed) = start.gathered(gpu, support, options, watch).await?;
    let read = lap();
    let names: Vec<&str> = support.counts().into_keys().collect();
    let class = |(name, ..): &Known| names.iter().position(|n| n == name).unwrap_or_default();
    let classes: Vec<usize> = found.iter().map(class).collect();
    let choices = start.choices(&found);
    let (seen, own): (Vec<Seen>, Vec<Own>) = found.into_iter().map(|(_, seen, own)| (seen, own)).unzip();
    let hashes: Vec<(usize, &str)> = classes.iter().zip(&seen).map(|(class, seen)| (*class, &*seen.sha256)).collect();
    let kept = split::kept(&hashes, start.config.validation, start.config.seed);
    let parts = parts(&names, &classes, &kept);
    say(&parts, start.config.validation, watch);
    let examples = start.examples((support, options.loading.limits), own.into_iter(), (classes, &kept));
    let step = start.step(names.len());
    let work = (&step, &examples, &start.config);
    let planning = options.run.planning();
    let trained = train(gpu, work, (&planning, &options.keeping, choices), watch).await?;
    let seconds = [read, lap()];
    let part = |which: bool| seen.iter().zip(&kept).filter(move |s| *s.1 == which).map(|s| s.0.clone());
    let pictures = part(false).chain(part(true)).collect();
    let fitted = start.fitted(&trained, (parts, pictures, left_out.clone()))?;
    let Trained { losses, end, .. } = trained;
    let checks = end.checks.0.iter().map(|check| check.1 as f32).collect();
    Ok((fitted, Report { missed, left_out, losses, checks, seconds }))
}

/// The classes, with how many pictures of each are trained on and kept.
fn parts(names: &[&str], classes: &[usize], kept: &[bool]) -> Vec<Part> {
    let mut parts: Vec<Part> = names.iter().map(|name| Part { name: name.to_string(), pictures: 0, kept: 0 }).collect();
    for (class, kept) in classes.iter().zip(kept) {
        let Some(part) = parts.get_mut(*class) else { continue };
        *(if *kept { &mut part.kept } else { &mut part.pictures }) += 1;
    }
    parts
}

/// Says which classes are too small for any picture of them to be kept.
fn say(parts: &[Part], share: f64, watch: &dyn Watch) {
    let small: Vec<String> =
        parts.iter().filter(|p| p.kept == 0).map(|p| format!("{} ({})", plain(&p.name), p.pictures)).collect();
    if share == 0.0 {
        watch.say(
            "note: no picture is kept to see how the training goes: it does all epochs, and the last weights are taken",
        );
    } else if small.len() == parts.len() {
        watch.say(&format!(
            "note: every class is too small for a share of {share} to be kept, {}; all epochs are done, and the last weights are taken",
            small.join(", ")
        ));
    } else if !small.is_empty() {
        watch.say(&format!("note: too small for a share of {share} to be kept: {}", small.join(", ")));
    }
}

impl Start {
    /// The model of what was trained.
    fn fitted(
        self,
        trained: &Trained,
        (classes, pictures, left_out): (Vec<Part>, Vec<Seen>, Vec<LeftOut>),
    ) -> Result<Classifier> {
        let head = |name: &str| {
            let found = trained.weights.get(&format!("{HEAD}.{name}"));
            found.map(|t| (**t).clone()).ok_or_else(|| Error::Internal(format!("no {name} was trained")))
        };
        let n = classes.iter().map(|class| class.pictures).sum();
        let (steps, of) = (trained.end.step, self.config.steps(n));
        let learned = Learned { steps, of, validation: trained.figures };
        let (weight, bias) = (head("weight")?, head("bias")?);
        let (network, config, embed) = (self.network, self.config.clone(), self.embed);
        let weights = self.network_of(&trained.weights)?;
        let backbone = Backbone::new(network, &weights, embed);
        let limit = None;
        let file = ModelFile { config, backbone, weight, bias, classes, pictures, learned, left_out, limit };
        Ok(Classifier::fitted(file, network, weights))
    }

    /// The network's weights with those that were trained, batch norms folded.
    fn network_of(self, trained: &Named) -> Result<Weights> {
        if self.config.layers == Layers::Fc {
            return Ok(self.weights);
        }
        let mut all: BTreeMap<String, Tensor> =
            self.raw.tensors().iter().map(|(name, t)| (name.clone(), (**t).clone())).collect();
        let below = |name: &str| name.strip_prefix(BODY)?.strip_prefix('.').map(String::from);
        all.extend(trained.iter().filter_map(|(name, t)| Some((below(name)?, (**t).clone()))));
        Weights::from_tensors(all).fold_batch_norm(&self.network.norms)
    }
}
