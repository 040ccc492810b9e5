//! The training of student and autoencoder: Adam at 1e-4 with a decay of 1e-5, a tenth of the rate for the last twentieth of the steps, as
//! published.

use super::begin::Begun;
use super::examples::Example;
use super::fit::FitOptions;
use super::held::HeldOut;
use super::networks::UNSCALED;
use super::statistics::Statistics;
use super::step::{HARD, Losses, Step};
use crate::engine::{Gpu, Graph, Named, Parameters, Scope, Store, Var};
use crate::error::Result;
use crate::models::autoencoder::DROPPED;
use crate::tensor::{Shape, Tensor};
use crate::train::{Course, End, Goal, Held, Learning, Rate, Rule, Trainer, forward};
use crate::watch::Watch;
use serde_json::{Map, Value, json};

/// What the work is called while it goes on.
const STAGE: &str = "training";

/// What a training gave.
#[derive(Clone, Debug)]
pub struct Trained {
    /// The weights of student and autoencoder, `student.*` and `ae.*`.
    pub networks: Named,
    /// Names of the losses.
    pub names: Vec<&'static str>,
    /// Their values, `[steps, losses]`.
    pub losses: Tensor,
    /// How it ended.
    pub end: End,
}

/// How weights follow their gradients in a training of so many steps.
pub fn learning(steps: u64) -> Learning {
    // int(0.95 n), as the published schedule counts.
    let at = (0.95 * steps as f64) as u64;
    Learning { rule: Rule::adam(1e-5), rate: Rate::Drop { rate: 1e-4, at, factor: 0.1 }, clip: None }
}

impl Step {
    /// Appends a step to a graph, on pictures of these rows and columns; weights that are trained are parameters of `p`. The inputs are
    /// pictures `[n, h, w, 3]`, in the order of [`Step::pictures`], where it is `known` what the teacher says of the good ones as they are
    /// that, `[n, h, w, c]`, its outputs not brought to one scale, the two words of the seed of dropout and, once [`learn`](crate::train::learn) has worked on the
    /// total loss, the optimiser's numbers.
    pub fn build<'g>(
        &self,
        graph: &'g Graph,
        (size, known): ([usize; 2], bool),
        statistics: &Statistics,
        p: &Scope<'g, '_>,
    ) -> Losses<'g> {
        let pictures = graph.input("pictures", [self.pictures(), size[0], size[1], 3]);
        let known = known.then(|| graph.input("maps of the teacher", self.map(size)));
        let seed = graph.input("dropout", [2]);
        let drop = |layer: usize, y: Var<'g>| y.dropout_of(DROPPED, seed, layer as u32);
        let hard = |apart: Var<'g>| apart.hard_mean(apart.quantile(HARD));
        let taught = self.taught_by(pictures, (known, statistics), p);
        self.losses((pictures, taught), p, &drop, &hard)
    }

    /// Shape of what the teacher says of the good pictures of a step, of these rows and columns.
    pub(super) fn map(&self, [h, w]: [usize; 2]) -> Shape {
        self.networks.map_of([self.batch, h, w, 3])
    }
}

impl<'g> Losses<'g> {
    /// The losses by name, the total aside.
    pub fn named(&self) -> Vec<(&'static str, Var<'g>)> {
        let penalty = self.penalty.map(|p| ("penalty", p));
        let others = [("autoencoder", self.autoencoder), ("student", self.student)];
        [("hard", self.hard)].into_iter().chain(penalty).chain(others).collect()
    }
}

/// The words that say which values dropout drops in a step: a training that is resumed drops the same.
pub fn dropped(seed: u64, step: u64) -> Tensor {
    let z = crate::random::draw(&format!("efficientad.dropout.{seed}"), step);
    Tensor::new([2], [z as u32, (z >> 32) as u32].map(f32::from_bits).to_vec())
}

