//! `lupe devices --self-test`: kernel by kernel in a process of its own, so that one that hangs can be ended, named and skipped.

use crate::cli::child::{end_with_the_caller, ended_well};
use crate::cli::output::print;
use crate::cli::session::Session;
use crate::engine::Choice;
use crate::engine::gpu::Kind;
use crate::error::{Error, Result};
use crate::measure::self_test::{cases, run as test};
use crate::watch::Watch;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// What the process tells, one line each: the device it opened, then every kernel before it is run.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Told {
    Device { name: String, describe: String, width: Option<u32>, processor: bool },
    Kernel { number: usize, of: usize, label: String },
}

/// How a process ended.
#[derive(Debug, PartialEq)]
enum End {
    /// All kernels match their references.
    Well,
    /// It was ended because nothing came from it for too long.
    Late,
}

/// What was found out so far.
#[derive(Default)]
struct Found {
    device: Option<(String, String, Option<u32>)>,
    kernels: usize,
    at: Option<(usize, String)>,
    late: Vec<String>,
}

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
    let (start, mut found) = (Instant::now(), Found::default());
    loop {
        let first = found.at.as_ref().map_or(0, |(number, _)| number + 1);
        if found.kernels > 0 && first >= found.kernels {
            break;
        }
        found.at = None;
        match watched(process(session, first)?, limit, &mut |told| found.take(session, told)) {
            Ok(End::Well) => break,
            Ok(End::Late) => {
                let Some((_, label)) = &found.at else {
                    return Err(Error::TimedOut(format!("no kernel was begun within {} s", limit.as_secs_f64())));
                };
                session.say(&format!("note: {label} took longer than {} s and is skipped", limit.as_secs_f64()));
                found.late.push(label.clone());
            }
            Err(Error::Worker { code: None, .. }) => {
                let label = found.at.map_or("the device".into(), |(_, label)| label);
                return Err(Error::Numeric(format!("{label}: the driver crashed while it was tested")));
            }
            Err(e) => return Err(e),
        }
    }
    report(session, found, limit, start.elapsed())
}

impl Found {
    fn take(&mut self, session: &Session, told: Told) {
        match told {
            Told::Device { name, describe, width, processor } => {
                session.tell_processor(&name, if processor { Kind::Cpu } else { Kind::Other });
                self.device = Some((name, describe, width));
            }
            Told::Kernel { number, of, label } => {
                session.say(&format!("testing   {} of {of}: {label}", number + 1));
                (self.kernels, self.at) = (of, Some((number, label)));
            }
        }
    }
}

fn report(session: &Session, found: Found, limit: Duration, took: Duration) -> Result<()> {
    let Found { device, kernels, late, .. } = found;
    let (name, describe, width) = device.unwrap_or_default();
    let (right, seconds) = (kernels - late.len(), took.as_secs_f64());
    if session.json {
        let facts = json!({"name": name, "width": width, "kernels": right, "timed_out": late, "seconds": seconds});
        print(&facts.to_string())?;
    } else {
        let which = if late.is_empty() { "all".to_string() } else { format!("{right} of") };
        print(&format!(
            "{which} {kernels} kernels match their references\ntook      {seconds:.1} s\ndevice    {describe}"
        ))?;
    }
    if late.is_empty() {
        return Ok(());
    }
    Err(Error::TimedOut(format!(
        "{} of {kernels} kernels took longer than {} s and were skipped: {}",
        late.len(),
        limit.as_secs_f64(),
        late.join(", ")
    )))
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

/// Hands on what a process tells until it ends; ends it where nothing comes for longer than `limit`.
fn watched(mut child: Child, limit: Duration, take: &mut dyn FnMut(Told)) -> Result<End> {
    let (send, told) = channel();
    let reader = child.stdout.take().map(|out| {
        std::thread::spawn(move || {
            let lines = BufReader::new(out).lines().map_while(std::result::Result::ok);
            let _ =
                lines.filter_map(|line| serde_json::from_str(&line).ok()).try_for_each(|told: Told| send.send(told));
        })
    });
    let end = loop {
        match told.recv_timeout(limit) {
            Ok(told) => take(told),
            Err(RecvTimeoutError::Disconnected) => break End::Well,
            Err(RecvTimeoutError::Timeout) => break End::Late,
        }
    };
    if end == End::Late {
        let _ = child.kill(); // it may have ended just now
        let _ = child.wait();
    }
    let _ = reader.map(std::thread::JoinHandle::join);
    if end == End::Late { Ok(end) } else { ended_well(child).map(|()| end) }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn script(text: &str) -> Child {
        let mut command = Command::new("sh");
        command.args(["-c", text]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("a shell")
    }

    const BEGUN: &str = r#"echo '{"Kernel":{"number":3,"of":9,"label":"conv"}}';"#;

    #[test]
    fn fault_28_what_hangs_is_ended_and_named() {
        let mut seen = vec![];
        let start = Instant::now();
        let hanging = format!("{BEGUN} exec sleep 600");
        let end =
            watched(script(&hanging), Duration::from_millis(300), &mut |told| seen.push(told)).expect("it is ended");
        assert!(end == End::Late && start.elapsed() < Duration::from_secs(60));
        assert_eq!(seen, [Told::Kernel { number: 3, of: 9, label: "conv".into() }]);
    }

    #[test]
    fn a_process_that_ends_is_believed() {
        let end = |text: &str| watched(script(&format!("{BEGUN} {text}")), Duration::from_secs(60), &mut |_| ());
        assert_eq!(end("exit 0").expect("well"), End::Well);
        let wrong = end("echo 'lupe: conv: row 0 differs' >&2; exit 7").expect_err("wrong");
        assert!(matches!(&wrong, Error::Worker { code: Some(7), said } if said == "conv: row 0 differs"), "{wrong:?}");
        assert!(matches!(end("kill -SEGV $$"), Err(Error::Worker { code: None, .. })));
    }
}
