//! The self-test in processes of their own: a kernel that hangs cannot be ended in any other way; it is named and skipped.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader};
use std::process::Child;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// What such a process tells, one line of JSON each: the device it opened, then every kernel before it is run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Told {
    /// The device.
    Device {
        /// Backend and name.
        name: String,
        /// The same with the driver.
        describe: String,
        /// Bits of its vectors, if it is the processor.
        width: Option<u32>,
        /// Whether it is the processor.
        processor: bool,
    },
    /// A kernel.
    Kernel {
        /// Its number, from 0.
        number: usize,
        /// How many there are.
        of: usize,
        /// Its label.
        label: String,
    },
    /// A kernel took too long and is skipped: told by [`supervise`] itself.
    Late {
        /// Its label.
        label: String,
    },
}

/// How a process ended.
#[derive(Debug, PartialEq)]
enum End {
    /// By itself, without an error.
    Well,
    /// It was ended because nothing came from it for too long.
    Late,
}

/// Goes through all kernels, each within `limit`. `process` starts a process that compares those from a number on, with stdout piped;
/// `ended` says how it ended. All that is told goes to `take`.
///
/// # Errors
/// [`Error::TimedOut`] where not even a kernel was begun in time; [`Error::Numeric`] for a kernel that differs from its reference or takes
/// its process down; whatever else a process ends with.
pub fn supervise(
    limit: Duration,
    process: &dyn Fn(usize) -> Result<Child>,
    ended: &dyn Fn(Child) -> Result<()>,
    take: &mut dyn FnMut(Told),
) -> Result<()> {
    let (mut first, mut kernels) = (0, None);
    while kernels.is_none_or(|n| first < n) {
        let mut at = None;
        let mut seen = |told: Told| {
            if let Told::Kernel { number, of, label } = &told {
                (kernels, at) = (Some(*of), Some((*number, label.clone())));
            }
            take(told);
        };
        match (watched(process(first)?, limit, ended, &mut seen), at) {
            (Ok(End::Well), _) => break,
            (Ok(End::Late), Some((number, label))) => {
                first = number + 1;
                take(Told::Late { label });
            }
            (Ok(End::Late), None) => {
                return Err(Error::TimedOut(format!("no kernel was begun within {} s", limit.as_secs_f64())));
            }
            (Err(Error::Worker { code: None, .. }), at) => {
                let label = at.map_or("the device".into(), |(_, label)| label);
                return Err(Error::Numeric(format!("{label}: the driver crashed while it was tested")));
            }
            (Err(e), _) => return Err(e),
        }
    }
    Ok(())
}

/// Hands on what a process tells until it ends; ends it where nothing comes for longer than `limit`.
fn watched(
    mut child: Child,
    limit: Duration,
    ended: &dyn Fn(Child) -> Result<()>,
    take: &mut dyn FnMut(Told),
) -> Result<End> {
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
    if end == End::Late { Ok(end) } else { ended(child).map(|()| end) }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    fn script(text: String) -> Result<Child> {
        Ok(Command::new("sh").args(["-c", &text]).stdout(Stdio::piped()).spawn().expect("a shell"))
    }

    fn ended(mut child: Child) -> Result<()> {
        let code = child.wait().expect("it ended").code().map(|c| c as u8);
        if code == Some(0) { Ok(()) } else { Err(Error::Worker { code, said: "wrong".into() }) }
    }

    fn tell(n: usize) -> String {
        format!(r#"echo '{{"Kernel":{{"number":{n},"of":4,"label":"k{n}"}}}}';"#)
    }

    #[test]
    fn fault_28_what_hangs_is_ended_and_named_and_the_others_are_tested() {
        // Kernels 1 and 3 hang.
        let process = |first: usize| {
            script((first..4).map(|n| tell(n) + if n % 2 == 1 { "exec sleep 600;" } else { "" }).collect())
        };
        let (mut begun, mut late) = (vec![], vec![]);
        let mut take = |told: Told| match told {
            Told::Kernel { label, .. } => begun.push(label),
            Told::Late { label } => late.push(label),
            Told::Device { .. } => {}
        };
        supervise(Duration::from_millis(500), &process, &ended, &mut take).expect("it ends");
        assert_eq!(
            (begun, late),
            (["k0", "k1", "k2", "k3"].map(String::from).into(), ["k1", "k3"].map(String::from).into())
        );
    }

    #[test]
    fn fault_28_silence_crashes_and_errors_are_told() {
        let run =
            |text: &str, ms: u64| supervise(Duration::from_millis(ms), &|_| script(text.into()), &ended, &mut |_| ());
        assert!(run("exit 0", 60_000).is_ok());
        let silent = run("exec sleep 600", 300);
        assert!(matches!(silent, Err(Error::TimedOut(what)) if what.contains("no kernel was begun within 0.3 s")));
        let crashing = run(&(tell(2) + "kill -SEGV $$"), 60_000);
        assert!(matches!(crashing, Err(Error::Numeric(what)) if what.starts_with("k2: the driver crashed")));
        assert!(matches!(run(&(tell(2) + "exit 7"), 60_000), Err(Error::Worker { code: Some(7), .. })));
    }
}
