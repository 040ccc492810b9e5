//! Training: steps of one graph, which is planned once and replayed. A step is a run: forward, loss, backward, update; what changes lies in a
//! store and is never read back but for checkpoints and the result.

mod ahead;
mod checkpoint;
mod course;
mod keeping;
mod patience;
mod rate;
mod rule;
mod trainer;

pub use ahead::{Ahead, ahead};
pub use checkpoint::Checkpoint;
pub use course::{Course, Told};
pub use keeping::Keeping;
pub use patience::{Checks, End, Held, Patience};
pub use rate::Rate;
pub use rule::Rule;
pub use trainer::{Job, Learning, Saving, Trainer, learn, update};
