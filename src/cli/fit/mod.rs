//! `lupe fit METHOD`: pictures in, a model file out. A method brings its arguments and its fit; a new one is a file and a line here.

mod anomalydino;
mod dino;
mod patchcore;
mod subspacead;

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
    /// AnomalyDINO: finds defects after one or a few good pictures, by the distance of patches to those of good pictures
    #[command(
        name = "anomalydino",
        after_help = "Examples:\n  lupe fit anomalydino good_parts -o part.lupe --weights dinov2_vits14_pretrain.pth\n  lupe fit anomalydino hazelnut -o hazelnut.lupe --weights dinov2_vits14_pretrain.pth --shots 4 --mask grid"
    )]
    AnomalyDino(Box<anomalydino::Args>),
    /// SubspaceAD: finds defects after one or a few good pictures, by what is unlike the variation of good patches
    #[command(
        name = "subspacead",
        after_help = "Examples:\n  lupe fit subspacead good_parts -o part.lupe --weights dinov2_vits14_pretrain.pth\n  lupe fit subspacead transistor -o transistor.lupe --weights dinov2_vits14_pretrain.pth --augment 0"
    )]
    SubspaceAd(Box<subspacead::Args>),
}

/// Runs the command.
pub fn run(session: &Session, args: &Args) -> Result<()> {
    match &args.method {
        FitMethod::Patchcore(args) => patchcore::run(session, args),
        FitMethod::AnomalyDino(args) => anomalydino::run(session, args),
        FitMethod::SubspaceAd(args) => subspacead::run(session, args),
    }
}
