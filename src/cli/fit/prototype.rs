//! `lupe fit prototype`: a few pictures of each class in, a model file out; and what it shares with presets of it.

use super::support::{SupportArgs, fit_classes};
use crate::cli::session::Session;
use crate::error::Result;
use crate::methods::prototype::head::Distance;
use crate::methods::prototype::{Asked, Preset};
use clap::ValueEnum;

#[derive(Clone, Copy, Debug, ValueEnum)]
enum DistanceArg {
    /// Squared Euclidean
    Squared,
    /// Euclidean
    Euclidean,
    /// The cosine of the angle
    Cosine,
}

/// What it accepts.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    support: SupportArgs,
    /// How far a picture is from a prototype [default: squared]
    #[arg(long, value_enum)]
    distance: Option<DistanceArg>,
    /// What distances are multiplied by before the softmax: an inverse temperature, which changes no label [default: 1, cosine 10]
    #[arg(long, value_name = "S")]
    scale: Option<f64>,
    /// Subtract the mean of the pictures from every vector, and divide it by its norm
    #[arg(long)]
    center: bool,
    /// Correct squared distances for the number of pictures: a class with fewer looks farther away
    #[arg(long)]
    shot_correction: bool,
}

/// Runs the command.
pub fn run(session: &Session, args: &Args) -> Result<()> {
    let distance = args.distance.map(|distance| match distance {
        DistanceArg::Squared => Distance::Squared,
        DistanceArg::Euclidean => Distance::Euclidean,
        DistanceArg::Cosine => Distance::Cosine,
    });
    let Args { support, scale, center, shot_correction, .. } = args;
    let own = Asked {
        preset: Preset::Prototype,
        distance,
        scale: *scale,
        center: *center,
        shot_correction: *shot_correction,
        ..Asked::default()
    };
    fit_classes(session, support, own)
}
