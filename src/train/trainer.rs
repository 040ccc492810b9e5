//! Steps one after the other: losses watched, checkpoints written, an interrupt or a number that is none ends it with nothing lost.

use super::checkpoint::Checkpoint;
use super::step::{Forward, Learning, learn_in};
use crate::engine::{Gpu, Graph, Named, Options, Parameter, Parameters, Plan, Run, Store, Var};
use crate::error::{Error, MemoryBound, Result, shown};
use crate::tensor::Tensor;
use crate::watch::Watch;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;

/// Segments of a forward pass of which only one is kept in memory at a time: tried from the first on until a plan fits. More keep less, and
/// compute more again, at most the whole pass.
const SEGMENTS: [usize; 9] = [1, 2, 3, 4, 6, 8, 12, 16, 24];

/// What is said of the plan that needs less, of two that do not fit.
fn smaller(before: Option<Error>, now: Error) -> Error {
    let need = |e: &Error| if let Error::Memory { need, .. } = e { *need } else { u64::MAX };
    before.filter(|e| need(e) <= need(&now)).unwrap_or(now)
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
    kept: BTreeMap<String, Tensor>,
    /// Of the forward pass: more than one where part of it is computed again.
    segments: usize,
}

/// Prefix of the names of the best weights among what is kept.
const BEST: &str = "best.";

