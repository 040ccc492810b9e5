//! A process with a limit: what it says goes to a file, and when its time is over it ends with all that it started.

use lupe::{Error, Result};
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By itself, with this code.
    Code(i32),
    /// By a signal, or a panic.
    Crash,
    /// It was ended when its time was over.
    Late,
}

/// How often a process is asked whether it has ended.
const PULSE: Duration = Duration::from_millis(20);

/// Whether the user wants all of this to end; from the first call on interrupts are only noted.
fn stop() -> &'static AtomicBool {
    static STOP: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    STOP.get_or_init(|| {
        let flag = Arc::new(AtomicBool::new(false));
        #[cfg(unix)]
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
            if let Err(e) = signal_hook::flag::register(signal, flag.clone()) {
                eprintln!("interrupts cannot be watched: {e}");
            }
        }
        flag
    })
}

/// Runs `command` for `seconds` at most; stdout and stderr are appended to `log`.
///
/// # Errors
/// [`Error::Output`] where the log cannot be written, [`Error::Input`] where the process cannot be started, [`Error::Interrupted`].
pub fn run(command: &mut Command, log: &Path, seconds: f64) -> Result<End> {
    let fail = |e: std::io::Error| Error::Output(format!("{} cannot be written: {e}", log.display()));
    let file = File::options().create(true).append(true).open(log).map_err(fail)?;
    let both = file.try_clone().map_err(fail)?;
    grouped(command).stdin(Stdio::null()).stdout(file).stderr(both);
    stop();
    let name = command.get_program().to_owned();
    let mut child = command.spawn().map_err(|e| Error::Input(format!("{name:?} cannot be started: {e}")))?;
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().map_err(fail)? {
            end_group(&child); // what it left running would measure along with the next part
            return Ok(ended(status));
        }
        let interrupted = stop().load(Ordering::Relaxed);
        if interrupted || begun.elapsed().as_secs_f64() > seconds {
            end_group(&child);
            child.kill().map_err(fail)?;
            child.wait().map_err(fail)?;
            let kept = || Error::Interrupted("what is known so far is in report.json and report.md".into());
            return if interrupted { Err(kept()) } else { Ok(End::Late) };
        }
        std::thread::sleep(PULSE);
    }
}

fn ended(status: ExitStatus) -> End {
    match status.code() {
        None | Some(101) => End::Crash,
        Some(code) => End::Code(code),
    }
}

/// The command in a process group of its own.
fn grouped(command: &mut Command) -> &mut Command {
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    command
}

/// Ends every process of the child's group that is left.
fn end_group(child: &Child) {
    #[cfg(unix)]
    if let Some(group) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
        // Nothing is left where this fails.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    #[cfg(not(unix))]
    let _ = child;
}

/// The last `count` lines of a log.
pub fn last(log: &Path, count: usize) -> Vec<String> {
    let text = fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.split(['\n', '\r']).filter(|l| !l.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(count)..].iter().map(|l| lupe::error::plain(l)).collect()
}
