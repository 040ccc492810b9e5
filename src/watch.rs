//! What long work reports to its caller, and what it asks: the command line implements it, and so may any other program.

use crate::error::Result;

/// Someone who watches long work.
pub trait Watch: Sync {
    /// A message for people.
    fn say(&self, text: &str);

    /// How many steps of a stage are done; the stage is over when all are.
    fn progress(&self, stage: &'static str, done: usize, of: usize);

    /// Whether to go on.
    ///
    /// # Errors
    /// [`Error::Interrupted`](crate::Error::Interrupted) to end the work cleanly.
    fn go_on(&self) -> Result<()>;

    /// What an interrupt from here on leaves behind, for its message.
    fn left_by_interrupt(&self, text: &str);
}

/// Nobody watches: nothing is told, nothing is interrupted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unwatched;

impl Watch for Unwatched {
    fn say(&self, _: &str) {}

    fn progress(&self, _: &'static str, _: usize, _: usize) {}

    fn go_on(&self) -> Result<()> {
        Ok(())
    }

    fn left_by_interrupt(&self, _: &str) {}
}

/// Someone who is told nothing, but may interrupt: short work in longer work is watched so.
pub struct Quiet<'w>(pub &'w dyn Watch);

impl Watch for Quiet<'_> {
    fn say(&self, _: &str) {}

    fn progress(&self, _: &'static str, _: usize, _: usize) {}

    fn go_on(&self) -> Result<()> {
        self.0.go_on()
    }

    fn left_by_interrupt(&self, _: &str) {}
}
