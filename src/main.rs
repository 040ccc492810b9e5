//! The `lupe` binary: parses, runs, and ends with a documented exit code.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(lupe::cli::main())
}
