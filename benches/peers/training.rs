//! EfficientAD-S's training as Lupe does it, one good picture a step and none of anything else: the losses alone, and whole steps. Dropout is
//! left out, here as in `training.py`, as no two systems draw the same and losses are compared.

use crate::export::{PICTURES, TRAINED, read};
use crate::serve::{Result, serve, timed};
use lupe::engine::{Gpu, Graph, Options, Parameters, Plan, Scope, Store, Var};
use lupe::methods::efficientad::step::{HARD, Step};
use lupe::methods::efficientad::train::learning;
use lupe::methods::efficientad::{Networks, TEACHER};
use lupe::models::pdn::Size;
use lupe::tensor::Tensor;
use lupe::train::{Learning, learn};
use lupe::weights::Weights;
use pollster::block_on;
use std::path::Path;

/// The losses of a step, with all that a step has before its way back.
const FORWARD: &str = "efficientad_s_forward";

/// Losses, gradients, and what Adam makes of them.
const STEP: &str = "efficientad_s_step";

/// Steps of the published training: those that are run have its first rate.
const STEPS: u64 = 70_000;

/// Weights of which it is told what the first step changed: what is furthest from the losses, so that a gradient has gone all the way.
const CHANGED: [&str; 2] = ["student.conv1.weight", "ae.enconv1.weight"];

/// The published networks.
pub fn networks() -> Networks {
    Networks::of(Size::Small, 1, false)
}

/// What a step of theirs looks at.
pub fn step() -> Step {
    Step { networks: networks(), batch: 1, penalty: false }
}

/// One of the tasks, ready to run.
pub struct Training<'g> {
    plan: Plan<'g>,
    store: Store,
    parameters: Parameters,
    pictures: Tensor,
    /// Where it steps.
    learning: Option<Learning>,
}

/// Whether `name` is one of the tasks.
pub fn has(name: &str) -> bool {
    [FORWARD, STEP].contains(&name)
}

impl<'g> Training<'g> {
    /// The task `name`. Weights are parameters in both, so that a forward pass is what a step has of it.
    pub fn new(gpu: &'g Gpu, folder: &Path, name: &str) -> Result<Training<'g>> {
        let weights = Weights::open(&folder.join(format!("{TRAINED}.safetensors")))?;
        let learning = (name == STEP).then(|| learning(STEPS));
        let (named, slots) = (weights.tensors(), learning.map_or(0, |l| l.rule.slots()));
        let parameters = Parameters::new(named, slots, |name| !name.starts_with(TEACHER));
        let (graph, store, step) = (Graph::new(), Store::new(), step());
        let pictures = read(folder, PICTURES, &[step.pictures(), 256, 256, 3])?;
        let (p, x) = (Scope::new(&graph, named).training(&parameters), graph.input("pictures", pictures.shape));
        let losses = step.losses((x, step.taught(x, &p)), &p, &|_, y| y, &hard_loss);
        learning.iter().for_each(|l| learn(losses.total, l));
        let outputs: Vec<Var> = losses.named().into_iter().map(|l| l.1).collect();
        let plan = block_on(Plan::new(gpu, &graph, &outputs, &store, Options::default()))?;
        Ok(Training { plan, store, parameters, pictures, learning })
    }

    /// The plan and its inputs at the first step.
    pub fn planned(&self) -> (&Plan<'g>, Vec<Tensor>) {
        (&self.plan, [self.pictures.clone()].into_iter().chain(self.numbers(0)).collect())
    }

    /// The losses at first, and what a step has changed then; the runs after it go on from there.
    pub fn serve(&self, gpu: &Gpu, out: &Path) -> Result<()> {
        let mut first = self.run(0)?;
        first.extend(self.changes(gpu)?);
        let mut step = 0;
        serve(out, &first, || {
            step += 1;
            timed(|| self.run(step))
        })
    }

    /// The optimiser's numbers, where it steps.
    fn numbers(&self, step: u64) -> Option<Tensor> {
        self.learning.map(|l| l.numbers(step))
    }

    /// The losses.
    fn run(&self, step: u64) -> Result<Vec<f32>> {
        let numbers = self.numbers(step);
        let inputs: Vec<&Tensor> = [&self.pictures].into_iter().chain(&numbers).collect();
        Ok(block_on(self.plan.run(&inputs))?.into_iter().flat_map(|t| t.data).collect())
    }

    /// How far [`CHANGED`] are from where they began; nothing where it does not step.
    fn changes(&self, gpu: &Gpu) -> Result<Vec<f32>> {
        if self.learning.is_none() {
            return Ok(vec![]);
        }
        let (now, mut all) = (self.parameters.weights(gpu, &self.store)?, vec![]);
        for name in CHANGED {
            let (Some(after), Some(before)) = (now.get(name), self.parameters.get(name)) else {
                return Err(format!("there is no weight {name}").into());
            };
            all.extend(after.data.iter().zip(&before.began.data).map(|(a, b)| a - b));
        }
        Ok(all)
    }
}

/// The hard loss with the quantile of all differences, as the training has it.
fn hard_loss(apart: Var<'_>) -> Var<'_> {
    apart.hard_mean(apart.quantile(HARD))
}
