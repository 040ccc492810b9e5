//! What every training that a command runs has: a checkpoint to go on from, and words of how it goes.

use super::checkpoint::Checkpoint;
use super::trainer::{Saving, Trainer};
use crate::error::{Result, plain, shown};
use crate::watch::Watch;
use serde_json::{Map, Value};
use std::path::PathBuf;
use std::time::Instant;

/// Where a training is kept while it goes on.
#[derive(Clone, Debug, Default)]
pub struct Keeping {
    /// The checkpoint; nothing is kept without.
    pub path: Option<PathBuf>,
    /// Steps from one to the next.
    pub every: u64,
    /// Whether a checkpoint that is there is left alone and replaced.
    pub fresh: bool,
}

impl Keeping {
    /// Goes on from the checkpoint, where there is one.
    ///
    /// # Errors
    /// As [`Checkpoint::read`], [`Checkpoint::suits`] and [`Trainer::resume`].
    pub fn resume(
        &self,
        trainer: &mut Trainer<'_>,
        choices: &Map<String, Value>,
        (device, watch): (&str, &dyn Watch),
    ) -> Result<()> {
        let Some(path) = self.path.as_deref().filter(|path| path.exists() && !self.fresh) else { return Ok(()) };
        let checkpoint = Checkpoint::read(path)?;
        checkpoint.suits(choices, path)?;
        trainer.resume(&checkpoint, path)?;
        watch.say(&format!("resuming  after step {} of an earlier run, from {}", checkpoint.step, shown(path)));
        if checkpoint.device != device {
            let was = plain(&checkpoint.device);
            watch.say(&format!("note: that ran on {was}; here the last bits of what follows may differ"));
        }
        Ok(())
    }

    /// Where and when a training with these choices is saved.
    pub fn saving(&self, choices: Map<String, Value>) -> Option<Saving<'_>> {
        self.path.as_deref().map(|path| Saving { path, every: self.every.max(1), choices })
    }
}

/// What was said of a training so far: how long it takes, and its losses.
#[derive(Debug)]
pub struct Told {
    steps: u64,
    first: u64,
    since: Instant,
}

/// Steps after which it can be told how long all of them take: the first ones are slower.
const MEASURED: u64 = 8;

impl Told {
    /// Nothing yet of the steps from `first` to `steps`.
    pub fn new(first: u64, steps: u64) -> Told {
        Told { steps, first, since: Instant::now() }
    }

    /// Says how long it takes once that is known, and the losses twenty times.
    pub fn heard(&mut self, step: u64, losses: &[f32], watch: &dyn Watch) {
        let done = step + 1;
        if done == self.first + 2 {
            self.since = Instant::now();
        }
        if done == self.first + 2 + MEASURED && done < self.steps {
            let each = self.since.elapsed().as_secs_f64() / MEASURED as f64;
            let left = each * (self.steps - done) as f64;
            watch.say(&format!(
                "estimate  {each:.3} s a step, {} for the {} steps left",
                words(left),
                self.steps - done
            ));
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
