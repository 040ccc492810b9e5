//! `lupe devices --self-test`: what is told of it, and the processes that it runs in.

use crate::cli::child::{end_with_the_caller, ended_well};
use crate::cli::output::print;
use crate::cli::session::Session;
use crate::engine::Choice;
use crate::engine::gpu::Kind;
use crate::error::{Error, Result};
use crate::measure::self_test::{cases, run as test};
use crate::measure::supervised::{Told, supervise};
use crate::watch::Watch;
use serde_json::json;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Compares kernels from number `first` on, in this process, and tells what it does.
pub fn work(session: &Session, first: usize) -> Result<()> {
    end_with_the_caller();
    let tell = |told: Told| -> Result<()> {
        print(&serde_json::to_string(&told).map_err(|e| Error::Output(format!("cannot write progress: {e}")))?)
    };
    let (gpu, cases) = (session.gpu()?, cases());
    let (name, describe) = (gpu.info.title(), gpu.info.describe());
    tell(Told::Device { name, describe, width: gpu.info.width, processor: gpu.info.kind == Kind::Cpu })?;
    test(&gpu, &cases, first, &mut |number, of, label| tell(Told::Kernel { number, of, label: label.into() }))
}

/// Compares all kernels of the chosen device with their references, each within `limit`.
pub fn run(session: &Session, limit: Duration) -> Result<()> {
    let (start, seconds) = (Instant::now(), limit.as_secs_f64());
    let (mut device, mut kernels, mut late) = (Default::default(), 0, vec![]);
    let mut take = |told: Told| match told {
        Told::Device { name, describe, width, processor } => {
            session.tell_processor(&name, if processor { Kind::Cpu } else { Kind::Other });
            device = (name, describe, width);
        }
        Told::Kernel { number, of, label } => {
            session.say(&format!("testing   {} of {of}: {label}", number + 1));
            kernels = of;
        }
        Told::Late { label } => {
            session.say(&format!("note: {label} took longer than {seconds} s and is skipped"));
            late.push(label);
        }
    };
    supervise(limit, &|first| process(session, first), &ended_well, &mut take)?;
    let ((name, describe, width), right, took): ((String, String, Option<u32>), _, _) =
        (device, kernels - late.len(), start.elapsed().as_secs_f64());
    if session.json {
        let facts = json!({"name": name, "width": width, "kernels": right, "timed_out": late, "seconds": took});
        print(&facts.to_string())?;
    } else {
        let which = if late.is_empty() { "all".to_string() } else { format!("{right} of") };
        print(&format!(
            "{which} {kernels} kernels match their references\ntook      {took:.1} s\ndevice    {describe}"
        ))?;
    }
    if late.is_empty() {
        return Ok(());
    }
    let (n, list) = (late.len(), late.join(", "));
    Err(Error::TimedOut(format!("{n} of {kernels} kernels took longer than {seconds} s and were skipped: {list}")))
}

/// A process that compares kernels from number `first` on.
fn process(session: &Session, first: usize) -> Result<Child> {
    let fail = |e: std::io::Error| Error::Gpu(format!("cannot start a process for the self-test: {e}"));
    let device = match &session.choice {
        Choice::Auto => "auto".to_string(),
        Choice::Index(number) => number.to_string(),
        Choice::Name(name) => name.clone(),
    };
    let mut command = Command::new(std::env::current_exe().map_err(fail)?);
    command.args(["devices", "-q", "--self-test", "--worker", &first.to_string(), "--device", &device]);
    command.args(session.passed_on()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().map_err(fail)
}
