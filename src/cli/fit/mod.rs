//! `lupe fit METHOD`: pictures in, a model file out. A method brings its arguments and its fit; a new one is a file and a line here.

mod patchcore;

use super::session::Session;
use crate::error::Result;
use clap::Subcommand;

/// What `lupe fit` accepts.
#[derive(Debug, clap::Args)]
#[command(subcommand_value_name = "METHOD", subcommand_help_heading = "Methods")]
pub struct Args {
    #[command(subcommand)]
    method: FitMethod,
}

#[derive(Debug, Subcommand)]
enum FitMethod {
    /// PatchCore: finds defects after seeing good pictures only
    #[command(
        after_help = "Examples:\n  lupe fit patchcore hazelnut -o hazelnut.lupe\n  lupe fit patchcore good_parts -o part.lupe --preset anomalib --ratio 0.05\n\nTo resume an interrupted fit, run the same command again."
    )]
    Patchcore(Box<patchcore::Args>),
}

/// Runs the command.
pub fn run(session: &Session, args: &Args) -> Result<()> {
    match &args.method {
        FitMethod::Patchcore(args) => patchcore::run(session, args),
    }
}
