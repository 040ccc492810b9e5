//! When a training ends early: checks of its loss on what is held out, and how many of them may bring nothing.

use crate::error::Result;
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
    /// The loss on it, by the weights as they are now: the same bits whenever these are the same.
    pub loss: &'h mut dyn FnMut() -> Result<f64>,
}

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

    /// Whether a check after `step` steps is due and was not done.
    pub fn due(&self, step: u64, patience: &Patience) -> bool {
        let last = self.0.last().map_or(0, |check| check.0);
        step > last && step.is_multiple_of(patience.every.max(1))
    }
}

impl Patience {
    /// Whether it is at an end after these checks.
    pub fn ended(&self, checks: &Checks) -> bool {
        checks.since() >= self.checks.max(1)
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
            assert!(checks.due(step, &patience) && !checks.due(step - 5, &patience));
            checks.0.push((step, loss));
            assert!(!checks.due(step, &patience));
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
    }
}
