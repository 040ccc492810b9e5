//! `lupe fit pmf`: P>M>F, with the scale and bias of a released checkpoint, fine-tuned to the pictures or not.

use super::support::{SupportArgs, fit_classes};
use crate::cli::session::Session;
use crate::cli::working::TuningArgs;
use crate::error::Result;
use crate::methods::prototype::{Asked, Preset};

/// What it accepts.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    support: SupportArgs,
    #[command(flatten)]
    tuning: TuningArgs,
}

/// Runs the command.
pub fn run(session: &Session, args: &Args) -> Result<()> {
    let adaptation = args.tuning.adaptation()?;
    fit_classes(session, &args.support, Asked { preset: Preset::Pmf, adaptation, ..Asked::default() })
}
