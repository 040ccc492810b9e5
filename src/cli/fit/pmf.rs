//! `lupe fit pmf`: prototypes as P>M>F has them before its fine-tuning, with the scale and bias of a released checkpoint.

use super::support::{SupportArgs, fit_classes};
use crate::cli::session::Session;
use crate::error::Result;
use crate::methods::prototype::{Asked, Preset};

/// What it accepts.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    support: SupportArgs,
}

/// Runs the command.
pub fn run(session: &Session, args: &Args) -> Result<()> {
    fit_classes(session, &args.support, Asked { preset: Preset::Pmf, ..Asked::default() })
}
