//! Steps one after the other: losses watched, checkpoints written, an interrupt or a number that is none ends it with nothing lost.

use super::checkpoint::Checkpoint;
use super::rate::Rate;
use super::rule::Rule;
use crate::engine::{Gpu, Graph, Options, Parameters, Plan, Run, Store, Trained, Var, gradients};
use crate::error::{Error, Result, shown};
use crate::tensor::Tensor;
use crate::watch::Watch;
use serde_json::{Map, Value};
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

/// How weights follow their gradients.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Learning {
    /// The optimiser.
    pub rule: Rule,
    /// The learning rate of every step.
    pub rate: Rate,
    /// The Euclidean norm of all gradients together that they are scaled down to, where they pass it.
    pub clip: Option<f32>,
}

impl Learning {
    /// The numbers of the optimiser at a step: the last input of a graph that [`learn`] or [`update`] has worked on.
    pub fn numbers(&self, step: u64) -> Tensor {
        self.rule.hyper(step, self.rate.at(step))
    }
}

/// Appends what makes a graph a step of training: gradients of `loss` by every parameter that the graph has, and their updates. The numbers
/// of the optimiser become the graph's last input.
pub fn learn(loss: Var<'_>, learning: &Learning) {
    let trained = loss.graph().trained();
    let values: Vec<Var<'_>> = trained.iter().map(|t| t.value).collect();
    let gradients = gradients(loss, &values);
    update(&trained, &gradients, learning);
}

/// Appends the update of every parameter by its gradient.
pub fn update<'g>(trained: &[Trained<'g>], gradients: &[Var<'g>], learning: &Learning) {
    let Some(first) = trained.first() else { return };
    let numbers = learning.rule.numbers();
    let hyper = first.value.graph().input("optimiser", [numbers]);
    let scale = learning.clip.and_then(|most| scale(gradients, most));
    let hyper = scale.map_or(hyper, |scale| hyper.slice(0, 0, numbers - 1).concat(scale, 0));
    for (t, gradient) in trained.iter().zip(gradients) {
        learning.rule.update(t.state, *gradient, hyper);
    }
}

/// What gradients are multiplied by so that their norm is `most` at the most, as PyTorch's clip_grad_norm_ has it: `[1]`.
fn scale<'g>(gradients: &[Var<'g>], most: f32) -> Option<Var<'g>> {
    let square = |g: &Var<'g>| g.reshape([1, g.shape().len()]).square().sum();
    let squares = gradients.iter().map(square).reduce(|sum, s| sum + s)?;
    let number = |name: &str, v: f32| squares.graph().weight(name, Arc::new(Tensor::new([1], vec![v])));
    // min(1, a) = -max(-1, -a)
    let share = number("clip", most) / squares.sqrt().affine(1.0, 1e-6);
    Some(share.negated().maximum(number("minus one", -1.0)).negated())
}

/// Where and when a training is saved.
#[derive(Clone, Debug)]
pub struct Saving<'a> {
    /// The checkpoint.
    pub path: &'a Path,
    /// Steps from one to the next.
    pub every: u64,
    /// What the training was asked to do.
    pub choices: Map<String, Value>,
}

/// What a training is run with.
pub struct Job<'a> {
    /// Steps in all, those before a checkpoint counted.
    pub steps: u64,
    /// The inputs of a step, whatever happened before: a function of its number alone.
    pub inputs: &'a mut dyn FnMut(u64) -> Result<Vec<Tensor>>,
    /// Hears the losses of every step.
    pub heard: &'a mut dyn FnMut(u64, &[f32]) -> Result<()>,
    /// Who watches, and what the work is called there.
    pub watch: (&'a dyn Watch, &'static str),
    /// Where it is saved, unless it is not.
    pub saving: Option<Saving<'a>>,
}

/// A training: a plan, and where it stands.
#[derive(Debug)]
pub struct Trainer<'a> {
    gpu: &'a Gpu,
    store: &'a Store,
    parameters: &'a Parameters,
    plan: Plan<'a>,
    learning: Learning,
    names: Vec<&'static str>,
    step: u64,
    losses: Vec<f32>,
    saved: Option<u64>,
}

