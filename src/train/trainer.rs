//! Steps one after the other: losses watched, checkpoints written, an interrupt or a number that is none ends it with nothing lost.

use super::checkpoint::Checkpoint;
use super::patience::{Checks, End, Held};
use super::rate::Rate;
use super::rule::Rule;
use crate::engine::{Gpu, Graph, Named, Options, Parameter, Parameters, Plan, Run, Store, Trained, Var, gradients};
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
    checks: Checks,
    /// The weights at the best check.
    best: Named,
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
        let (losses, checks, best) = Default::default();
        Ok(Trainer { gpu, store, parameters, plan, learning, names, step: 0, losses, saved: None, checks, best })
    }

    /// The plan of a step.
    pub fn plan(&self) -> &Plan<'a> {
        &self.plan
    }

    /// The device in words.
    pub fn device(&self) -> String {
        self.gpu.info.describe()
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
        (self.checks, self.best) = Default::default();
    }

    /// Begins anew, with every state where it began.
    ///
    /// # Errors
    /// What the device reports.
    pub fn begin_anew(&mut self) -> Result<()> {
        self.restart();
        self.parameters.restart(self.gpu, self.store)
    }

    /// The weights: those of the best check, where there were checks, else as they are now.
    ///
    /// # Errors
    /// What the device reports.
    pub fn weights(&self) -> Result<Named> {
        if self.best.is_empty() { self.parameters.weights(self.gpu, self.store) } else { Ok(self.best.clone()) }
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
        if from.checks.0.is_empty() != from.best.is_empty()
            || !self.parameters.iter().all(|(name, p)| suits(from, name, p))
        {
            return Err(wrong("has not the weights of its best check".into()));
        }
        (self.step, self.losses, self.saved) = (from.step, from.losses.data.clone(), Some(from.step));
        (self.checks, self.best) = (from.checks.clone(), from.best.clone());
        Ok(())
    }

    /// Runs what is left of `job.steps`. Two steps are on their way at a time: the host makes the inputs of one while the device computes
    /// the other.
    ///
    /// # Errors
    /// [`Error::Numeric`] for a loss that is no number, with the step and the last checkpoint; [`Error::Interrupted`] once a checkpoint of
    /// the steps so far is written; what inputs, device and disk have to say.
    pub fn run(&mut self, job: Job<'_>) -> Result<()> {
        self.run_held(job, None).map(drop)
    }

    /// The same, but where something is `held` out it ends once its patience does; the weights are then those of the best check.
    ///
    /// # Errors
    /// As [`Trainer::run`].
    pub fn run_held(&mut self, mut job: Job<'_>, mut held: Option<Held<'_>>) -> Result<End> {
        self.go(&mut job, held.as_mut()).map_err(|e| self.told(e, job.saving.as_ref()))
    }

    fn go(&mut self, job: &mut Job<'_>, mut held: Option<&mut Held<'_>>) -> Result<End> {
        let mut way: VecDeque<Run> = VecDeque::new();
        let mut sent = self.step;
        while self.step < job.steps && !self.ended(held.as_deref()) {
            job.watch.0.progress(job.watch.1, self.step as usize, job.steps as usize);
            let mut stopped = job.watch.0.go_on();
            let check = held.as_ref().is_some_and(|h| self.checks.due(sent, &h.patience));
            let save =
                job.saving.as_ref().is_some_and(|s| sent > self.saved.unwrap_or(0) && sent.is_multiple_of(s.every));
            let due = check || save;
            if stopped.is_ok() && !due && sent < job.steps && way.len() < 2 {
                way.push_back(self.send(sent, job)?);
                sent += 1;
                continue;
            }
            while let Some(run) = way.pop_front() {
                self.hear(run, job)?;
                if stopped.is_ok() && !due {
                    break;
                }
            }
            if check && stopped.is_ok() {
                stopped = self.check(held.as_deref_mut(), job);
            }
            if save {
                self.save(job)?;
            }
            stopped.or_else(|e| self.stop(e, job))?;
        }
        job.watch.0.progress(job.watch.1, job.steps as usize, job.steps as usize);
        let early = self.step < job.steps;
        if !early && self.checks.0.last().is_none_or(|last| last.0 < self.step) {
            self.check(held, job).or_else(|e| self.stop(e, job))?;
        }
        Ok(End { step: self.step, early, checks: self.checks.clone() })
    }

    /// Ends it: an interrupt once a checkpoint of the steps so far is written, anything else at once.
    fn stop(&mut self, why: Error, job: &Job<'_>) -> Result<()> {
        if !matches!(why, Error::Interrupted(_)) {
            return Err(why);
        }
        self.save(job)?;
        // It says by now what was saved.
        Err(job.watch.0.go_on().err().unwrap_or(why))
    }

    /// An error of the device or the disk, with what there is to go on from.
    fn told(&self, error: Error, saving: Option<&Saving<'_>>) -> Error {
        let Some(saving) = saving else { return error };
        let last = self.last(Some(saving));
        let again = "run the same command again";
        match error {
            Error::DeviceLost(text) => Error::DeviceLost(format!("{text}; {last}; {again}")),
            Error::OutOfMemory(text) => Error::OutOfMemory(format!("{text}; {last}; {again}")),
            Error::Output(text) => Error::Output(format!("{text}; {last}; make room and {again}")),
            other => other,
        }
    }

    /// The last checkpoint in words.
    fn last(&self, saving: Option<&Saving<'_>>) -> String {
        match (saving, self.saved) {
            (Some(s), Some(step)) => format!("the checkpoint of step {step} is {}", shown(s.path)),
            _ => "there is no checkpoint".into(),
        }
    }

    fn ended(&self, held: Option<&Held<'_>>) -> bool {
        held.is_some_and(|held| held.patience.ended(&self.checks))
    }

    /// Asks for the loss on what is held out, and keeps the weights where it is the lowest so far.
    fn check(&mut self, held: Option<&mut Held<'_>>, job: &Job<'_>) -> Result<()> {
        let Some(held) = held else { return Ok(()) };
        let loss = (held.loss)()?;
        if !loss.is_finite() {
            return Err(Error::Numeric(format!("step {}: the loss on what is held out is {loss}", self.step)));
        }
        self.checks.0.push((self.step, loss));
        if self.checks.improved() {
            self.best = self.parameters.weights(self.gpu, self.store)?;
        }
        let best = match self.checks.best() {
            Some((step, _)) if step == self.step => "the lowest so far".into(),
            Some((step, best)) => format!("it was {best:.4} after {step}"),
            None => String::new(),
        };
        job.watch.0.say(&format!("check     {loss:.4} on what is held out after {} steps, {best}", self.step));
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
            let last = self.last(job.saving.as_ref());
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
        let (device, choices, losses) = (self.device(), saving.choices.clone(), self.losses());
        let (checks, best) = (self.checks.clone(), self.best.clone());
        let made = Checkpoint { step: self.step, choices, device, losses, states, checks, best };
        made.write(saving.path)?;
        self.saved = Some(self.step);
        // Whoever is interrupted from here on has this much.
        let text = format!("{} of {} steps are in {}", self.step, job.steps, shown(saving.path));
        job.watch.0.left_by_interrupt(&text);
        Ok(())
    }
}