/// Trains student and autoencoder as the choices say, from [`Networks::initial`](super::Networks::initial) weights or from a checkpoint, on the examples of what has
/// begun.
///
/// # Errors
/// [`Error::Usage`](crate::Error::Usage) for a checkpoint of another training; [`Error::Numeric`](crate::Error::Numeric) for a loss that is no number; [`Error::Input`](crate::Error::Input) for a picture
/// that cannot be read any more; the watcher's interrupt, once a checkpoint is written; what device and disk report.
pub async fn train(gpu: &Gpu, begun: &Begun<'_>, options: &FitOptions, watch: &dyn Watch) -> Result<Trained> {
    let (config, networks) = (begun.config, begun.config.networks());
    let step = Step { networks, batch: config.batch, penalty: config.penalty.is_some() };
    let learning = learning(config.steps);
    let initial = networks.initial(config.seed);
    let parameters = Parameters::new(&initial, learning.rule.slots(), |_| true);
    let mut named: Named = begun.teacher.iter().chain(&initial).map(|(name, t)| (name.clone(), t.clone())).collect();
    let known = begun.examples.known();
    if !known {
        let own = begun.good.teacher.weights.tensors();
        named.extend(own.iter().map(|(name, t)| (format!("{UNSCALED}.{name}"), t.clone())));
    }
    let store = Store::new();
    let forward = forward(|graph| {
        let scope = Scope::new(graph, &named).training(&parameters);
        let losses = step.build(graph, ([config.image_size; 2], known), &begun.statistics, &scope);
        Ok(Goal { loss: losses.total, told: losses.named() })
    });
    let ground = (&store, &parameters);
    let mut trainer = Trainer::fitting(gpu, &forward, ground, learning, &options.run.planning()).await?;
    let other = Graph::new();
    let scope = Scope::new(&other, &named).training(&parameters);
    let held_out = match config.patience {
        Some(_) => Some(HeldOut::new(gpu, begun, (&other, &scope, &store), options).await?),
        None => None,
    };
    let mut loss = || held_out.as_ref().map_or(Ok(f64::NAN), |held_out| held_out.loss(watch));
    let held = config.patience.map(|patience| Held { patience, loss: &mut loss });
    let (preprocess, map) = (config.preprocess(), step.map([config.image_size; 2]));
    let inputs = |step: u64, examples: Vec<Example>| {
        let taught = taught(&examples, map);
        let pictures = pictures(&preprocess, examples, config.image_size);
        Ok([pictures].into_iter().chain(taught).chain([dropped(config.seed, step)]).collect())
    };
    let (make, each) = (|k| begun.examples.at(k), config.batch as u64);
    let course = Course { steps: config.steps, each, make: &make, inputs: &inputs, stage: STAGE };
    let end = course.run(&mut trainer, held, (&options.keeping, choices(begun)), watch)?;
    let names = trainer.names().to_vec();
    Ok(Trained { networks: trainer.weights()?, names, losses: trainer.losses(), end })
}

/// What the teacher says of the good pictures of a step, where that is known.
fn taught(examples: &[Example], shape: Shape) -> Option<Tensor> {
    let all: Vec<f32> = examples.iter().filter_map(|e| e.taught.as_ref()).flatten().copied().collect();
    (!all.is_empty()).then(|| Tensor::new(shape, all))
}

/// The pictures of a step, in the order of [`Step::pictures`].
fn pictures(preprocess: &crate::data::Preprocess, examples: Vec<Example>, size: usize) -> Tensor {
    let (mut penalty, mut plain, mut changed) = (vec![], vec![], vec![]);
    for example in examples {
        penalty.extend(example.penalty.map(|p| preprocess.numbers(p)));
        plain.push(preprocess.numbers(example.plain));
        changed.push(preprocess.numbers(example.changed));
    }
    let all: Vec<Tensor> = penalty.into_iter().chain(plain).chain(changed).collect();
    let n = all.len();
    Tensor::new(Shape::from([n, size, size, 3]), all.into_iter().flat_map(|t| t.data).collect())
}

/// Everything that a training depends on: a checkpoint of another one is none to go on from.
fn choices(begun: &Begun<'_>) -> Map<String, Value> {
    let pictures: Vec<&str> = begun.split.train.iter().map(|k| k.seen.sha256.as_str()).collect();
    let made = json!({
        "config": begun.config, "teacher": begun.good.teacher.weights.sha256(),
        "pictures": crate::files::sha256(pictures.join(" ").as_bytes()), "good pictures": pictures.len(),
    });
    let Value::Object(mut made) = made else { return Map::new() };
    // What is checked by decides when it ends.
    if begun.config.patience.is_some() {
        let held: Vec<&str> = begun.split.validation.iter().map(|k| k.seen.sha256.as_str()).collect();
        made.insert("pictures kept".into(), json!(crate::files::sha256(held.join(" ").as_bytes())));
    }
    // Of one picture a plan asks the teacher with the kernels that asked it before; of several it need not, where these do not fit.
    if begun.config.batch > 1 {
        made.insert("maps of the teacher".into(), json!(if begun.examples.known() { "kept" } else { "asked for" }));
    }
    made
}
