//! The report of a card: one program that travels, beside the `lupe` it calls, and measures in minutes what matters on a GPU.
//!
//! Every part is a process of its own with a limit, and on disk as soon as it is there; what fails, crashes or hangs is reported and
//! the next part runs. `README.md` beside this file says how a kit is built and carried; `--help` what there is to choose.

mod args;
mod bench;
mod child;
mod context;
mod devices;
mod ending;
pub mod golden;
pub mod md;
mod parts;
mod patchcore;
mod peer;
mod profile;
pub mod report;
mod search;
pub mod standing;
pub mod sweep;
mod turns;
mod verify;

#[path = "../../tests/common/check.rs"]
mod check;
#[allow(dead_code)]
#[path = "../ops/main.rs"]
mod ops;
#[allow(dead_code)]
#[path = "../patchcore.rs"]
mod rows;

use args::Args;
use clap::Parser;
use lupe::Result;
use std::process::ExitCode;

/// Runs what the command line asks for.
pub fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::from(e.exit_code())
        }
    }
}

fn run(args: &Args) -> Result<()> {
    match (&args.part, &args.golden) {
        (Some(name), _) => parts::work(args, name),
        (None, Some(folder)) => golden::make(args, folder),
        (None, None) => report::run(args),
    }
}
