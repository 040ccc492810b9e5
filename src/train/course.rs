//! A training that a command runs: it says beforehand how long it takes, goes on from its checkpoint, and says how it goes.

use super::ahead::{Ahead, ahead};
use super::keeping::Keeping;
use super::patience::{End, Held};
use super::trainer::{Job, Trainer};
use crate::error::{Error, Result};
use crate::tensor::Tensor;
use crate::watch::{Quiet, Watch};
use serde_json::{Map, Value};
use std::time::Instant;

/// A training of a command.
pub struct Course<'c, E> {
    /// Steps in all.
    pub steps: u64,
    /// Examples in a step.
    pub each: u64,
    /// Makes the example of a number, on any thread.
    pub make: &'c (dyn Fn(u64) -> Result<E> + Sync),
    /// Makes the inputs of a step of its examples.
    pub inputs: &'c dyn Fn(u64, Vec<E>) -> Result<Vec<Tensor>>,
    /// What the work is called while it goes on.
    pub stage: &'static str,
}

/// Steps that are tried to see how long one takes; the first is slower, and does not count.
const TRIED: u64 = 3;

/// Steps that are worth a trial: it takes a twentieth of their time at most.
const WORTH: u64 = 20 * TRIED;

impl<E: Send> Course<'_, E> {
    /// Runs the steps that a checkpoint leaves, all where there is none; `held` may end it early.
    ///
    /// # Errors
    /// As [`Keeping::found`], [`Trainer::resume`] and [`Trainer::run_held`]; those of what makes examples and inputs.
    pub fn run(
        &self,
        trainer: &mut Trainer<'_>,
        held: Option<Held<'_>>,
        (keeping, choices): (&Keeping, Map<String, Value>),
        watch: &dyn Watch,
    ) -> Result<End> {
        let (found, device) = (keeping.found(&choices)?, trainer.device());
        let first = found.as_ref().map_or(0, |checkpoint| checkpoint.step);
        let each = if self.steps.saturating_sub(first) >= WORTH { self.tried(trainer, watch)? } else { None };
        found.iter().try_for_each(|checkpoint| keeping.go_on(trainer, checkpoint, (&device, watch)))?;
        watch.say(&format!("training  {} steps, {}", self.steps, trainer.needs()));
        let mut told = Told::new(first, self.steps);
        if let Some(each) = each {
            told.estimate(each, first, watch);
        }
        let mut heard = |step: u64, losses: &[f32]| {
            told.heard(step, losses, watch);
            Ok(())
        };
        let saving = keeping.saving(choices);
        self.with_inputs(first..self.steps, |inputs| {
            let watch = (watch, self.stage);
            trainer.run_held(Job { steps: self.steps, inputs, heard: &mut heard, watch, saving }, held)
        })
    }

    /// Seconds of a step, measured on the first ones; all states are then back where they began. `None` where that does not tell.
    fn tried(&self, trainer: &mut Trainer<'_>, watch: &dyn Watch) -> Result<Option<f64>> {
        let (mut ends, quiet) = (vec![], Quiet(watch));
        let mut heard = |_, _: &[f32]| {
            ends.push(Instant::now());
            Ok(())
        };
        let tried = self.with_inputs(0..TRIED, |inputs| {
            let watch: (&dyn Watch, _) = (&quiet, self.stage);
            trainer.run(Job { steps: TRIED, inputs, heard: &mut heard, watch, saving: None })
        });
        trainer.begin_anew()?;
        match tried {
            // Said with its step once it is not a trial.
            Err(Error::Numeric(_)) => Ok(None),
            Err(e) => Err(e),
            Ok(()) => Ok(ends
                .first()
                .zip(ends.last())
                .map(|(first, last)| (*last - *first).as_secs_f64() / (TRIED - 1) as f64)),
        }
    }

    /// Calls `work` with what makes the inputs of these steps, whose examples threads make ahead.
    fn with_inputs<T>(
        &self,
        steps: std::ops::Range<u64>,
        work: impl FnOnce(&mut dyn FnMut(u64) -> Result<Vec<Tensor>>) -> T,
    ) -> T {
        let numbers = steps.start * self.each..steps.end * self.each;
        ahead(self.make, numbers, |ahead: &mut Ahead<E>| {
            work(&mut |step| {
                let examples = (0..self.each).map(|_| ahead.take()).collect::<Result<Vec<E>>>()?;
                (self.inputs)(step, examples)
            })
        })
    }
}

/// What was said of a training so far: how long it takes, and its losses.
#[derive(Debug)]
pub struct Told {
    steps: u64,
    first: u64,
    since: Instant,
    /// Whether it was said how long it takes.
    estimated: bool,
}

/// Steps after which it can be told how long all of them take: the first ones are slower.
const MEASURED: u64 = 8;

impl Told {
    /// Nothing yet of the steps from `first` to `steps`.
    pub fn new(first: u64, steps: u64) -> Told {
        Told { steps, first, since: Instant::now(), estimated: false }
    }

    /// Says how long the steps take, which are `each` seconds long.
    fn estimate(&mut self, each: f64, done: u64, watch: &dyn Watch) {
        let left = self.steps - done;
        watch.say(&format!("estimate  {each:.3} s a step, {} for the {left} steps left", words(each * left as f64)));
        self.estimated = true;
    }

    /// Says how long it takes once that is known, and the losses twenty times.
    pub fn heard(&mut self, step: u64, losses: &[f32], watch: &dyn Watch) {
        let done = step + 1;
        if done == self.first + 2 {
            self.since = Instant::now();
        }
        if done == self.first + 2 + MEASURED && done < self.steps && !self.estimated {
            self.estimate(self.since.elapsed().as_secs_f64() / MEASURED as f64, done, watch);
        }
        if done.is_multiple_of(self.steps.div_ceil(20)) || done == self.steps {
            let losses: Vec<String> = losses.iter().map(|l| format!("{l:.4}")).collect();
            watch.say(&format!("step {done:>6}  losses {}", losses.join(", ")));
        }
    }
}

/// Seconds in words.
fn words(seconds: f64) -> String {
    match seconds {
        s if s < 90.0 => format!("{s:.0} s"),
        s if s < 5400.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}
