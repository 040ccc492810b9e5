//! `lupe experiment run`: a plan is carried out.

use super::{PlanArgs, duration, report, resolve};
use crate::cli::output::{print, quoted};
use crate::cli::session::Session;
use crate::error::{Error, Result};
use crate::files::{hold, write};
use crate::memory::log_peak;
use crate::study::folder::{ABOUT, Gathered, PLAN, begin};
use crate::study::report::PAGE;
use crate::study::run::{OUTCOMES, Shard, Study, TIMING};
use crate::watch::Watch;
use serde_json::json;
use std::path::PathBuf;

/// What it accepts.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    plan: PlanArgs,
    /// Folder for everything: episodes, results, plots, the report; a run that was stopped goes on in it
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
}

/// Runs the command.
pub fn run(session: &Session, args: &Args) -> Result<()> {
    let study = args.plan.study(session)?;
    let inputs = args.plan.inputs(&study);
    for name in [ABOUT, PLAN, OUTCOMES, TIMING, PAGE] {
        inputs.apart(&args.output.join(name))?;
    }
    session.outputs.folder(&args.output)?;
    let _held = hold(&args.output)?;
    let shard = args.plan.shard.unwrap_or(Shard::WHOLE);
    let journal = begin(&study, &args.output, shard)?;
    let mine = shard.units(study.units.len());
    if journal.done() > 0 {
        session.say(&format!("resuming  {} of {mine} units are done", journal.done()));
    }
    if journal.done() < mine {
        work(session, args, &study, journal)?;
    }
    ended(session, args, shard)
}

fn work(session: &Session, args: &Args, study: &Study, journal: crate::study::run::Journal) -> Result<()> {
    session.watch_for_interrupts()?;
    session.left_by_interrupt("what is done is kept: the same command goes on there");
    let gpu = args.plan.gpu(session, study)?;
    let work = args.plan.work(session, &gpu, (args.output.clone(), journal));
    if let Some(hours) = study.grid.budget_hours {
        let estimate = pollster::block_on(work.estimate(study, &resolve))?;
        session.say(&format!("time      about {}, of a budget of {hours} h", duration(estimate.seconds)));
        if estimate.seconds > 3600.0 * hours {
            return Err(Error::Usage(format!(
                "budget-hours {hours}: what is left of the plan takes about {} on this device; lower repeats, shots or steps, or raise it \
                 (`lupe experiment plan` says what takes how long)",
                duration(estimate.seconds)
            )));
        }
    }
    pollster::block_on(work.run(study, &resolve))?;
    log_peak();
    Ok(())
}

fn ended(session: &Session, args: &Args, shard: Shard) -> Result<()> {
    let folders = [args.output.clone()];
    let gathered = Gathered::read(&folders)?;
    if shard == Shard::WHOLE {
        gathered.whole(&folders)?;
        for (name, bytes) in gathered.files()? {
            write(&args.output.join(name), &bytes)?;
        }
        report(session, &args.output, &gathered)?;
    }
    let (out, episodes) = (quoted(&args.output), gathered.results.outcomes.len());
    let Shard { number, of } = shard;
    match session.json {
        true => print(
            &json!({"output": args.output, "plan": gathered.results.facts.plan, "shard": [number, of], "episodes": episodes})
                .to_string(),
        ),
        false if of > 1 => print(&format!(
            "wrote     {out}, shard {number}/{of}: {episodes} episodes\n\nNext, once all shards are done: lupe experiment merge SHARDS -o DIR"
        )),
        false => {
            let report = quoted(&args.output.join(PAGE));
            print(&format!("wrote     {out}: {episodes} episodes\n\nNext: open {report} in a browser"))
        }
    }
}
