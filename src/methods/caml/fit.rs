//! The fit: the features of the support. The checkpoint is read, held to the encoder, and tested on what it was trained to do.

use super::file::Origin;
use super::model::source;
use super::{Average, CamlModel, Config, Learner, Many, ModelFile, Verdict, Ways, self_test};
use crate::data::dataset::Classes;
use crate::data::load::Loading;
use crate::engine::{Gpu, Graph, Named, Options, Scope};
use crate::error::{Error, Result, plain, shown};
use crate::methods::backbone::Backbone;
use crate::methods::batched::RunOptions;
use crate::methods::gathered::{Gathered, several};
use crate::methods::looking::{Looked, Missed};
use crate::methods::vector::{Source, Vectors, of};
use crate::models::caml::{Caml, Checkpoint, HEADS};
use crate::models::{self, Network};
use crate::tensor::Tensor;
use crate::watch::Watch;
use crate::weights::{Weights, WeightsFile};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

/// What was asked for; `None` and `false`: nothing.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// The encoder, by name; otherwise the one that the checkpoint was released with.
    pub encoder: Option<String>,
    /// The place of the encoder that features are taken from; otherwise its own.
    pub place: Option<String>,
    /// The edge length of its input.
    pub size: Option<usize>,
    /// Whether to crop.
    pub crop: bool,
    /// Over how many ways to give classes their labels to average.
    pub average: Option<Average>,
    /// What to do about more classes than labels.
    pub many: Option<Many>,
    /// Whether to read the checkpoint's logits in the reverse order.
    pub reversed: bool,
    /// Heads of the checkpoint; otherwise as all released ones have them.
    pub heads: Option<usize>,
}

/// How a fit works.
#[derive(Clone, Debug, Default)]
pub struct FitOptions {
    /// How plans are made, and pictures per run.
    pub run: RunOptions,
    /// How pictures are loaded.
    pub loading: Loading,
}

/// What a fit begins with.
#[derive(Debug)]
pub struct Start {
    config: Config,
    encoder: &'static Network,
    weights: Weights,
    checkpoint: Checkpoint,
    origin: Origin,
}

/// How a fit went.
#[derive(Debug)]
pub struct Report {
    /// Pictures that could not be read.
    pub missed: Missed,
    /// What the checkpoint's self-test said.
    pub verdict: Verdict,
    /// Seconds of the self-test, until the encoder was ready, and of reading pictures and computing their features.
    pub seconds: [f64; 3],
}

impl Start {
    /// With an encoder's weights, from a file or built in, and a checkpoint.
    ///
    /// # Errors
    /// [`Error::Weights`] for a file that is no checkpoint, and for an encoder that does not fit it; [`Error::Usage`] for choices that
    /// cannot be; otherwise as [`models::open`].
    pub fn new(asked: &Asked, weights: Option<&WeightsFile>, checkpoint: &Path) -> Result<Start> {
        let read = Checkpoint::open(checkpoint, asked.heads.unwrap_or(HEADS))?;
        let encoder = encoder(asked, &read.caml, &shown(checkpoint))?;
        let [size, _] = encoder.input_size();
        let config = Config {
            place: asked.place.clone().unwrap_or_else(|| encoder.vector.into()),
            size: asked.size.unwrap_or(size),
            crop: asked.crop,
            average: asked.average.unwrap_or(Average::First(1)),
            many: asked.many,
            reversed: asked.reversed,
        };
        config.check()?;
        encoder.takes("--size", [config.size; 2])?;
        fits(encoder, &config, &read.caml, &shown(checkpoint))?;
        let (encoder, weights) = models::open(encoder.name, weights)?;
        source(&config, encoder, &weights).dim()?;
        let origin = Origin::new(&read, checkpoint);
        Ok(Start { config, encoder, weights, checkpoint: read, origin })
    }

    /// Every choice.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The checkpoint.
    pub fn checkpoint(&self) -> &Origin {
        &self.origin
    }

