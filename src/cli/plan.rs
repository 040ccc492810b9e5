//! `lupe plan`: what will run, without running it.

use super::output::print;
use super::session::Session;
use super::subject::SubjectArgs;
use crate::engine::plan::Fact;
use crate::engine::{ENOUGH, Family, Form, Graph, Options, Plan, Store};
use crate::error::Result;
use comfy_table::{Table, presets};
use serde_json::{Value, json};

/// What `lupe plan` accepts.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub subject: SubjectArgs,
    /// Use the first candidate kernel whose name contains this text, where there is one
    #[arg(long, value_name = "LABEL")]
    candidate: Option<String>,
}

/// Runs the command.
pub fn run(session: &Session, args: &Args) -> Result<()> {
    let subject = args.subject.open(session)?;
    let gpu = session.gpu()?;
    let choices = session.choices_or(args.candidate.as_ref(), &gpu);
    let options = Options { limit_memory: session.limit_memory(&gpu), choices };
    let batch = args.subject.batch.into();
    let stage = args.subject.stage(&subject, None, &gpu.caps)?;
    let graph = Graph::new();
    let plan = pollster::block_on(Plan::new(&gpu, &graph, &(stage.build)(&graph), &Store::new(), options))?;
    let (enough, name) = (enough(gpu.caps.family), &args.subject.model);
    let sum = |f: fn(&Fact) -> u64| plan.facts().map(f).sum::<u64>();
    let (flops, traffic) = (sum(|f| f.flops), sum(|f| f.bytes));
    if session.json {
        let dispatches: Vec<Value> = plan.facts().map(|f| as_json(f, enough)).collect();
        return print(
            &json!({
                "model": name, "device": gpu.info.describe(), "input": subject.input(batch), "dispatches": dispatches,
                "slots": plan.slots().iter().map(|s| s.0).collect::<Vec<_>>(), "bytes": plan.bytes(), "flops": flops,
                "traffic": traffic,
            })
            .to_string(),
        );
    }
    let megabytes = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
    print(&format!(
        "{}\n{}\n{name} on {}\n{} dispatches, {:.2} GFLOP, at least {} read and written\n{} slots of {}, {} of device memory in total",
        table(&plan, enough),
        remark(&plan, enough),
        gpu.info.describe(),
        plan.dispatches(),
        flops as f64 / 1e9,
        megabytes(traffic),
        plan.slots().len(),
        megabytes(plan.slots().iter().map(|s| s.0).sum()),
        megabytes(plan.bytes())
    ))
}

/// Workgroups that a dispatch needs to keep the device busy: one per thread where the processor computes.
fn enough(family: Family) -> u64 {
    match family {
        Family::Gpu => u64::from(ENOUGH),
        Family::Software => std::thread::available_parallelism().map_or(1, |n| n.get() as u64),
    }
}

/// What the mark means, if there is one; ends with a newline.
fn remark(plan: &Plan, enough: u64) -> String {
    let few = plan.facts().filter(|f| f.workgroups() < enough).count();
    if few == 0 {
        return String::new();
    }
    format!("\n< {few} dispatches have fewer than the {enough} workgroups that keep this device busy\n")
}

fn table(plan: &Plan, enough: u64) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["", "node", "kernel", "writes", "form", "slot", "workgroups", "MFLOP", "MB"]);
    for (i, f) in plan.facts().enumerate() {
        table.add_row([
            i.to_string(),
            f.label.clone(),
            f.kernel.clone(),
            f.shape.to_string(),
            form(f.form),
            f.slot.map_or("-".into(), |s| s.to_string()),
            workgroups(f, enough),
            format!("{:.1}", f.flops as f64 / 1e6),
            format!("{:.2}", f.bytes as f64 / 1e6),
        ]);
    }
    table
}

/// `2x98x1`, and a mark if that is too few for the device.
fn workgroups(f: &Fact, enough: u64) -> String {
    let grid = f.groups.map(|g| g.to_string()).join("x");
    if f.workgroups() < enough { format!("{grid} <") } else { grid }
}

fn form(form: Form) -> String {
    match form {
        Form::Buffer => "buffer".into(),
        Form::Image { pad } => format!("image, ring {pad}"),
    }
}

fn as_json(f: &Fact, enough: u64) -> Value {
    json!({
        "node": f.label, "op": f.op, "shader": f.shader, "kernel": f.kernel, "form": form(f.form), "slot": f.slot,
        "inputs": f.inputs.iter().map(|s| s.dims().to_vec()).collect::<Vec<_>>(), "shape": f.shape.dims(),
        "workgroups": f.groups, "few_workgroups": f.workgroups() < enough, "flops": f.flops, "bytes": f.bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::lower::{Lowered, lower_by};
    use crate::engine::{Caps, Choices};

    fn facts(outputs: usize) -> Vec<Fact> {
        let graph = Graph::new();
        let y = graph.input("x", [outputs, 4]).relu();
        let lowered: Lowered = lower_by(&graph, &[y], &Caps::BASE, &Choices::First).expect("it lowers");
        lowered.steps.iter().map(|s| Fact::new(&lowered, s, None)).collect()
    }

    #[test]
    fn what_leaves_a_device_idle_is_marked() {
        let (few, many) = (facts(64), facts(1 << 20));
        let enough = enough(Family::Gpu);
        assert!(workgroups(&few[0], enough).ends_with(" <") && !workgroups(&many[0], enough).ends_with('<'));
        assert_eq!(as_json(&few[0], enough)["few_workgroups"], true);
        assert_eq!(as_json(&many[0], enough)["few_workgroups"], false);
    }
}
