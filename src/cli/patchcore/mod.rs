//! `lupe patchcore`: fit on good pictures, score new ones, measure; models that others fitted.

pub mod args;
mod bag;
mod drawing;
mod eval;
mod features;
mod fit;
mod import;
mod load;
mod metrics;
mod predict;
mod results;

use super::session::Session;
use crate::data::dataset::Sample;
use crate::error::{Error, Result};
use args::Command;
use features::Missed;
pub use predict::open as opened;
pub use results::save;

/// Runs the command.
pub fn run(session: &Session, args: &args::PatchCore) -> Result<()> {
    match &args.command {
        Command::Fit(fit) => fit::run(session, fit),
        Command::Predict(predict) => predict::run(session, predict),
        Command::Eval(eval) => eval::run(session, eval),
        Command::Import(import) => import::run(session, import),
    }
}

/// The pictures that could not be read, as the error that the command ends with.
fn failed(samples: &[Sample], missed: &Missed) -> Result<()> {
    if missed.failed.is_empty() {
        return Ok(());
    }
    let list: String = missed.failed.iter().map(|(_, why)| format!("\n  {why}")).collect();
    Err(Error::Partial(format!("{} of {} pictures could not be read:{list}", missed.failed.len(), samples.len())))
}