/// Whether a checkpoint with checks has the best weight of a parameter.
fn suits(from: &Checkpoint, name: &str, parameter: &Parameter) -> bool {
    from.checks.0.is_empty() || from.best.get(name).is_some_and(|t| t.shape == parameter.shape)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Choice, Scope};
    use crate::watch::Unwatched;

    /// A step of a weight towards zero, after which the device is taken away once so many are done.
    #[test]
    fn a_device_that_is_lost_is_told_with_the_last_checkpoint() {
        if std::env::var_os("LUPE_NO_GPU").is_some() {
            println!("LUPE_NO_GPU is set: skipped");
            return;
        }
        let gpu = pollster::block_on(Gpu::new(&Choice::Auto, None)).expect("an adapter");
        let (graph, store, folder) = (Graph::new(), Store::new(), tempfile::tempdir().expect("a folder"));
        let named: Named = [("w".to_string(), Arc::new(Tensor::from_fn([1, 8], |i| i as f32)))].into();
        let learning = Learning { rule: Rule::adam(0.0), rate: Rate::Constant(0.1), clip: None };
        let parameters = Parameters::new(&named, learning.rule.slots(), |_| true);
        let loss = Scope::new(&graph, &named).training(&parameters).param("w", [1, 8]).square().mean();
        learn(loss, &learning);
        let (losses, ground) = ([("loss", loss)], (&store, &parameters));
        let planned = Trainer::new(&gpu, (&graph, &losses), ground, learning, Options::default());
        let mut trainer = pollster::block_on(planned).expect("a plan");
        let path = folder.path().join("x.training");
        let mut heard = |step: u64, _: &[f32]| {
            if step == 6 {
                gpu.device.destroy();
            }
            Ok(())
        };
        let saving = Some(Saving { path: &path, every: 5, choices: Map::new() });
        let mut inputs = |_| Ok(vec![]);
        let job = Job { steps: 20, inputs: &mut inputs, heard: &mut heard, watch: (&Unwatched, "steps"), saving };
        let error = trainer.run(job).expect_err("the device is gone");
        assert!(matches!(error, Error::DeviceLost(_)) && error.exit_code() == 6, "{error:?}");
        let text = error.to_string();
        assert!(text.contains("the checkpoint of step 5 is") && text.contains("run the same command again"), "{text}");
        assert_eq!(Checkpoint::read(&path).expect("it is whole").step, 5);
    }
}
