//! `lupe verify`: plans and the references side by side.

use super::output::print;
use super::session::Session;
use super::subject::{SubjectArgs, picture};
use crate::data::Picture;
use crate::engine::verify::{Difference, verify};
use crate::engine::{Choice, Gpu, Graph, Options};
use crate::error::{Error, Result};
use crate::methods::Stage;
use crate::methods::subject::Subject;
use crate::tensor::Tensor;
use crate::watch::Watch;
use serde_json::json;
use std::path::PathBuf;

/// What `lupe verify` accepts.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub subject: SubjectArgs,
    /// The picture to run on [default: noise]
    picture: Option<PathBuf>,
    /// Use the first candidate kernel whose name contains this text, where there is one
    #[arg(long, value_name = "LABEL")]
    candidate: Option<String>,
}

/// Runs the command.
pub fn run(session: &Session, args: &Args) -> Result<()> {
    let (subject, picture) = (args.subject.open(session)?, picture(args.picture.as_deref())?);
    session.watch_for_interrupts()?;
    if session.all_devices() {
        for a in session.adapters() {
            let gpu = session.open(&Choice::Index(a.index))?;
            one(session, args, &subject, picture.as_ref(), &gpu)?;
        }
        return Ok(());
    }
    one(session, args, &subject, picture.as_ref(), &session.gpu()?)
}

/// All graphs of a subject on one device, up to the first dispatch that differs.
fn one(session: &Session, args: &Args, subject: &Subject, picture: Option<&Picture>, gpu: &Gpu) -> Result<()> {
    let (name, device) = (&args.subject.model, gpu.info.describe());
    let stages = args.subject.stages(subject, picture, &gpu.caps)?;
    let (mut compared, mut first) = (0, None);
    for stage in &stages {
        if first.is_some() {
            break;
        }
        let (count, found) = compare(session, args, gpu, stage)?;
        compared += count;
        first = found.map(|difference| (stage.name, difference));
    }
    if session.json {
        let first = first.as_ref().map(|(stage, d)| {
            json!({
                "stage": stage, "step": d.step, "node": d.fact.label, "kernel": d.fact.kernel, "shape": d.fact.shape.dims(),
                "element": d.element, "expected": d.expected, "found": d.found, "nmse": d.nmse,
            })
        });
        print(&json!({"model": name, "device": device, "compared": compared, "first": first}).to_string())?;
    } else if first.is_none() {
        print(&format!("{name}: all {compared} dispatches match their references\ndevice  {device}"))?;
    }
    first.map_or(Ok(()), |(stage, d)| Err(Error::Numeric(format!("{name} on {device}, {stage}: {}", text(&d)))))
}

/// How many dispatches of a graph were compared, and the first that differs.
fn compare(session: &Session, args: &Args, gpu: &Gpu, stage: &Stage) -> Result<(usize, Option<Difference>)> {
    let choices = session.choices_or(args.candidate.as_ref(), gpu);
    let options = Options { limit_memory: session.limit_memory(gpu), choices };
    let (graph, mut compared) = (Graph::new(), 0);
    let outputs = (stage.build)(&graph);
    let inputs: Vec<&Tensor> = stage.inputs.iter().collect();
    let found = pollster::block_on(verify(gpu, &graph, &outputs, &inputs, options, &mut |done, of| {
        session.progress("verifying", done, of);
        compared = done;
        session.go_on().is_ok()
    }));
    Ok((compared, found.map_err(|e| session.go_on().err().unwrap_or(e))?))
}

fn text(d: &Difference) -> String {
    let f = &d.fact;
    let inputs: Vec<String> = f.inputs.iter().map(ToString::to_string).collect();
    format!(
        "dispatch {} differs from its reference; those before it do not\n  node      {}\n  kernel    {}\n  shapes    {} -> {}\n  worst     element {}: found {}, expected {}\n  error     {:.1e} of the mean square",
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
