//! Everything that can go wrong, and the exit code of each.

use std::path::Path;

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
    #[error("{}", memory(*.need, *.have, *.bound, *.batch))]
    Memory {
        /// Bytes the work needs.
        need: u64,
        /// Bytes it may use.
        have: u64,
        /// What allows no more.
        bound: MemoryBound,
        /// Whether several pictures a run were asked for, so that fewer of them need less.
        batch: bool,
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
    /// Part of the work took longer than it may.
    #[error("{0}")]
    TimedOut(String),
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

/// What bounds device memory: each is lifted in another way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryBound {
    /// The limit that was asked for.
    Limit,
    /// What this machine has free, where the device is its processor and no limit was asked for.
    Free,
    /// What the device binds to a kernel at a time.
    Binding,
    /// The device's largest buffer or image.
    Buffer,
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
    /// The same error, with what the library does not know: whether a limit was asked for, and whether several pictures a run were.
    pub fn with_flags(self, limited: bool, several: bool) -> Error {
        match self {
            Error::Memory { need, have, bound: MemoryBound::Limit, .. } if !limited => {
                Error::Memory { need, have, bound: MemoryBound::Free, batch: several }
            }
            Error::Memory { need, have, bound, .. } => Error::Memory { need, have, bound, batch: several },
            other => other,
        }
    }

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
            Error::TimedOut(_) => 124,
            Error::Interrupted(_) => 130,
            Error::Shape(_) | Error::Shader { .. } | Error::Gpu(_) | Error::Internal(_) => 70,
        }
    }
}

/// Whether a character is none to be seen but moves others: a control character, or one that turns the direction of writing.
fn misleads(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Text from an untrusted file, with control characters escaped so that it cannot move the cursor.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if misleads(c) { c.escape_default().collect() } else { String::from(c) }).collect()
}

/// A path as messages show it: on one line, whatever its name is.
pub fn shown(path: &Path) -> String {
    plain(&path.to_string_lossy())
}

/// A message of several lines, with all other control characters escaped; in JSON, which has escaped the others itself, the escapes of
/// those from U+007F on mean the same characters.
pub fn lines(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\t' => String::from(c),
        '\u{7f}'.. if misleads(c) => format!("\\u{:04x}", u32::from(c)),
        _ if c.is_control() => c.escape_default().collect(),
        _ => String::from(c),
    };
    text.chars().map(shown).collect()
}

/// One line per problem; they may contain names from files.
fn list(problems: &[String]) -> String {
    let lines: Vec<String> = problems.iter().map(|p| plain(p)).collect();
    match lines.as_slice() {
        [one] => one.clone(),
        many => format!("{} problems:\n  {}", many.len(), many.join("\n  ")),
    }
}

/// What is needed, what bounds it, and what lifts this bound: no other advice helps.
fn memory(need: u64, have: u64, bound: MemoryBound, batch: bool) -> String {
    let fewer = if batch { ", or use a smaller --batch" } else { "" };
    let [needs, has] = [bytes(need), bytes(have)];
    match bound {
        MemoryBound::Limit => format!(
            "this needs {needs} of device memory, but --limit-memory allows {has}; raise it to at least {}{fewer}",
            size(need)
        ),
        MemoryBound::Free => format!(
            "this needs {needs} of memory, but this machine has {has} free; end other programs, or set --limit-memory \
             yourself to at least {}{fewer}",
            size(need)
        ),
        MemoryBound::Binding | MemoryBound::Buffer => format!(
            "a tensor of this run needs {needs}, but the device takes at most {has} in one {}, which no flag changes; use \
             a smaller --size or another --device{fewer}",
            if bound == MemoryBound::Binding { "binding" } else { "buffer" }
        ),
    }
}

/// Bytes as flags take them, rounded up: `12M`, `704K`.
pub fn size(n: u64) -> String {
    if n >= 10 << 20 { format!("{}M", n.div_ceil(1 << 20)) } else { format!("{}K", n.div_ceil(1 << 10)) }
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
            Error::Memory { need: 2, have: 1, bound: MemoryBound::Limit, batch: false },
            Error::TimedOut(String::new()),
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
    fn fault_12_each_bound_on_memory_has_its_own_advice() {
        let told = |bound, limited, several| {
            Error::Memory { need: 9 << 20, have: 8 << 20, bound, batch: false }.with_flags(limited, several).to_string()
        };
        let all = [(MemoryBound::Limit, true), (MemoryBound::Limit, false), (MemoryBound::Binding, true)];
        for (bound, limited) in all {
            let text = told(bound, limited, false);
            assert!(text.contains("9.0 MiB") && text.contains("8.0 MiB") && !text.contains("--batch"), "{text}");
            assert!(told(bound, limited, true).ends_with(", or use a smaller --batch"));
        }
        assert!(told(MemoryBound::Limit, true, false).ends_with("raise it to at least 9216K"));
        assert!(told(MemoryBound::Limit, false, false).contains("8.0 MiB (8388608 bytes) free"));
        let device = told(MemoryBound::Binding, true, false);
        assert!(device.contains("in one binding") && !device.contains("--limit-memory"), "{device}");
    }

    #[test]
    fn fault_18_messages_keep_their_lines_and_nothing_else() {
        assert_eq!(lines("a\n  b\u{1b}[2J\r"), "a\n  b\\u{1b}[2J\\r");
        assert_eq!(lines("\"a\u{85}ä\""), "\"a\\u0085ä\"", "JSON stays JSON");
        assert_eq!(shown(Path::new("a\nb\u{1b}.png")), "a\\nb\\u{1b}.png");
    }
}
