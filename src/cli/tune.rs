//! `lupe tune`: times the candidates of every node and keeps the fastest for later runs.

use super::output::{new_table, print};
use super::session::Session;
use super::subject::SubjectArgs;
use crate::engine::{Gpu, Graph};
use crate::error::{self, Result};
use crate::measure::tune::{Tuning, labels, tune};
use crate::measure::tuned::Tuned;
use crate::methods::Stage;
use crate::tensor::Tensor;
use crate::watch::Watch;
use comfy_table::Table;
use serde_json::json;

/// What `lupe tune` accepts.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub subject: SubjectArgs,
    /// Runs of every candidate, after one warm-up run
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    repeats: u16,
    /// Also try kernels that sum in a different order: results may differ in the last bits, and a note says so
    #[arg(long)]
    fast: bool,
}

/// Runs the command.
pub fn run(session: &Session, args: &Args) -> Result<()> {
    let subject = args.subject.open(session)?;
    session.watch_for_interrupts()?;
    session.left_by_interrupt("the tuning table is unchanged");
    let gpu = session.gpu()?;
    session.say(&format!("device    {}", gpu.info.describe()));
    if !gpu.timestamps() {
        session
            .say("note: this adapter has no timestamps; times are taken on the host, with one submission per dispatch");
    }
    let mut nodes: Vec<Tuning> = vec![];
    let stages = args.subject.stages(&subject, None, &gpu.caps)?;
    for stage in &stages {
        let found = timed(session, args, &gpu, stage)?;
        nodes.extend(found.into_iter().filter(|n| !nodes.iter().any(|known| known.key == n.key)).collect::<Vec<_>>());
    }
    // What was tuned for other models stays, unless it was chosen under other rules.
    let known = session.tuned(&gpu).filter(|t| t.fast == args.fast);
    let mut table = known.unwrap_or_else(|| Tuned::of(&gpu, args.fast));
    table.labels.extend(labels(&nodes, |n| n.chosen));
    let path = session.tuned_file(&gpu)?;
    table.write(&path)?;
    if session.json {
        let (model, device) = (&args.subject.model, gpu.info.describe());
        let all = json!({"model": model, "device": device, "fast": args.fast, "table": path, "nodes": nodes});
        return print(&all.to_string());
    }
    let changed = nodes.iter().filter(|n| n.chosen > 0).count();
    print(&format!(
        "{}\n\n{changed} of {} kinds of nodes get a kernel other than the default; a candidate must save 3 %\ntable     {}",
        shown(&nodes),
        nodes.len(),
        error::shown(&path)
    ))
}

/// The nodes of a graph that have a choice, timed.
fn timed(session: &Session, args: &Args, gpu: &Gpu, stage: &Stage) -> Result<Vec<Tuning>> {
    let graph = Graph::new();
    let outputs = (stage.build)(&graph);
    let inputs: Vec<&Tensor> = stage.inputs.iter().collect();
    let mut progress = |done| {
        session.progress("tuning", done, args.repeats.into());
        session.go_on()
    };
    let (how, limit) = ((args.repeats.into(), args.fast), session.limit_memory(gpu));
    pollster::block_on(tune(gpu, (&graph, &outputs), &inputs, limit, how, &mut progress))
}

fn shown(nodes: &[Tuning]) -> Table {
    let mut table = new_table(["node", "calls", "kernel", "us", "spread", "of default", ""]);
    for n in nodes {
        let default = n.candidates.first().map_or(0.0, |c| c.us);
        for (i, c) in n.candidates.iter().enumerate() {
            let (node, calls) = if i == 0 { (n.node.clone(), n.calls.to_string()) } else { Default::default() };
            let order = if c.same_order { "" } else { "other order" };
            table.add_row([
                node,
                calls,
                c.label.clone(),
                format!("{:.1}", c.us),
                format!("{:.0} %", 100.0 * c.spread),
                format!("{:.2}", c.us / default.max(1e-9)),
                [if i == n.chosen { "chosen" } else { "" }, order].join(" ").trim().into(),
            ]);
        }
    }
    table
}
