//! `lupe fit pmf`: prototypes as P>M>F has them before its fine-tuning, with the scale and bias of a released checkpoint.

use super::support::{SupportArgs, fit_classes};
use crate::cli::session::Session;
use crate::error::Result;
use crate::methods::prototype::{Asked, Preset, Scalars};
use crate::watch::Watch;

/// What it accepts.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    support: SupportArgs,
}

/// Runs the command.
pub fn run(session: &Session, args: &Args) -> Result<()> {
    let found = args.support.weights_file().map(|file| Scalars::read(&file)).transpose()?.flatten();
    let mut own = Asked { preset: Preset::Pmf, ..Asked::default() };
    if let Some(Scalars { scale, bias }) = found {
        session.say(&format!("scale     {scale}, bias {bias}: read from the checkpoint"));
        (own.scale, own.bias) = (Some(scale), Some(bias));
    }
    fit_classes(session, &args.support, own)
}
