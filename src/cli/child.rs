//! Processes that do part of the work: how they end, and with whom.

use crate::error::{Error, Result};
use std::io::Read;
use std::process::Child;

/// The error that a process ended with, with its exit code.
pub fn ended_well(child: Child) -> Result<()> {
    let output = child.wait_with_output().map_err(|e| Error::Gpu(format!("lost a process of its own: {e}")))?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let said = stderr.lines().find_map(|l| l.strip_prefix("lupe: ")).unwrap_or("it gave no message").to_string();
    Err(Error::Worker { code: output.status.code().and_then(|c| u8::try_from(c).ok()), said })
}

/// Ends work that nobody waits for any more: the caller holds the other end of stdin as long as it lives.
pub fn end_with_the_caller() {
    std::thread::spawn(|| {
        let mut stdin = std::io::stdin().lock();
        while matches!(stdin.read(&mut [0; 64]), Ok(n) if n > 0) {}
        std::process::exit(130);
    });
}
