//! Where a training that a command runs is kept while it goes on.

use super::checkpoint::Checkpoint;
use super::trainer::{Saving, Trainer};
use crate::error::{Result, plain, shown};
use crate::watch::Watch;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

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
    /// The checkpoint of a training with these choices, where there is one.
    ///
    /// # Errors
    /// As [`Checkpoint::read`] and [`Checkpoint::suits`].
    pub fn found(&self, choices: &Map<String, Value>) -> Result<Option<Checkpoint>> {
        let Some(path) = self.path.as_deref().filter(|path| path.exists() && !self.fresh) else { return Ok(None) };
        let checkpoint = Checkpoint::read(path)?;
        checkpoint.suits(choices, path).map(|()| Some(checkpoint))
    }

    /// Goes on from the checkpoint, where there is one.
    ///
    /// # Errors
    /// As [`Keeping::found`] and [`Trainer::resume`].
    pub fn resume(
        &self,
        trainer: &mut Trainer<'_>,
        choices: &Map<String, Value>,
        on: (&str, &dyn Watch),
    ) -> Result<()> {
        self.found(choices)?.map_or(Ok(()), |checkpoint| self.go_on(trainer, &checkpoint, on))
    }

    /// Goes on from a checkpoint that was [`found`](Keeping::found), and says so.
    ///
    /// # Errors
    /// As [`Trainer::resume`].
    pub fn go_on(
        &self,
        trainer: &mut Trainer<'_>,
        checkpoint: &Checkpoint,
        (device, watch): (&str, &dyn Watch),
    ) -> Result<()> {
        let path = self.path.as_deref().unwrap_or(Path::new(""));
        trainer.resume(checkpoint, path)?;
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
