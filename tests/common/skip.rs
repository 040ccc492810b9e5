//! What is skipped, said past the test harness and listed where `make test` counts it.
#![allow(dead_code)]

use std::fs::OpenOptions;
use std::io::Write;

/// The list of this run; `.ci/test` empties it before and prints it at the end.
const LIST: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/skipped");

/// Why a test is left to `make test-full`.
pub const MINUTES: &str = "it takes minutes on a CPU; `make test-full` runs it";

/// Why a bound on memory is not held.
pub const UNTOLD: &str = "the system does not tell how much memory was taken";

/// Says that `what` of this test program is skipped, and why. Many processes may do so at once: a line is a single write.
pub fn skip(what: &str, why: &str) {
    let line = format!("{}: {what}: {why}\n", env!("CARGO_CRATE_NAME"));
    write!(std::io::stderr(), "SKIPPED: {line}").expect("stderr takes a line");
    let list = OpenOptions::new().create(true).append(true).open(LIST);
    list.and_then(|mut list| list.write_all(line.as_bytes())).expect("the list of what is skipped takes a line");
}

/// Name of the test that runs, as the harness has it.
pub fn this_test() -> String {
    std::thread::current().name().unwrap_or("a test").to_string()
}

/// Whether the environment leaves out what needs a device; `what` is then skipped.
pub fn without_device(what: &str) -> bool {
    let skipped = std::env::var_os("LUPE_NO_GPU").is_some();
    if skipped {
        skip(what, "LUPE_NO_GPU is set");
    }
    skipped
}
