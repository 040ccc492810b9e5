//! `lupe plan`: what will run, without running it.

use super::args::PlanArgs;
use super::output::print;
use super::session::{Session, describe};
use super::subject::Subject;
use crate::engine::plan::Fact;
use crate::engine::{Asked, Form, Graph, Options, Plan, Store};
use crate::error::Result;
use comfy_table::{Table, presets};
use serde_json::{Value, json};

/// Runs the command.
pub fn run(session: &Session, args: &PlanArgs) -> Result<()> {
    let subject = Subject::open(session, &args.subject)?;
    let gpu = session.gpu()?;
    let options = Options { limit_memory: session.limit_memory(&gpu), choices: session.choices(&gpu) };
    let (graph, asked) = (Graph::new(), Asked::default());
    let outputs = subject.graph(&graph, &asked);
    let plan = pollster::block_on(Plan::new(&gpu, &graph, &outputs, &Store::new(), options))?;
    let sum = |f: fn(&Fact) -> u64| plan.facts().map(f).sum::<u64>();
    let (flops, traffic) = (sum(|f| f.flops), sum(|f| f.bytes));
    if session.json {
        let dispatches: Vec<Value> = plan.facts().map(as_json).collect();
        return print(
            &json!({
                "model": subject.name, "device": describe(&gpu.info), "input": subject.input, "dispatches": dispatches,
                "slots": plan.slots().iter().map(|s| s.0).collect::<Vec<_>>(), "bytes": plan.bytes(), "flops": flops,
                "traffic": traffic,
            })
            .to_string(),
        );
    }
    let megabytes = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
    print(&format!(
        "{}\n\n{} on {}\n{} dispatches, {:.2} GFLOP, {} read and written at least\n{} slots of {}, {} of device memory in all",
        table(&plan),
        subject.name,
        describe(&gpu.info),
        plan.dispatches(),
        flops as f64 / 1e9,
        megabytes(traffic),
        plan.slots().len(),
        megabytes(plan.slots().iter().map(|s| s.0).sum()),
        megabytes(plan.bytes())
    ))
}

fn table(plan: &Plan) -> Table {
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
            f.groups.map(|g| g.to_string()).join("x"),
            format!("{:.1}", f.flops as f64 / 1e6),
            format!("{:.2}", f.bytes as f64 / 1e6),
        ]);
    }
    table
}

fn form(form: Form) -> String {
    match form {
        Form::Buffer => "buffer".into(),
        Form::Image { pad } => format!("image, ring {pad}"),
    }
}

fn as_json(f: &Fact) -> Value {
    json!({
        "node": f.label, "op": f.op, "shader": f.shader, "kernel": f.kernel, "form": form(f.form), "slot": f.slot,
        "inputs": f.inputs.iter().map(|s| s.dims().to_vec()).collect::<Vec<_>>(), "shape": f.shape.dims(),
        "workgroups": f.groups, "flops": f.flops, "bytes": f.bytes,
    })
}
