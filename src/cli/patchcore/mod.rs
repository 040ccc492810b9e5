//! `lupe patchcore`: fit on good pictures, score new ones, measure.

pub mod args;
mod eval;
mod features;
mod fit;
mod predict;

use super::session::Session;
use crate::error::Result;
use args::Command;
pub use predict::save;

/// Runs the command.
pub fn run(session: &Session, args: &args::PatchCore) -> Result<()> {
    match &args.command {
        Command::Fit(fit) => fit::run(session, fit),
        Command::Predict(predict) => predict::run(session, predict),
        Command::Eval(eval) => eval::run(session, eval),
    }
}
