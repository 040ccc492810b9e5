//! `lupe fit anomalydino`: a few good pictures in, a model file out.

use super::dino;
use crate::cli::session::Session;
use crate::error::Result;
use crate::methods::dino::foreground::Growth;
use crate::methods::dino::{Config, Detector, Turns};
use crate::models::Network;
use clap::ValueEnum;

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Whose {
    /// As dammsi/AnomalyDINO for parts of which nothing is known
    Authors,
    /// As anomalib 2.7
    Anomalib,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum MaskArg {
    /// All patches count
    Off,
    /// The foreground, grown on the grid of patches
    Grid,
    /// The foreground as the authors' code grows it: along rows only
    Column,
}

/// What it accepts.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    all: dino::FewArgs,
    /// Implementation to follow
    #[arg(long, value_enum, default_value = "authors")]
    preset: Whose,
    /// Whether good pictures are also looked at turned by 45, 90, … 315 degrees: not for parts that have an upright [default: on, anomalib
    /// off]
    #[arg(long, value_enum)]
    rotations: Option<Switch>,
    /// Which patches count: the foreground is for parts in the middle of a picture, not for surfaces that fill it
    #[arg(long, value_enum, default_value = "off")]
    mask: MaskArg,
    /// Leave out what lies outside the foreground of good pictures, too; anomalib always does
    #[arg(long)]
    mask_references: bool,
    /// Number of nearest tokens whose mean distance is the score of a patch
    #[arg(long, default_value_t = 1, value_name = "K")]
    neighbors: usize,
    /// Length of the shorter edge, with --preset anomalib of the square, that pictures are brought to; rows and columns that fill no patch
    /// are cut off right and below [default: 448, anomalib 252]
    #[arg(long)]
    size: Option<usize>,
}

impl Args {
    fn config(&self, network: &Network) -> Config {
        let usual = match self.preset {
            Whose::Authors => Config::anomaly_dino(network),
            Whose::Anomalib => Config::anomalib(network),
        };
        let turns = match self.rotations {
            None => usual.turns,
            Some(Switch::On) => Turns::Eighths,
            Some(Switch::Off) => Turns::None,
        };
        let mask = match self.mask {
            MaskArg::Off => None,
            MaskArg::Grid => Some(Growth::Grid),
            MaskArg::Column => Some(Growth::Column),
        };
        let mask_references = mask.is_some() && (self.mask_references || matches!(self.preset, Whose::Anomalib));
        let detector = Detector::Neighbors { neighbors: self.neighbors, mask, mask_references };
        Config { turns, detector, size: self.size.unwrap_or(usual.size), ..usual }
    }
}

/// Runs the command.
pub fn run(session: &Session, args: &Args) -> Result<()> {
    if args.mask_references && args.mask == MaskArg::Off {
        return Err(crate::error::Error::Usage(
            "--mask-references applies only with --mask grid or --mask column".into(),
        ));
    }
    args.all.run(session, |network, _| Ok(args.config(network)))
}
