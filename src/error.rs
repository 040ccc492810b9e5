//! Everything that can go wrong, and the exit code of each.

/// The crate's result.
pub type Result<T> = std::result::Result<T, Error>;

/// Every failure Lupe reports. A panic is a bug in Lupe; everything else is one of these.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A flag or argument is invalid.
    #[error("{0}")]
    Usage(String),
    /// A picture or data set cannot be read or cannot be used.
    #[error("{0}")]
    Input(String),
    /// A weights or model file is not valid; every problem found is listed.
    #[error("{}", list(.0))]
    Weights(Vec<String>),
    /// No usable GPU adapter, driver or loader.
    #[error("{0}")]
    Adapter(String),
    /// The device was lost while working.
    #[error("the device was lost: {0}")]
    DeviceLost(String),
    /// More memory is needed than is available; both in bytes.
    #[error("this needs {} of device memory, but only {} may be used; use a smaller --batch or picture, or raise --limit-memory", bytes(*.need), bytes(*.have))]
    Memory {
        /// Bytes the work needs.
        need: u64,
        /// Bytes it may use.
        have: u64,
    },
    /// The driver reported that memory ran out.
    #[error("out of device memory: {0}")]
    OutOfMemory(String),
    /// A shape error in a graph, with the path of the node.
    #[error("shape error at {0}")]
    Shape(String),
    /// A shader cannot be composed or compiled, or breaks the rules when run.
    #[error("shader {name}: {message}")]
    Shader {
        /// Name of the shader file.
        name: String,
        /// What is wrong with it.
        message: String,
    },
    /// The GPU interface refused a call: a bug in Lupe.
    #[error("the GPU interface reported: {0}")]
    Gpu(String),
    /// Part of the program panicked: a bug in Lupe.
    #[error("{0}: this is a bug in Lupe; please report it")]
    Internal(String),
    /// A result is not a number, or a self-test failed.
    #[error("{0}")]
    Numeric(String),
    /// The user asked to stop.
    #[error("interrupted; {0}")]
    Interrupted(String),
    /// An output file cannot be written.
    #[error("{0}")]
    Output(String),
    /// The work was done, except for inputs that could not be read, as requested.
    #[error("{0}")]
    Partial(String),
    /// A measured value is worse than the required one.
    #[error("{0}")]
    Gate(String),
    /// A worker process ended with an error; its exit code is passed on.
    #[error("{said}")]
    Worker {
        /// Exit code; `None` if a signal ended it.
        code: Option<u8>,
        /// Its message.
        said: String,
    },
    /// Everything was done, and pictures are above the limit: an exit code of its own because that was requested.
    #[error("{0}")]
    Rejects(String),
}

/// The exit codes and their meanings. `lupe help exit-codes` prints this table.
pub const EXIT_CODES: [(u8, &str); 14] = [
    (0, "done"),
    (1, "rejects found (only with --exit-code)"),
    (2, "usage error: invalid flag or argument"),
    (3, "input cannot be read or used"),
    (4, "weights or model file invalid"),
    (5, "no usable device or loader"),
    (6, "device lost or out of memory"),
    (7, "result not finite, or self-test failed"),
    (8, "quality gate not met"),
    (9, "partly done (--keep-going)"),
    (10, "output cannot be written"),
    (70, "internal error (panic): a bug in Lupe"),
    (124, "timed out"),
    (130, "interrupted"),
];

impl Error {
    /// Every problem, each by itself.
    pub fn problems(self) -> Vec<String> {
        match self {
            Error::Weights(problems) => problems,
            other => vec![other.to_string()],
        }
    }

    /// The exit code of the process that ends with this error.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Rejects(_) => 1,
            Error::Usage(_) => 2,
            Error::Input(_) => 3,
            Error::Weights(_) => 4,
            Error::Adapter(_) => 5,
            Error::DeviceLost(_) | Error::Memory { .. } | Error::OutOfMemory(_) => 6,
            Error::Numeric(_) => 7,
            Error::Gate(_) => 8,
            Error::Worker { code, .. } => code.unwrap_or(70),
            Error::Partial(_) => 9,
            Error::Output(_) => 10,
            Error::Interrupted(_) => 130,
            Error::Shape(_) | Error::Shader { .. } | Error::Gpu(_) | Error::Internal(_) => 70,
        }
    }
}

/// Text from an untrusted file, with control characters escaped so that it cannot move the cursor.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { c.escape_default().collect() } else { String::from(c) }).collect()
}

/// One line per problem; they may contain names from files.
fn list(problems: &[String]) -> String {
    let lines: Vec<String> = problems.iter().map(|p| plain(p)).collect();
    match lines.as_slice() {
        [one] => one.clone(),
        many => format!("{} problems:\n  {}", many.len(), many.join("\n  ")),
    }
}

/// Bytes as people read them: `8.0 MiB (8388608 bytes)`.
fn bytes(n: u64) -> String {
    format!("{:.1} MiB ({n} bytes)", n as f64 / (1 << 20) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_a_documented_code() {
        let errors = [
            Error::Usage(String::new()),
            Error::Input(String::new()),
            Error::Weights(vec![]),
            Error::Adapter(String::new()),
            Error::Memory { need: 2, have: 1 },
            Error::Numeric(String::new()),
            Error::Output(String::new()),
            Error::Interrupted(String::new()),
            Error::Partial(String::new()),
            Error::Rejects(String::new()),
            Error::Gpu(String::new()),
            Error::Gate(String::new()),
            Error::Worker { code: None, said: String::new() },
        ];
        for e in errors {
            assert!(EXIT_CODES.iter().any(|&(c, _)| c == e.exit_code()), "{e:?}");
        }
    }

    #[test]
    fn names_from_files_cannot_steer_a_terminal() {
        let text = Error::Weights(vec!["a\u{1b}[2J\n\0ü".into(), "b".into()]).to_string();
        assert_eq!(text, "2 problems:\n  a\\u{1b}[2J\\n\\u{0}ü\n  b");
    }

    #[test]
    fn memory_says_need_and_have() {
        let text = Error::Memory { need: 9 << 20, have: 8 << 20 }.to_string();
        assert!(text.contains("9.0 MiB") && text.contains("8.0 MiB"), "{text}");
    }
}
