//! Where the time goes while a plan is made.

use std::time::{Duration, Instant};

/// How long the parts of making a plan took, in their order.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timeline {
    /// From the graph to steps and slots.
    pub lower: Duration,
    /// Upload and packing of weights that were not there yet, compilation of what packs them included.
    pub weights: Duration,
    /// Compilation of the run's kernels, as far as the driver does not leave it to the first run.
    pub pipelines: Duration,
    /// Memory and bindings.
    pub bind: Duration,
}

/// Gives the time since it was asked last.
pub(super) struct Laps(Instant);

impl Laps {
    pub(super) fn start() -> Laps {
        Laps(Instant::now())
    }

    pub(super) fn lap(&mut self) -> Duration {
        let before = std::mem::replace(&mut self.0, Instant::now());
        self.0 - before
    }
}
