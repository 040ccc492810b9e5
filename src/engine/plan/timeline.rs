//! Where the time goes while a plan is made.

/// What the parts of making a plan took, in their order, in nanoseconds of the host's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timeline {
    /// From the graph to steps and slots.
    pub lower: f64,
    /// Upload and packing of weights that were not there yet; the run's kernels are compiled meanwhile.
    pub weights: f64,
    /// What was left of compiling the run's kernels then, as far as the driver does not leave that to the first run.
    pub pipelines: f64,
    /// Memory and bindings.
    pub bind: f64,
}

impl Timeline {
    /// From the moments at which the parts ended.
    pub(super) fn of([lower, weights, pipelines, bind]: [f64; 4]) -> Timeline {
        Timeline { lower, weights: weights - lower, pipelines: pipelines - weights, bind: bind - pipelines }
    }
}
