//! Features of pictures: any stage of a network, in batches as large as the device takes.

use crate::engine::lower::Role;
use crate::engine::{Asked, Choices, Gpu, Graph, Named, Options, Plan, Problem, Scope, Store, Var};
use crate::error::{Error, Result};
use crate::models::resnet::Stages;
use crate::models::{self, Model};
use crate::tensor::{Shape, Tensor};
use crate::weights::Weights;
use std::fmt;
use std::str::FromStr;

/// A place in a network whose values are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tap {
    /// Output of stage 1 to 4, `[n, h, w, c]`.
    Layer(usize),
    /// Mean of the last stage over rows and columns, `[n, c]`.
    Pool,
}

impl FromStr for Tap {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Tap, String> {
        match text {
            "pool" => Ok(Tap::Pool),
            "layer1" => Ok(Tap::Layer(1)),
            "layer2" => Ok(Tap::Layer(2)),
            "layer3" => Ok(Tap::Layer(3)),
            "layer4" => Ok(Tap::Layer(4)),
            _ => Err(format!("there is no tap {text}: layer1, layer2, layer3, layer4 and pool are")),
        }
    }
}

impl fmt::Display for Tap {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Tap::Layer(i) => write!(f, "layer{i}"),
            Tap::Pool => write!(f, "pool"),
        }
    }
}

/// What to extract, and how much at a time.
#[derive(Clone, Debug, Default)]
pub struct EmbedOptions {
    /// Places in the network.
    pub taps: Vec<Tap>,
    /// Pictures in one run at most.
    pub batch: usize,
    /// Bytes of device memory that may be used.
    pub limit_memory: Option<u64>,
    /// Which candidate a node gets.
    pub choices: Choices,
}

/// A network ready to turn pictures of one size into features.
#[derive(Debug)]
pub struct Embedder<'g> {
    plan: Plan<'g>,
    picture: Shape,
    batch: usize,
}

/// What is made of a network's stages: the outputs, each with the picture's number as its first axis.
pub type Head<'h> = dyn for<'a> Fn(&'a Graph, &Stages<'a>) -> Vec<Var<'a>> + 'h;

impl<'g> Embedder<'g> {
    /// Plans the taps of `model` for pictures `[1, h, w, 3]`.
    ///
    /// # Errors
    /// As [`Embedder::with_head`].
    pub async fn new(
        gpu: &'g Gpu,
        model: &Model,
        weights: &Weights,
        size: [usize; 2],
        options: &EmbedOptions,
    ) -> Result<Embedder<'g>> {
        Embedder::with_head(gpu, model, weights, size, options, &|_, stages| taps(stages, &options.taps)).await
    }

    /// Plans `model` with `head` on it for pictures `[1, h, w, 3]`. Where the wanted batch does not fit the device or would make it
    /// fall back to other kernels than one picture uses, the batch is halved: several runs then give the same numbers.
    ///
    /// # Errors
    /// [`Error::Weights`] listing everything missing, misshapen or foreign; [`Error::Memory`] if not even one picture fits.
    pub async fn with_head(
        gpu: &'g Gpu,
        model: &Model,
        weights: &Weights,
        [h, w]: [usize; 2],
        options: &EmbedOptions,
        head: &Head<'_>,
    ) -> Result<Embedder<'g>> {
        check(model, weights)?;
        let store = Store::new();
        let planning = Options { limit_memory: options.limit_memory, choices: options.choices.clone() };
        let plan = async |n: usize| plan(gpu, model, weights.tensors(), [n, h, w, 3], &planning, &store, head).await;
        let one = plan(1).await?;
        let mut batch = options.batch.max(1);
        while batch > 1 {
            match plan(batch).await {
                Ok(many) if shaders(&many) == shaders(&one) => {
                    return Ok(Embedder { plan: many, picture: Shape::from([1, h, w, 3]), batch });
                }
                Ok(_) | Err(Error::Memory { .. }) => batch /= 2,
                Err(e) => return Err(e),
            }
        }
        Ok(Embedder { plan: one, picture: Shape::from([1, h, w, 3]), batch: 1 })
    }

    /// Pictures in one run.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Dispatches of one run.
    pub fn dispatches(&self) -> usize {
        self.plan.dispatches()
    }

    /// Features of up to [`Embedder::batch`] pictures `[1, h, w, 3]`: for each picture, for each tap, one tensor `[1, …]`.
    ///
    /// # Errors
    /// [`Error::Shape`] for a picture of another size; whatever the device reports.
    pub async fn run(&self, pictures: &[Tensor]) -> Result<Vec<Vec<Tensor>>> {
        if let Some(other) = pictures.iter().find(|p| p.shape != self.picture) {
            return Err(Error::Shape(format!("a picture is {}, the plan is for {}", other.shape, self.picture)));
        }
        let mut all = vec![];
        for chunk in pictures.chunks(self.batch) {
            let mut data: Vec<f32> = chunk.iter().flat_map(|p| p.data.iter().copied()).collect();
            data.resize(self.batch * self.picture.len(), 0.0); // the plan's batch is fixed; what is not there is black
            let [_, h, w, c] = self.picture.nhwc();
            let outputs = self.plan.run(&[&Tensor::new([self.batch, h, w, c], data)]).await?;
            all.extend((0..chunk.len()).map(|i| outputs.iter().map(|o| row(o, i)).collect()));
        }
        Ok(all)
    }
}

