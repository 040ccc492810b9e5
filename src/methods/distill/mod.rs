//! A teacher for EfficientAD from any network and any pictures (arXiv 2303.14535, appendix): a PDN learns to say what patch vectors of that
//! network say, brought to as many values as it has outputs, each with mean 0 and deviation 1 over the pictures.

mod pictures;
mod target;

use crate::data::dataset::Sample;
use crate::data::load::Loading;
use crate::engine::{Gpu, Graph, Named, Parameters, Scope, Store};
use crate::error::{Error, Result};
use crate::files::sha256;
use crate::methods::RunOptions;
use crate::methods::efficientad::{Networks, Sums};
use crate::models::Network;
use crate::models::pdn::{NARROW, Pdn, Size};
use crate::tensor::Tensor;
use crate::train::{Course, Keeping, Learning, Rate, Rule, Trainer, ahead, learn};
use crate::watch::Watch;
use crate::weights::Weights;
use pictures::Pictures;
use serde::Serialize;
use serde_json::{Map, Value, json};
pub use target::Target;

/// Every choice.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Config {
    /// Which layers the teacher has.
    pub size: Size,
    /// What its published widths are divided by.
    pub narrow: usize,
    /// Places of the network, the finest first.
    pub layers: Vec<String>,
    /// Edge length of the teacher's input; the network's is as much larger as its places ask for.
    pub image_size: usize,
    /// Steps.
    pub steps: u64,
    /// Pictures in a step.
    pub batch: usize,
    /// Pictures that means and deviations are taken of, at most.
    pub statistics: usize,
    /// Seed of all that is drawn.
    pub seed: u64,
}

/// The network that is learned from.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The network.
    pub network: &'a Network,
    /// Its weights, batch norms folded.
    pub weights: &'a Weights,
}

/// What a distillation gave.
#[derive(Clone, Debug)]
pub struct Distilled {
    /// The teacher's weights, `conv1.weight`, ….
    pub weights: Named,
    /// The loss of every step.
    pub losses: Tensor,
}

impl Config {
    /// As published: 60,000 steps of 16 pictures, means of 10,000.
    pub fn new(size: Size, network: &Network) -> Config {
        let layers = network.features.layers.iter().map(ToString::to_string).collect();
        Config { size, narrow: 1, layers, image_size: 256, steps: 60_000, batch: 16, statistics: 10_000, seed: 0 }
    }

    /// Checks it.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the value and what is allowed.
    pub fn check(&self) -> Result<()> {
        let wrong = |what: String| Err(Error::Usage(what));
        if !NARROW.contains(&self.narrow) {
            return wrong(format!("--narrow {}: expected one of {NARROW:?}", self.narrow));
        }
        if !(64..=1024).contains(&self.image_size) || !self.image_size.is_multiple_of(8) {
            return wrong(format!("--image-size {}: must be a multiple of 8 between 64 and 1024", self.image_size));
        }
        if self.steps == 0 || self.batch == 0 || self.statistics == 0 {
            return wrong("--steps, --batch and --statistics: must be at least 1".into());
        }
        Ok(())
    }

    /// The teacher while it learns: padded, so that its map has a place for every four pixels.
    fn pdn(&self) -> Pdn {
        Pdn { padded: true, ..self.size.pdn().narrow(self.narrow) }
    }
}

/// How weights follow their gradients: Adam at 1e-4 with a decay of 1e-5, as published.
fn learning() -> Learning {
    Learning { rule: Rule::adam(1e-5), rate: Rate::Constant(1e-4), clip: None }
}

/// Distils a teacher.
///
/// # Errors
/// [`Error::Usage`] for choices that cannot be, and for a checkpoint of another distillation; [`Error::Input`] for a picture that cannot be
/// read; [`Error::Numeric`] for a loss that is no number, and for a place of the network that says the same of all pictures; the watcher's
/// interrupt, once a checkpoint is written; what device and disk report.
pub async fn distill(
    gpu: &Gpu,
    (source, samples): (Source<'_>, &[Sample]),
    config: &Config,
    (run, loading, keeping): (&RunOptions, &Loading, &Keeping),
    watch: &dyn Watch,
) -> Result<Distilled> {
    config.check()?;
    let target = Target::new(source, config)?;
    let pictures = Pictures::new(samples, config, &target, loading.limits);
    let statistics = statistics(gpu, &target, &pictures, (config, run), watch).await?;
    let pdn = config.pdn();
    let initial = Networks::initial_of(pdn, config.seed);
    let parameters = Parameters::new(&initial, learning().rule.slots(), |_| true);
    let (graph, store) = (Graph::new(), Store::new());
    let edge = config.image_size;
    let small = graph.input("pictures", [config.batch, edge, edge, 3]);
    let said = pdn.map(small, &Scope::new(&graph, &initial).training(&parameters));
    let wanted = target.of(graph.input("larger pictures", target.shape(config.batch)), &statistics)?;
    let apart = (wanted.reshape(said.shape()) - said).square();
    let loss = apart.mean().reshape([1, apart.shape().rows().0]).mean();
    learn(loss, &learning());
    let losses = [("loss", loss)];
    let planned = Trainer::new(gpu, (&graph, &losses), (&store, &parameters), learning(), run.planning());
    let mut trainer = planned.await?;
    let together = |_, both: Vec<[Tensor; 2]>| {
        let (small, large): (Vec<Tensor>, Vec<Tensor>) = both.into_iter().map(|[s, l]| (s, l)).unzip();
        Ok(vec![pictures::together(small), pictures::together(large)])
    };
    let course = Course {
        steps: config.steps,
        each: config.batch as u64,
        make: &|k| pictures.at(k),
        inputs: &together,
        stage: "distilling",
    };
    course.run(&mut trainer, None, (keeping, choices(source, samples, config)), watch)?;
    Ok(Distilled { weights: trainer.weights()?, losses: trainer.losses() })
}

/// Mean and deviation of every value of the target over pictures.
async fn statistics(
    gpu: &Gpu,
    target: &Target<'_>,
    pictures: &Pictures<'_>,
    (config, run): (&Config, &RunOptions),
    watch: &dyn Watch,
) -> Result<crate::methods::efficientad::Statistics> {
    let graph = Graph::new();
    let map = target.raw(graph.input("larger pictures", target.shape(1)))?;
    let plan = crate::engine::Plan::new(gpu, &graph, &[map], &Store::new(), run.planning()).await?;
    let (mut sums, n) = (Sums::default(), config.statistics.min(pictures.len()));
    ahead(
        |k| pictures.whole(k as usize),
        0..n as u64,
        |ahead| {
            for i in 0..n {
                watch.progress("statistics", i, n);
                watch.go_on()?;
                let found = plan.collect(plan.submit(&[&ahead.take()?])?)?;
                found.first().into_iter().for_each(|map| sums.add(map));
            }
            watch.progress("statistics", n, n);
            Ok(())
        },
    )?;
    sums.statistics()
}

/// Everything that a distillation depends on.
fn choices(source: Source<'_>, samples: &[Sample], config: &Config) -> Map<String, Value> {
    let names: Vec<&str> = samples.iter().map(|s| s.name.as_str()).collect();
    let made = json!({
        "distillation": config, "network": source.network.name, "weights": source.weights.sha256(),
        "pictures": sha256(names.join("\n").as_bytes()),
    });
    let Value::Object(made) = made else { return Map::new() };
    made
}
