//! `lupe experiment plan`: what a plan takes, before anything runs.

use super::{PlanArgs, duration, resolve};
use crate::cli::output::{new_table, print};
use crate::cli::session::Session;
use crate::error::{Error, Result, plain};
use crate::study::run::{Estimate, Journal};
use crate::study::{Category, LeftOut};
use serde_json::json;

/// What it accepts.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    plan: PlanArgs,
}

/// Runs the command.
pub fn run(session: &Session, args: &Args) -> Result<()> {
    let study = args.plan.study(session)?;
    session.watch_for_interrupts()?;
    let gpu = args.plan.gpu(session, &study)?;
    let empty = tempfile::tempdir().map_err(|e| Error::Output(format!("no folder can be made for measuring: {e}")))?;
    let journal = Journal::open(empty.path())?;
    let work = args.plan.work(session, &gpu, (empty.path().to_path_buf(), journal));
    let estimate = pollster::block_on(work.estimate(&study, &resolve))?;
    let budget = study.grid.budget_hours;
    match session.json {
        true => print(
            &json!({
                "name": study.facts.name, "plan": study.facts.plan, "device": gpu.info.describe(), "units": study.units.len(),
                "budget_hours": budget, "estimate": estimate,
            })
            .to_string(),
        ),
        false => print(&text(&estimate, &study.facts.plan, budget)),
    }
}

fn text(estimate: &Estimate, plan_hash: &str, budget: Option<f64>) -> String {
    let mut sets = new_table(["data set", "good, to learn from", "good, to test", "kinds of defect"]);
    for Category { name, train, good, defects, painted } in &estimate.categories {
        let kinds: Vec<String> = defects.iter().map(|(kind, n)| format!("{} {n}", plain(kind))).collect();
        let painted = if *painted { " (painted)" } else { "" };
        sets.add_row([plain(name), train.to_string(), good.to_string(), format!("{}{painted}", kinds.join(", "))]);
    }
    let mut table = new_table(["method", "pictures", "episodes", "steps", "time", "measured"]);
    for cost in &estimate.costs {
        let steps = if cost.steps == 0 { String::new() } else { cost.steps.to_string() };
        let (pictures, episodes) = (cost.pictures.to_string(), cost.episodes.to_string());
        table.add_row([plain(&cost.name), pictures, episodes, steps, duration(cost.seconds), cost.measured.clone()]);
    }
    let left: String = estimate.left_out.iter().map(line).collect();
    let left = if left.is_empty() { left } else { format!("\n\nleft out:{left}") };
    let budget = budget.map_or(String::new(), |hours| {
        let fits = estimate.seconds <= 3600.0 * hours;
        let words =
            if fits { "which is enough" } else { "which is NOT enough: lower repeats, shots or steps, or raise it" };
        format!("\nbudget    {hours} h, {words}")
    });
    let total = duration(estimate.seconds);
    format!(
        "{sets}\n\n{table}\n\nplan      {plan_hash}\ntime      about {total} on this device, by what was measured just now{budget}{left}"
    )
}

fn line(left_out: &LeftOut) -> String {
    let get = left_out.command.as_ref().map_or(String::new(), |c| format!("; get them by: {c}"));
    format!("\n  {}: {}{get}", plain(&left_out.what), plain(&left_out.why))
}