/// Element `i` of the first axis, that axis kept.
fn row(t: &Tensor, i: usize) -> Tensor {
    let each = t.data.len() / t.shape.dim(0).max(1);
    let mut sizes = t.shape.dims().to_vec();
    if let Some(first) = sizes.first_mut() {
        *first = 1;
    }
    Tensor::new(Shape::new(&sizes), t.data[i * each..][..each].to_vec())
}

/// What computes a plan's nodes. Sums that follow are left out: whether parts are split may depend on the batch, and changes no bit.
fn shaders(plan: &Plan) -> Vec<&'static str> {
    plan.facts().filter(|f| f.role != Role::Sum).map(|f| f.shader).collect()
}

/// What no feature needs: the classification layer.
const IGNORED: [&str; 1] = ["fc."];

/// Whether the weights are this network's, its last layer aside; needs no device.
///
/// # Errors
/// [`Error::Weights`] listing everything missing, misshapen or foreign.
pub fn check(model: &Model, weights: &Weights) -> Result<()> {
    asked(model, weights).check(&format!("{} as {}", weights.origin(), model.name), weights.tensors(), &IGNORED)
}

fn asked(model: &Model, weights: &Weights) -> Asked {
    let (graph, asked) = (Graph::new(), Asked::default());
    let root = Scope::new(&graph, weights.tensors(), &asked);
    model.net.features(graph.input("picture", [1, 64, 64, 3]), &root);
    asked
}

/// How weights and a network compare, its last layer aside.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The network.
    pub model: &'static Model,
    /// Weights that it asks for.
    pub wanted: usize,
    /// Everything missing, misshapen or foreign.
    pub problems: Vec<Problem>,
}

impl Comparison {
    /// Weights that are as the network wants them.
    pub fn right(&self) -> usize {
        let foreign = self.problems.iter().filter(|p| matches!(p, Problem::Foreign { .. })).count();
        self.wanted.saturating_sub(self.problems.len() - foreign)
    }
}

/// The network with the fewest problems, if these weights are anything like one: at least half of what it asks for is there in the
/// right shape, and that is at least half of what there is. Only names and shapes are looked at.
pub fn nearest(weights: &Weights) -> Option<Comparison> {
    let compare = |model: &'static Model| {
        let asked = asked(model, weights);
        Comparison { model, wanted: asked.count(), problems: asked.problems(weights.tensors(), &IGNORED) }
    };
    let there = weights.tensors().keys().filter(|k| !IGNORED.iter().any(|i| k.starts_with(i))).count();
    let like = |c: &Comparison| 2 * c.right() >= c.wanted && 2 * c.right() >= there;
    models::ALL.iter().map(compare).filter(like).min_by_key(|c| c.problems.len())
}

fn taps<'a>(stages: &Stages<'a>, taps: &[Tap]) -> Vec<Var<'a>> {
    let tap = |tap: &Tap| match *tap {
        Tap::Layer(i) => stages.layers[i.clamp(1, 4) - 1],
        Tap::Pool => stages.feature,
    };
    taps.iter().map(tap).collect()
}

async fn plan<'g>(
    gpu: &'g Gpu,
    model: &Model,
    named: &Named,
    shape: [usize; 4],
    options: &Options,
    store: &Store,
    head: &Head<'_>,
) -> Result<Plan<'g>> {
    let (graph, asked) = (Graph::new(), Asked::default());
    let stages = model.net.features(graph.input("picture", shape), &Scope::new(&graph, named, &asked));
    let outputs = head(&graph, &stages);
    Plan::new(gpu, &graph, &outputs, store, options.clone()).await
}
