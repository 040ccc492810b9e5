//! The parts of the report, what is worth most first, and how one runs in its process.

use super::args::Args;
use super::context::Context;
use super::md::Page;
use super::{bench, devices, golden, patchcore, profile, search, standing, sweep, turns, verify};
use lupe::{Error, Result};
use serde_json::Value;

/// Minutes that all parts may take together, when nothing else is asked for.
pub const MINUTES: f64 = 8.0;

/// A part of the report.
pub struct Part {
    /// Its name in `--parts`.
    pub name: &'static str,
    /// What it tells.
    pub what: &'static str,
    /// Seconds that it may take of [`MINUTES`].
    pub seconds: f64,
    /// Whether it goes on where it ended when it is started again after a crash or a loss of the device.
    pub again: bool,
    /// Does the work.
    pub run: fn(&Context) -> Result<()>,
    /// Puts what the work kept into words.
    pub page: fn(&Value) -> Page,
}

const fn part(
    name: &'static str,
    what: &'static str,
    seconds: f64,
    run: fn(&Context) -> Result<()>,
    page: fn(&Value) -> Page,
) -> Part {
    Part { name, what, seconds, again: false, run, page }
}

/// All parts.
pub const ALL: [Part; 10] = [
    part("devices", "adapter, limits, features, machine", 15.0, devices::run, devices::page),
    Part {
        again: true,
        ..part("sweep", "every candidate of every op beside its reference", 90.0, sweep::run, sweep::page)
    },
    part("golden", "scores of the demo's pictures beside the software device's", 30.0, golden::run, golden::page),
    part(
        "verify",
        "every network, and training steps, dispatch by dispatch beside references",
        50.0,
        verify::run,
        verify::page,
    ),
    part("bench", "ceilings; networks whole at several batches", 80.0, bench::run, bench::page),
    part(
        "profile",
        "every dispatch of networks, and of training steps, against the ceilings",
        45.0,
        profile::run,
        profile::page,
    ),
    part("torch", "the same networks in PyTorch on the same card, in turns", 50.0, turns::run, turns::page),
    part("ops", "every candidate of every kind of node: how good are defaults", 70.0, standing::run, standing::page),
    part("search", "nearest neighbours and coreset selection", 25.0, search::run, search::page),
    part("patchcore", "fit and eval whole, files in and verdicts out", 25.0, patchcore::run, patchcore::page),
];

/// The list for `--help`.
pub fn help() -> String {
    let lines = ALL.iter().map(|p| format!("  {:<10}{:>4.0} s  {}\n", p.name, p.seconds, p.what));
    format!(
        "Parts and their limits:\n{}\nExit codes: 0 done; 2 usage; 3 something of the kit is missing; 5 no device; 9 a part failed, crashed or was cut short; 10 the report cannot be written.",
        lines.collect::<String>()
    )
}

/// Does the work of one part, in the process that was started for it.
pub fn work(args: &Args, name: &str) -> Result<()> {
    let part = ALL.iter().find(|p| p.name == name);
    let part = part.ok_or_else(|| Error::Usage(format!("--part: there is no part {name}")))?;
    let context = Context::new(args, part)?;
    context.begin(part.what);
    (part.run)(&context)
}
