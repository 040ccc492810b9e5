//! `lupe tune`: times the candidates of every node and keeps the fastest for later runs.

use super::args::Tune;
use super::output::print;
use super::session::{Session, describe};
use super::subject::Subject;
use super::tuning::Table as Tuned;
use crate::engine::{Asked, Graph};
use crate::error::Result;
use crate::measure::tune::{Node, labels, tune};
use comfy_table::{Table, presets};
use serde_json::json;

/// Runs the command.
pub fn run(session: &Session, args: &Tune) -> Result<()> {
    let subject = Subject::open(session, &args.subject)?;
    session.watch_for_interrupts()?;
    session.left_by_interrupt("the table is as it was");
    let gpu = session.gpu()?;
    session.say(&format!("device    {}", describe(&gpu.info)));
    if !gpu.timestamps() {
        session.say("note: this adapter has no timestamps; times are the host's, one submission a dispatch");
    }
    let (graph, asked) = (Graph::new(), Asked::default());
    let outputs = subject.graph(&graph, &asked);
    let input = subject.input(None)?;
    let bar = session.progress(args.repeats.into(), "tuning");
    let mut progress = |done| {
        bar.at(done);
        session.go_on()
    };
    let (how, limit) = ((args.repeats.into(), args.fast), session.limit_memory(&gpu));
    let nodes = pollster::block_on(tune(&gpu, (&graph, &outputs), &[&input], limit, how, &mut progress));
    bar.done();
    let nodes = nodes?;
    // What other models were tuned for stays, unless it was chosen under other rules.
    let known = Tuned::read(session, &gpu).filter(|t| t.fast == args.fast);
    let mut table = known.unwrap_or_else(|| Tuned::of(&gpu, args.fast));
    table.labels.extend(labels(&nodes, |n| n.chosen));
    let path = table.write()?;
    if session.json {
        return print(
            &json!({"model": subject.name, "device": describe(&gpu.info), "fast": args.fast, "table": path, "nodes": nodes})
                .to_string(),
        );
    }
    let changed = nodes.iter().filter(|n| n.chosen > 0).count();
    print(&format!(
        "{}\n\n{changed} of {} kinds of nodes get another kernel than the default; a candidate must save 3 %\ntable     {}",
        shown(&nodes),
        nodes.len(),
        path.display()
    ))
}

fn shown(nodes: &[Node]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["node", "calls", "kernel", "us", "spread", "of default", ""]);
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
