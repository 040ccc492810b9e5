//! `lupe fit METHOD`: pictures in, a model file out. A method brings its arguments and its fit; a new one is a file and a line here.

mod patchcore;
mod pmf;
mod prototype;
mod support;

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
    /// Prototypes: tells classes apart after seeing a few pictures of each
    #[command(
        after_help = "Examples:\n  lupe fit prototype parts -o parts.lupe\n  lupe fit prototype parts -o parts.lupe --distance cosine\n  lupe fit prototype more_parts --add parts.lupe"
    )]
    Prototype(Box<prototype::Args>),
    /// P>M>F before its fine-tuning: prototypes by cosine, also with a released checkpoint
    #[command(
        after_help = "Example:\n  lupe fit pmf parts -o parts.lupe\n\nScale and bias are read from the file given by --weights where it holds them (scale_cls and bias beside backbone.*), else 10 and 0."
    )]
    Pmf(Box<pmf::Args>),
}

/// Runs the command.
pub fn run(session: &Session, args: &Args) -> Result<()> {
    match &args.method {
        FitMethod::Patchcore(args) => patchcore::run(session, args),
        FitMethod::Prototype(args) => prototype::run(session, args),
        FitMethod::Pmf(args) => pmf::run(session, args),
    }
}