    /// Where features come from.
    pub fn source(&self) -> Source<'_> {
        source(&self.config, self.encoder, &self.weights)
    }

    /// What learns the classes of episodes, classes of these names with supports of so many pictures of each, and what the checkpoint's
    /// self-test said; so many queries go through the transformer in a run.
    ///
    /// # Errors
    /// [`Error::Weights`] for a flipped checkpoint; otherwise as [`Ways::new`] and [`Learner::new`].
    pub async fn learner<'g>(
        &self,
        gpu: &'g Gpu,
        names: &[String],
        (supports, queries): (&[Vec<usize>], usize),
        options: &Options,
    ) -> Result<(Learner<'_, 'g>, Verdict)> {
        let ways = self.ways(names)?;
        let verdict = self.tested(gpu, options).await?;
        Ok((Learner::new(gpu, &self.checkpoint, ways, (supports, queries), options).await?, verdict))
    }

    /// How classes of these names have labels.
    ///
    /// # Errors
    /// As [`Ways::new`].
    pub fn ways(&self, names: &[String]) -> Result<Ways> {
        Ways::new(names, self.checkpoint.caml.labels, &self.config)
    }

    /// The checkpoint's self-test.
    async fn tested(&self, gpu: &Gpu, options: &Options) -> Result<Verdict> {
        match self_test(gpu, &self.checkpoint, self.config.reversed, options.clone()).await? {
            Verdict::Flipped => Err(flipped(self)),
            verdict => Ok(verdict),
        }
    }

    /// What is to be said of the weights.
    pub fn notes(&self) -> Vec<String> {
        let own = self.checkpoint.caml.released().filter(|r| r.encoder != self.encoder.name).map(|released| {
            format!(
                "{} was released with features of {}, not of {}: unless this checkpoint was trained on those, its answers mean nothing",
                released.name, released.encoder, self.encoder.name
            )
        });
        [self.weights.notes(), self.checkpoint.weights.notes()].concat().into_iter().chain(own).collect()
    }

    /// Whether these classes can be told apart: needs no device.
    ///
    /// # Errors
    /// [`Error::Input`] for one class only; otherwise as [`Ways::new`].
    pub fn check(&self, support: &Classes) -> Result<()> {
        let names: Vec<String> = support.counts().into_keys().map(String::from).collect();
        several(support, &names.iter().map(String::as_str).collect::<Vec<_>>())?;
        self.ways(&names).map(drop)
    }

    /// In how far these classes are not what CAML was trained on: five classes with one or five pictures of each.
    pub fn unlike_training(&self, counts: &BTreeMap<&str, usize>) -> Option<String> {
        const TRAINED: [usize; 2] = [1, 5];
        let labels = self.checkpoint.caml.labels;
        let alike = TRAINED.iter().any(|n| counts.values().all(|c| c == n));
        let (least, most) = (counts.values().min()?, counts.values().max()?);
        let pictures = if least == most { least.to_string() } else { format!("{least} to {most}") };
        (counts.len() != labels || !alike).then(|| {
            format!(
                "CAML was trained on {labels} classes with 1 or 5 pictures of each; {} classes with {pictures} each are outside of that, and \
                 nobody has published how well it does there",
                counts.len()
            )
        })
    }
}

/// The encoder that was asked for, or that the checkpoint was released with.
fn encoder(asked: &Asked, caml: &Caml, origin: &str) -> Result<&'static Network> {
    let name = asked.encoder.as_deref().or(caml.released().map(|r| r.encoder));
    name.map(models::named).unwrap_or_else(|| {
        let known = models::caml::RELEASED.map(|r| format!("{} ({})", r.encoder, r.features)).join(", ");
        Err(Error::Usage(format!(
            "{origin}: takes features of {} values, which no released checkpoint does: {known}; name its encoder with --encoder",
            caml.features
        )))
    })
}

