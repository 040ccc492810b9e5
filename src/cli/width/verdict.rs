//! What the self-test said, kept in Lupe's cache folder: one small file for each driver, processor and version of Lupe.

use crate::cli::env;
use crate::measure::width::{SelfTest, WIDE};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Where the verdict on this driver is kept; `None` if there is no cache folder.
pub fn file(key: &str) -> Option<PathBuf> {
    env::cached("width-", key)
}

/// What a file says about `key`; nothing if it is missing, broken or about something else.
pub fn read(path: &Path, key: &str) -> Option<SelfTest> {
    let value: Value = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    match (value.get("key")?.as_str()? == key, value.get("failure")?) {
        (true, Value::Null) => Some(SelfTest::Passed),
        (true, Value::String(what)) => Some(SelfTest::Failed(what.clone())),
        _ => None,
    }
}

/// Keeps it.
pub fn write(path: &Path, key: &str, verdict: &SelfTest) -> crate::error::Result<()> {
    let failure = if let SelfTest::Failed(what) = verdict { Some(what) } else { None };
    crate::files::write(path, json!({"key": key, "failure": failure}).to_string().as_bytes())
}

/// Runs `lupe devices --self-test` on adapter `index` in a process of its own in the wide mode.
///
/// # Errors
/// Why it could not be completed; that says nothing about the driver.
pub fn test(index: usize) -> Result<SelfTest, String> {
    let mut command = Command::new(std::env::current_exe().map_err(|e| e.to_string())?);
    command.args(["devices", "--self-test", "--json", "--device"]).arg(index.to_string());
    verdict(&env::widen(&mut command, WIDE).output().map_err(|e| e.to_string())?)
}

fn verdict(output: &Output) -> Result<SelfTest, String> {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let said = stderr.lines().find_map(|l| l.strip_prefix("lupe: ")).unwrap_or_default().to_string();
    match (output.status.code(), crash(output)) {
        (Some(0), _) => {
            let value: Value = serde_json::from_slice(&output.stdout).map_err(|e| e.to_string())?;
            let wide = value.get("width").and_then(Value::as_u64) == Some(u64::from(WIDE));
            let narrow = || SelfTest::Failed("the driver has no such mode".into());
            Ok(if wide { SelfTest::Passed } else { narrow() })
        }
        (Some(7 | 124), _) => Ok(SelfTest::Failed(said)), // it differs, or hangs
        (None, Some(signal)) => Ok(SelfTest::Failed(format!("the driver crashed with signal {signal}"))),
        _ => Err(format!("{}: {said}", output.status)),
    }
}

/// The signal that ended a process because of a fault of its own; being killed is none.
#[cfg(unix)]
fn crash(output: &Output) -> Option<i32> {
    use signal_hook::consts::{SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV};
    use std::os::unix::process::ExitStatusExt;
    output.status.signal().filter(|s| [SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV].contains(s))
}

#[cfg(not(unix))]
fn crash(_: &Output) -> Option<i32> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    fn ended(status: i32, stdout: &str, stderr: &str) -> Result<SelfTest, String> {
        let status = std::process::ExitStatus::from_raw(status);
        verdict(&Output { status, stdout: stdout.into(), stderr: stderr.into() })
    }

    #[test]
    fn what_the_end_of_a_self_test_means() {
        let failed = |what: &str| Ok(SelfTest::Failed(what.into()));
        assert_eq!(ended(0, "{\"width\":512,\"kernels\":9}", ""), Ok(SelfTest::Passed));
        assert_eq!(ended(0, "{\"width\":256,\"kernels\":9}", ""), failed("the driver has no such mode"));
        assert_eq!(ended(7 << 8, "", "warning: x\nlupe: conv: row 0\n"), failed("conv: row 0"));
        assert_eq!(ended(124 << 8, "", "lupe: 1 of 9 kernels took longer\n"), failed("1 of 9 kernels took longer"));
        assert_eq!(ended(11, "", ""), failed("the driver crashed with signal 11"));
        for other in [5 << 8, 6 << 8, 70 << 8, 2, 9, 15] {
            assert!(ended(other, "", "lupe: no memory\n").is_err_and(|e| e.contains("no memory")), "{other}");
        }
        assert!(ended(0, "", "").is_err());
    }

    #[test]
    fn a_broken_file_says_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("width.json");
        assert_eq!(read(&path, "k"), None);
        for verdict in [SelfTest::Passed, SelfTest::Failed("x".into())] {
            write(&path, "k", &verdict).expect("written");
            assert_eq!(read(&path, "k"), Some(verdict));
            assert_eq!(read(&path, "another driver"), None);
        }
        for broken in ["", "{", "[]", "{}", "{\"key\":\"k\"}", "{\"failure\":null}", "{\"key\":\"k\",\"failure\":0}"] {
            std::fs::write(&path, broken).expect("written");
            assert_eq!(read(&path, "k"), None, "{broken}");
        }
    }
}
