//! When a training ends early: checks of its loss on what is held out, and how many of them may bring nothing.

use super::trainer::{Job, Trainer};
use crate::error::{Error, Result};
use crate::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// How long a training goes on without becoming better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Patience {
    /// Checks in a row that may bring nothing: after so many it ends.
    pub checks: u64,
    /// Steps from one check to the next.
    pub every: u64,
}

/// What is held out, and how long a training goes on without becoming better at it.
pub struct Held<'h> {
    /// How long that is.
    pub patience: Patience,
    /// The loss on it, by the weights as they are now: the same bits whenever these are the same. As many digits of it count as a float has.
    pub loss: &'h mut dyn FnMut() -> Result<f64>,
}

/// Name of the checks among what a trainer keeps.
const KEPT: &str = "checks";

/// Checks so far: after how many steps, and the loss on what is held out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Checks(pub Vec<(u64, f64)>);

/// How a training ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct End {
    /// Steps that were done.
    pub step: u64,
    /// Whether it ended early, its patience at an end.
    pub early: bool,
    /// The checks, where there were any: the weights are those of the best.
    pub checks: Checks,
}

impl Checks {
    /// The first one with the lowest loss.
    pub fn best(&self) -> Option<(u64, f64)> {
        self.0.iter().copied().reduce(|best, check| if check.1 < best.1 { check } else { best })
    }

    /// Whether the last one is the best.
    pub fn improved(&self) -> bool {
        self.best().is_some_and(|best| self.0.last() == Some(&best))
    }

    /// How many there were since the best.
    pub fn since(&self) -> u64 {
        let best = self.best();
        self.0.iter().rev().take_while(|check| Some(**check) != best).count() as u64
    }

    /// The step after which the next one is due.
    fn next(&self, patience: &Patience) -> u64 {
        let every = patience.every.max(1);
        (self.0.last().map_or(0, |last| last.0) / every + 1) * every
    }

    /// Those that a trainer keeps.
    fn kept(trainer: &Trainer<'_>) -> Checks {
        let rows = trainer.kept().get(KEPT).map_or(&[][..], |t| &t.data);
        let step = |high: f32, low: f32| (high as u64) << 16 | low as u64;
        Checks(rows.as_chunks().0.iter().map(|[high, low, loss]| (step(*high, *low), f64::from(*loss))).collect())
    }

    /// The same as a tensor: the two halves of a step, which floats hold whole, and the loss.
    fn tensor(&self) -> Tensor {
        let row = |(step, loss): &(u64, f64)| [(step >> 16) as f32, (step & 0xffff) as f32, *loss as f32];
        Tensor::new([self.0.len(), 3], self.0.iter().flat_map(row).collect())
    }
}

impl Patience {
    /// Whether it is at an end after these checks.
    pub fn ended(&self, checks: &Checks) -> bool {
        checks.since() >= self.checks.max(1)
    }
}

impl Trainer<'_> {
    /// As [`Trainer::run`], but where something is `held` out it ends once its patience does; the weights are then those of the best check.
    ///
    /// # Errors
    /// As [`Trainer::run`]; [`Error::Numeric`] for a loss on what is held out that is no number.
    pub fn run_held(&mut self, mut job: Job<'_>, held: Option<Held<'_>>) -> Result<End> {
        let Some(mut held) = held else {
            self.run(job)?;
            return Ok(End { step: self.step(), ..End::default() });
        };
        let mut checks = Checks::kept(self);
        while !held.patience.ended(&checks) && checks.0.last().is_none_or(|last| last.0 < job.steps) {
            self.run_to(checks.next(&held.patience).min(job.steps), &mut job)?;
            let done = self.check(&mut held, &mut checks, &job);
            self.unless(done, &job)?;
        }
        Ok(End { step: self.step(), early: self.step() < job.steps, checks })
    }

    /// Asks for the loss on what is held out, and keeps the weights where it is the lowest so far.
    fn check(&mut self, held: &mut Held<'_>, checks: &mut Checks, job: &Job<'_>) -> Result<()> {
        let (step, loss) = (self.step(), f64::from((held.loss)()? as f32));
        if !loss.is_finite() {
            return Err(Error::Numeric(format!("step {step}: the loss on what is held out is {loss}")));
        }
        checks.0.push((step, loss));
        if checks.improved() {
            self.keep_best()?;
        }
        self.keep(KEPT, checks.tensor());
        let best = match checks.best() {
            Some((best, _)) if best == step => "the lowest so far".into(),
            Some((at, best)) => format!("it was {best:.4} after {at}"),
            None => String::new(),
        };
        job.watch.0.say(&format!("check     {loss:.4} on what is held out after {step} steps, {best}"));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_best_and_when_it_ends() {
        let patience = Patience { checks: 2, every: 10 };
        let mut checks = Checks::default();
        assert!(!patience.ended(&checks) && checks.best().is_none());
        let mut told = vec![];
        for (i, loss) in [3.0, 2.0, 2.5, 1.0, 1.0, 1.5].into_iter().enumerate() {
            let step = 10 * (i as u64 + 1);
            assert_eq!(checks.next(&patience), step);
            checks.0.push((step, loss));
            told.push((checks.improved(), checks.since(), patience.ended(&checks)));
        }
        let want = [
            (true, 0, false),
            (true, 0, false),
            (false, 1, false),
            (true, 0, false),
            (false, 1, false),
            (false, 2, true),
        ];
        assert_eq!(told, want);
        assert_eq!(checks.best(), Some((40, 1.0)), "the first of two that are the same");
        let late = Checks(vec![(99_999_999, 0.5)]);
        assert_eq!(late.tensor().data, [1525.0, 57_599.0, 0.5], "every step is kept whole");
    }
}
