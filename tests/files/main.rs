//! Checkpoints and model files: read, written, imported, pulled, and refused.

#[path = "../common/mod.rs"]
mod common;

use common::torch; // The checks that fuzzing shares name it.

mod big_checkpoint;
mod corpus;
mod import;
mod import_refusals;
mod inspect_weights;
mod model_file;
mod pth;
mod pth_forms;
mod pull;
mod pull_off;
mod pull_stopped;
mod pull_tls;
mod trees;
mod weights;