impl<'a> Trainer<'a> {
    /// Plans the steps of a graph that [`learn`] has made one; `losses` by name, of one element each.
    ///
    /// # Errors
    /// As [`Plan::new`].
    pub async fn new(
        gpu: &'a Gpu,
        (graph, losses): (&Graph, &[(&'static str, Var<'_>)]),
        (store, parameters): (&'a Store, &'a Parameters),
        learning: Learning,
        options: Options,
    ) -> Result<Trainer<'a>> {
        let outputs: Vec<Var<'_>> = losses.iter().map(|l| l.1).collect();
        let plan = Plan::new(gpu, graph, &outputs, store, options).await?;
        let names = losses.iter().map(|l| l.0).collect();
        Ok(Trainer { gpu, store, parameters, plan, learning, names, step: 0, losses: vec![], saved: None })
    }

    /// The plan of a step.
    pub fn plan(&self) -> &Plan<'a> {
        &self.plan
    }

    /// Steps that are done.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// The losses of every step so far, `[steps, losses]`.
    pub fn losses(&self) -> Tensor {
        Tensor::new([self.losses.len() / self.names.len().max(1), self.names.len()], self.losses.clone())
    }

    /// Begins anew; states are the caller's to put back.
    pub fn restart(&mut self) {
        (self.step, self.losses, self.saved) = (0, vec![], None);
    }

    /// Goes on from a checkpoint of a training with the same parameters and losses.
    ///
    /// # Errors
    /// [`Error::Weights`] where it has others.
    pub fn resume(&mut self, from: &Checkpoint, origin: &Path) -> Result<()> {
        let wrong = |what: String| Error::Weights(vec![format!("{}: {what}", shown(origin))]);
        if from.losses.shape.dims() != [from.step as usize, self.names.len()] {
            return Err(wrong(format!("has losses {} after {} steps", from.losses.shape, from.step)));
        }
        for (name, p) in self.parameters.iter() {
            let state = from.states.get(name).ok_or_else(|| wrong(format!("has no state of {name}")))?;
            self.store.write(self.gpu, &p.began, state)?;
        }
        (self.step, self.losses, self.saved) = (from.step, from.losses.data.clone(), Some(from.step));
        Ok(())
    }

    /// Runs what is left of `job.steps`. Two steps are on their way at a time: the host makes the inputs of one while the device computes
    /// the other.
    ///
    /// # Errors
    /// [`Error::Numeric`] for a loss that is no number, with the step and the last checkpoint; [`Error::Interrupted`] once a checkpoint of
    /// the steps so far is written; what inputs, device and disk have to say.
    pub fn run(&mut self, mut job: Job<'_>) -> Result<()> {
        let mut way: VecDeque<Run> = VecDeque::new();
        let mut sent = self.step;
        while self.step < job.steps {
            job.watch.0.progress(job.watch.1, self.step as usize, job.steps as usize);
            let stopped = job.watch.0.go_on();
            let due =
                job.saving.as_ref().is_some_and(|s| sent > self.saved.unwrap_or(0) && sent.is_multiple_of(s.every));
            if stopped.is_ok() && !due && sent < job.steps && way.len() < 2 {
                way.push_back(self.send(sent, &mut job)?);
                sent += 1;
                continue;
            }
            while let Some(run) = way.pop_front() {
                self.hear(run, &mut job)?;
                if stopped.is_ok() && !due {
                    break;
                }
            }
            if stopped.is_err() || due {
                self.save(&job)?;
            }
            if stopped.is_err() {
                let at = |s: &Saving<'_>| format!("{} of {} steps are in {}", self.step, job.steps, shown(s.path));
                job.saving.as_ref().map(at).iter().for_each(|text| job.watch.0.left_by_interrupt(text));
                return stopped;
            }
        }
        job.watch.0.progress(job.watch.1, job.steps as usize, job.steps as usize);
        Ok(())
    }

    fn send(&self, step: u64, job: &mut Job<'_>) -> Result<Run> {
        let mut inputs = (job.inputs)(step)?;
        inputs.push(self.learning.numbers(step));
        self.plan.submit(&inputs.iter().collect::<Vec<_>>())
    }

    /// Waits for the next step's losses.
    fn hear(&mut self, run: Run, job: &mut Job<'_>) -> Result<()> {
        let losses: Vec<f32> = self.plan.collect(run)?.iter().flat_map(|t| t.data.first().copied()).collect();
        let broken = losses.iter().zip(&self.names).find(|l| !l.0.is_finite());
        if let Some((loss, name)) = broken {
            let last = match (&job.saving, self.saved) {
                (Some(s), Some(step)) => format!("the checkpoint of step {step} is {}", shown(s.path)),
                _ => "there is no checkpoint".into(),
            };
            let advice = "a smaller learning rate, or clipped gradients, may help";
            return Err(Error::Numeric(format!("step {}: the loss {name} is {loss}; {last}; {advice}", self.step)));
        }
        (job.heard)(self.step, &losses)?;
        self.losses.extend(losses);
        self.step += 1;
        Ok(())
    }

    fn save(&mut self, job: &Job<'_>) -> Result<()> {
        let Some(saving) = &job.saving else { return Ok(()) };
        if self.saved == Some(self.step) {
            return Ok(());
        }
        let states = Checkpoint::states(self.gpu, self.store, self.parameters)?;
        let (device, choices) = (self.gpu.info.describe(), saving.choices.clone());
        let made = Checkpoint { step: self.step, choices, device, losses: self.losses(), states };
        made.write(saving.path)?;
        self.saved = Some(self.step);
        Ok(())
    }
}
