//! `lupe fit subspacead`: a few good pictures in, a model file out.

use super::dino;
use crate::cli::session::Session;
use crate::error::Result;
use crate::methods::dino::{Config, Detector, Turns};
use crate::models::Network;
use crate::weights::Weights;

/// What it accepts.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    all: dino::FewArgs,
    /// Places of the network whose mean is a token [default: block7,block8 of 12 blocks, block13 to block17 of 24]
    #[arg(long, value_delimiter = ',', value_name = "PLACE,…")]
    layers: Option<Vec<String>>,
    /// Views of each good picture, turned by angles that are drawn; 0: the pictures alone, for parts that have an upright
    #[arg(long, default_value_t = 30, value_name = "N")]
    augment: usize,
    /// Share of the variance of the tokens that counts as good
    #[arg(long, default_value_t = 0.99)]
    tau: f64,
    /// Edge length of the square that pictures are brought to; rows and columns that fill no patch are cut off right and below
    #[arg(long, default_value_t = 448)]
    size: usize,
}

impl Args {
    fn config(&self, network: &Network, weights: &Weights) -> Result<Config> {
        let usual = Config::subspace_ad(network, weights, self.layers.clone())?;
        let turns = if self.augment == 0 { Turns::None } else { Turns::Drawn(self.augment) };
        let detector = Detector::Subspace { share: self.tau };
        Ok(Config { turns, detector, size: self.size, ..usual })
    }
}

/// Runs the command.
pub fn run(session: &Session, args: &Args) -> Result<()> {
    args.all.run(session, |network, weights| args.config(network, weights))
}
