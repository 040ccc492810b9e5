//! `lupe data`: what there is to know of a data set before anything is fitted on it.

mod check;

use super::session::Session;
use crate::error::Result;
use clap::Subcommand;

/// What `lupe data` accepts.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: DataCommand,
}

#[derive(Debug, Subcommand)]
enum DataCommand {
    /// Reads every picture and mask of a data set and tells what is wrong with it; ends with code 8 if there is an error
    #[command(
        after_help = "Examples:\n  lupe data check hazelnut\n  lupe data check parts.csv --strict\n  lupe data check parts --json > parts.json\n\nErrors: the set is refused, or what is measured on it would be wrong. Warnings: likely not as meant. Notes: worth knowing. Nothing is written."
    )]
    Check(check::Args),
}

/// Runs the command.
pub fn run(session: &Session, args: &Args) -> Result<()> {
    match &args.command {
        DataCommand::Check(args) => check::run(session, args),
    }
}
