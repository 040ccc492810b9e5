//! `lupe fit pmf`: P>M>F, with the scale and bias of a released checkpoint, fine-tuned to the pictures or not.

use super::support::{SupportArgs, fit_classes};
use crate::cli::session::Session;
use crate::error::{Error, Result};
use crate::methods::prototype::finetune::Finetune;
use crate::methods::prototype::{Adaptation, Asked, Preset};

/// What it accepts.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    support: SupportArgs,
    #[command(flatten)]
    tuning: TuningArgs,
}

/// The fine-tuning.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct TuningArgs {
    /// Steps of fine-tuning, such as 50; 0: the network stays as it is
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = clap::value_parser!(u32).range(..=100_000))]
    steps: u32,
    /// Learning rate of the fine-tuning, or auto: 0.01, 0.001, 0.0001 and none are tried on the pictures themselves
    #[arg(long, default_value = "0.0001", value_name = "RATE|auto", value_parser = rate)]
    lr: Lr,
    /// Let all classes weigh the same, however many pictures each has
    #[arg(long)]
    balance: bool,
    /// Seed of the augmentation
    #[arg(long, default_value_t = 0)]
    tuning_seed: u64,
    /// Pictures of the fine-tuning in memory at a time, copies counted [default: as many as fit]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    micro_batch: Option<u32>,
}

/// A rate; `None`: it is to be found.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Lr(Option<f64>);

fn rate(text: &str) -> std::result::Result<Lr, String> {
    if text == "auto" {
        return Ok(Lr(None));
    }
    match text.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate <= 1.0 => Ok(Lr(Some(rate))),
        _ => Err("expected a number above 0 and up to 1, or auto".into()),
    }
}

impl TuningArgs {
    /// What is asked for, if anything is.
    ///
    /// # Errors
    /// [`Error::Usage`] for flags of a fine-tuning that is not done.
    pub fn adaptation(&self) -> Result<Option<Adaptation>> {
        if self.steps == 0 {
            let flags = [
                ("--balance", self.balance),
                ("--lr auto", self.lr.0.is_none()),
                ("--micro-batch", self.micro_batch.is_some()),
            ];
            return match flags.iter().find(|f| f.1) {
                Some((flag, _)) => Err(Error::Usage(format!(
                    "{flag}: is a choice of fine-tuning; give --steps too, such as --steps 50"
                ))),
                None => Ok(None),
            };
        }
        let (rate, balance, seed) = (self.lr.0.unwrap_or_default(), self.balance, self.tuning_seed);
        let tuning = Finetune { steps: self.steps.into(), rate, balance, seed };
        Ok(Some(Adaptation { tuning, auto: self.lr.0.is_none(), few: self.micro_batch.map(|n| n as usize) }))
    }
}

/// Runs the command.
pub fn run(session: &Session, args: &Args) -> Result<()> {
    let adaptation = args.tuning.adaptation()?;
    fit_classes(session, &args.support, Asked { preset: Preset::Pmf, adaptation, ..Asked::default() })
}