/// Whether an encoder's features are as long as the checkpoint takes them: by shapes, before any weights are read.
fn fits(encoder: &Network, config: &Config, caml: &Caml, origin: &str) -> Result<()> {
    let (graph, none) = (Graph::new(), Named::new());
    let places = encoder.build(graph.input("picture", [1, config.size, config.size, 3]), &Scope::new(&graph, &none));
    let found = of(places.find(&config.place)?).map(|v| v.dim(1));
    if found == Some(caml.features) {
        return Ok(());
    }
    let own = match caml.released() {
        Some(released) => format!("; its encoder is {}", released.encoder),
        None => String::new(),
    };
    let gives = found.map_or("gives no vector".into(), |n| format!("gives features of {n} values"));
    let (name, takes) = (encoder.name, caml.features);
    Err(Error::Weights(vec![format!("{origin}: takes features of {takes} values, and {name} {gives}{own}")]))
}

/// Computes the features of `support`. Of a file that is there twice in a class, one is used.
///
/// # Errors
/// As [`Start::check`]; [`Error::Weights`] for a checkpoint that gives labels in the reverse order of that asked for; [`Error::Input`] for
/// a file in two classes, a picture that cannot be read, unless [`Loading::keep_going`], and a class of which none can be;
/// [`Error::Numeric`] for features that are not finite; whatever the device and the watcher report.
pub async fn fit(
    gpu: &Gpu,
    support: &Classes,
    start: Start,
    options: &FitOptions,
    watch: &dyn Watch,
) -> Result<(CamlModel, Report)> {
    start.check(support)?;
    let mut since = Instant::now();
    let mut lap = || std::mem::replace(&mut since, Instant::now()).elapsed().as_secs_f64();
    let verdict = start.tested(gpu, &options.run.planning()).await?;
    let tested = lap();
    watch.go_on()?;
    let mut vectors = Vectors::new(gpu, start.source(), &options.run).await?;
    let ready = lap();
    let mut gathered = Gathered::new(vec![]);
    let mut take = |looked: Looked, feature: Vec<f32>| match support.samples.get(looked.number) {
        Some(sample) => gathered.take(sample, looked.sha256, feature).map(drop),
        None => Ok(()),
    };
    let missed = vectors.each(&support.samples, &options.loading, watch, &mut take).await?;
    drop(vectors);
    let seconds = [tested, ready, lap()];
    let Start { config, encoder, weights, checkpoint, origin } = start;
    let gathered = gathered.sorted(support, &missed, watch)?;
    let file = file(gathered, config, Backbone::new(encoder, &weights, false), origin);
    let fitted = CamlModel::fitted(file, encoder, weights, Some(checkpoint))?;
    Ok((fitted, Report { missed, verdict, seconds }))
}

fn flipped(start: &Start) -> Error {
    let what = match start.config.reversed {
        true => "gives labels in their own order; leave --reverse-labels out",
        false => {
            "label-flipped checkpoint: it gives every label the place of its opposite, as a bug in CAML's training code with some \
             versions of PyTorch has it; with --reverse-labels its answers are turned round"
        }
    };
    Error::Weights(vec![format!("{}: {what}", plain(&start.origin.file))])
}

/// The file of a support's features.
fn file(support: Gathered<Vec<f32>>, config: Config, encoder: Backbone, checkpoint: Origin) -> ModelFile {
    let Gathered { found, left_out, .. } = support;
    let mut classes = BTreeMap::<String, usize>::new();
    found.iter().for_each(|(class, ..)| *classes.entry(class.clone()).or_default() += 1);
    let rows: Vec<f32> = found.iter().flat_map(|(_, _, feature)| feature.iter().copied()).collect();
    ModelFile {
        support: Tensor::new([found.len(), checkpoint.sizes.features], rows),
        classes: classes.into_iter().collect(),
        pictures: found.into_iter().map(|(_, seen, _)| seen).collect(),
        left_out,
        limit: None,
        config,
        encoder,
        checkpoint,
    }
}