impl<'a> Trainer<'a> {
    /// Plans the steps of a graph that [`learn`](super::learn) has made one; `losses` by name, of one element each.
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
        let (losses, kept) = Default::default();
        Ok(Trainer { gpu, store, parameters, plan, learning, names, step: 0, losses, saved: None, kept, segments: 1 })
    }

    /// Plans the steps that learn from what `forward` appends. Where they do not fit in memory, part of the forward pass is computed again on
    /// the way back ([`gradients_in`](crate::engine::gradients_in)), as little as will do.
    ///
    /// # Errors
    /// [`Error::Memory`] where no number of segments fits, with the least that is needed; otherwise as [`Plan::new`].
    pub async fn fitting(
        gpu: &'a Gpu,
        forward: &Forward<'_>,
        ground: (&'a Store, &'a Parameters),
        learning: Learning,
        options: &Options,
    ) -> Result<Trainer<'a>> {
        let mut least: Option<Error> = None;
        for segments in SEGMENTS {
            let graph = Graph::new();
            let goal = forward(&graph)?;
            learn_in(goal.loss, &learning, segments);
            match Trainer::new(gpu, (&graph, &goal.told), ground, learning, options.clone()).await {
                Ok(trainer) => return Ok(Trainer { segments, ..trainer }),
                // One tensor that is too large for the device stays so.
                Err(e @ Error::Memory { bound: MemoryBound::Limit, .. }) => least = Some(smaller(least, e)),
                Err(e) => return Err(e),
            }
        }
        Err(least.unwrap_or_else(|| Error::Internal("no plan of a step was tried".into())))
    }

    /// The plan of a step.
    pub fn plan(&self) -> &Plan<'a> {
        &self.plan
    }

    /// Segments of the forward pass: of all but the last, what the way back reads is computed again.
    pub fn segments(&self) -> usize {
        self.segments
    }

    /// What a step takes, in words.
    pub fn needs(&self) -> String {
        let twice = match self.segments {
            1 => String::new(),
            n => format!(", its forward pass in {n} segments, most of it computed twice"),
        };
        format!("{:.0} MB of device memory{twice}", self.plan.bytes() as f64 / 1e6)
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
        (self.step, self.losses, self.saved, self.kept) = Default::default();
    }

    /// Begins anew, with every state where it began.
    ///
    /// # Errors
    /// What the device reports.
    pub fn begin_anew(&mut self) -> Result<()> {
        self.restart();
        self.parameters.restart(self.gpu, self.store)
    }

    /// Names of the losses.
    pub fn names(&self) -> &[&'static str] {
        &self.names
    }

    /// What lies beside the states in checkpoints, and comes back from them.
    pub(super) fn kept(&self) -> &BTreeMap<String, Tensor> {
        &self.kept
    }

    /// Keeps something in the checkpoints from now on.
    pub(super) fn keep(&mut self, name: impl Into<String>, tensor: Tensor) {
        self.kept.insert(name.into(), tensor);
    }

    /// Keeps the weights as they are now: they are the best so far.
    ///
    /// # Errors
    /// What the device reports.
    pub(super) fn keep_best(&mut self) -> Result<()> {
        for (name, weight) in self.parameters.weights(self.gpu, self.store)? {
            self.keep(format!("{BEST}{name}"), Arc::unwrap_or_clone(weight));
        }
        Ok(())
    }

    /// The weights: the best that were kept, or as they are now where none were.
    ///
    /// # Errors
    /// What the device reports.
    pub fn weights(&self) -> Result<Named> {
        let best = |(name, t): (&String, &Tensor)| Some((name.strip_prefix(BEST)?.to_string(), Arc::new(t.clone())));
        let best: Named = self.kept.iter().filter_map(best).collect();
        if best.is_empty() { self.parameters.weights(self.gpu, self.store) } else { Ok(best) }
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
        let best = |name: &str, p: &Parameter| from.kept.get(&format!("{BEST}{name}")).map(|t| t.shape == p.shape);
        let mut best = self.parameters.iter().map(|(name, p)| best(name, p));
        if from.kept.keys().any(|name| name.starts_with(BEST)) && !best.all(|fits| fits == Some(true)) {
            return Err(wrong("has not the weights of its best check".into()));
        }
        (self.step, self.losses, self.saved) = (from.step, from.losses.data.clone(), Some(from.step));
        self.kept = from.kept.clone();
        Ok(())
    }

    /// Runs what is left of `job.steps`. Two steps are on their way at a time: the host makes the inputs of one while the device computes
    /// the other.
    ///
    /// # Errors
    /// [`Error::Numeric`] for a loss that is no number, with the step and the last checkpoint; [`Error::Interrupted`] once a checkpoint of
    /// the steps so far is written; what inputs, device and disk have to say.
    pub fn run(&mut self, mut job: Job<'_>) -> Result<()> {
        self.run_to(job.steps, &mut job)
    }

    /// The same up to step `until`, after which weights can be looked at before it goes on.
    ///
    /// # Errors
    /// As [`Trainer::run`].
    pub(super) fn run_to(&mut self, until: u64, job: &mut Job<'_>) -> Result<()> {
        self.go(until, job).map_err(|e| self.told(e, job.saving.as_ref()))
    }

    fn go(&mut self, until: u64, job: &mut Job<'_>) -> Result<()> {
        let mut way: VecDeque<Run> = VecDeque::new();
        let mut sent = self.step;
        while self.step < until {
            job.watch.0.progress(job.watch.1, self.step as usize, job.steps as usize);
            let stopped = job.watch.0.go_on();
            let due =
                job.saving.as_ref().is_some_and(|s| sent > self.saved.unwrap_or(0) && sent.is_multiple_of(s.every));
            if stopped.is_ok() && !due && sent < until && way.len() < 2 {
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
            if due {
                self.save(job)?;
            }
            self.unless(stopped, job)?;
        }
        job.watch.0.progress(job.watch.1, self.step as usize, job.steps as usize);
        Ok(())
    }

    /// Goes on unless it is `stopped`: by an interrupt, once a checkpoint of the steps so far is written, by anything else at once.
    ///
    /// # Errors
    /// What it is stopped by; [`Error::Output`] for a checkpoint that cannot be written.
    pub(super) fn unless(&mut self, stopped: Result<()>, job: &Job<'_>) -> Result<()> {
        match stopped {
            Err(why @ Error::Interrupted(_)) => {
                self.save(job)?;
                // It says by now what was saved.
                Err(job.watch.0.go_on().err().unwrap_or(why))
            }
            other => other,
        }
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
        let kept = self.kept.clone();
        let made = Checkpoint { step: self.step, choices, device, losses, states, kept };
        made.write(saving.path)?;
        self.saved = Some(self.step);
        // Whoever is interrupted from here on has this much.
        let text = format!("{} of {} steps are in {}", self.step, job.steps, shown(saving.path));
        job.watch.0.left_by_interrupt(&text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Choice, Scope};
    use crate::train::{Rate, Rule, learn};
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
