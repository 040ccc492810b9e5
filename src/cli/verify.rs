//! `lupe verify`: a plan and the references side by side.

use super::args::Verify;
use super::output::print;
use super::session::{Session, describe};
use super::subject::Subject;
use crate::engine::verify::{Difference, verify};
use crate::engine::{Asked, Choice, Gpu, Graph, Options};
use crate::error::{Error, Result};
use crate::tensor::Tensor;
use serde_json::json;

/// Runs the command.
pub fn run(session: &Session, args: &Verify) -> Result<()> {
    let subject = Subject::open(session, &args.subject)?;
    let input = subject.input(args.picture.as_deref())?;
    session.watch_for_interrupts()?;
    if session.all_devices() {
        for a in session.adapters() {
            one(session, args, &subject, &input, &session.open(&Choice::Index(a.index))?)?;
        }
        return Ok(());
    }
    one(session, args, &subject, &input, &session.gpu()?)
}

fn one(session: &Session, args: &Verify, subject: &Subject, input: &Tensor, gpu: &Gpu) -> Result<()> {
    let choices = session.choices_or(args.candidate.as_ref(), gpu);
    let options = Options { limit_memory: session.limit_memory(gpu), choices };
    let (graph, asked) = (Graph::new(), Asked::default());
    let outputs = subject.graph(&graph, &asked);
    let (mut bar, mut compared) = (None, 0);
    let found = pollster::block_on(verify(gpu, &graph, &outputs, &[input], options, &mut |done, of| {
        bar.get_or_insert_with(|| session.progress(of, "verifying")).at(done);
        compared = done;
        session.go_on().is_ok()
    }));
    if let Some(bar) = bar {
        bar.done();
    }
    let found = found.map_err(|e| session.go_on().err().unwrap_or(e))?;
    let device = describe(&gpu.info);
    if session.json {
        let first = found.as_ref().map(|d| {
            json!({
                "step": d.step, "node": d.fact.label, "kernel": d.fact.kernel, "shape": d.fact.shape.dims(),
                "element": d.element, "expected": d.expected, "found": d.found, "nmse": d.nmse,
            })
        });
        print(&json!({"model": subject.name, "device": device, "compared": compared, "first": first}).to_string())?;
    } else if found.is_none() {
        print(&format!("{}: all {compared} dispatches are as their references\ndevice  {device}", subject.name))?;
    }
    found.map_or(Ok(()), |d| Err(Error::Numeric(format!("{} on {device}: {}", subject.name, text(&d)))))
}

fn text(d: &Difference) -> String {
    let f = &d.fact;
    let inputs: Vec<String> = f.inputs.iter().map(ToString::to_string).collect();
    format!(
        "dispatch {} differs from its reference, those before it do not\n  node      {}\n  kernel    {}\n  shapes    {} -> {}\n  worst     element {}: {} where {} is expected\n  error     {:.1e} of the mean square",
        d.step,
        f.label,
        f.kernel,
        inputs.join(" "),
        f.shape,
        d.element,
        d.found,
        d.expected,
        d.nmse
    )
}
