//! Other compilers, as programs, as many at a time as there are cores.

use crate::skip::{skip, this_test};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// A program that judges one file.
pub struct Tool {
    /// Its name on the PATH.
    pub name: &'static str,
    /// What stands before the file.
    pub args: &'static [&'static str],
    /// Extension of the file.
    pub extension: &'static str,
    /// The Debian package; where it is missing, a test run under `CI` fails. `None` where Debian has none.
    pub package: Option<&'static str>,
    /// How many files it takes at once: glslangValidator needs 40 ms to start and about 1 for a kernel.
    pub at_once: usize,
}

pub const SPIRV_VAL: Tool = Tool {
    name: "spirv-val",
    args: &["--target-env", "vulkan1.1"],
    extension: "spv",
    package: Some("spirv-tools"),
    at_once: 1,
};

pub const GLSLANG: Tool = Tool {
    name: "glslangValidator",
    args: &["-S", "comp"],
    extension: "comp",
    package: Some("glslang-tools"),
    at_once: 32,
};

pub const TINT: Tool = Tool { name: "tint", args: &["--format", "wgsl"], extension: "wgsl", package: None, at_once: 1 };

impl Tool {
    /// Whether it is there. Where it is not, the test is skipped, and fails where `CI` is set.
    pub fn is_here(&self) -> bool {
        let probe = Command::new(self.name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if probe.is_ok() {
            return true;
        }
        let hint = self.package.map_or(String::new(), |p| format!(" (Debian: {p})"));
        let must = self.package.is_some() && std::env::var_os("CI").is_some();
        assert!(!must, "{} is not on the PATH{hint}", self.name);
        skip(&this_test(), &format!("{} is not on the PATH{hint}", self.name));
        false
    }

    /// What it says against each of `files`; `None` where it accepts.
    pub fn judge(&self, files: &[Vec<u8>]) -> Vec<Option<String>> {
        let folder = tempfile::tempdir().expect("a folder for what is judged");
        let paths: Vec<PathBuf> =
            (0..files.len()).map(|i| folder.path().join(format!("{i}.{}", self.extension))).collect();
        for (path, file) in paths.iter().zip(files) {
            std::fs::write(path, file).expect("a file for what is judged");
        }
        let parts: Vec<&[PathBuf]> = paths.chunks(self.at_once).collect();
        let (next, said) = (AtomicUsize::new(0), Mutex::new(vec![vec![]; parts.len()]));
        let work = || {
            loop {
                let i = next.fetch_add(1, Ordering::Relaxed);
                let Some(part) = parts.get(i) else { break };
                let refusals = self.refusals(part);
                said.lock().unwrap_or_else(PoisonError::into_inner)[i] = refusals;
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..std::thread::available_parallelism().map_or(2, |n| n.get()) {
                scope.spawn(work);
            }
        });
        said.into_inner().unwrap_or_else(PoisonError::into_inner).concat()
    }

    /// What it says against each of files that it takes at once: each by itself, where it does not accept them all.
    fn refusals(&self, paths: &[PathBuf]) -> Vec<Option<String>> {
        match self.refusal(paths) {
            None => vec![None; paths.len()],
            Some(_) if paths.len() > 1 => paths.iter().map(|p| self.refusal(std::slice::from_ref(p))).collect(),
            refusal => vec![refusal],
        }
    }

    fn refusal(&self, paths: &[PathBuf]) -> Option<String> {
        let output = Command::new(self.name).args(self.args).args(paths).output().expect("the tool starts");
        let tail = |bytes: &[u8]| String::from_utf8_lossy(bytes).chars().take(2000).collect::<String>();
        (!output.status.success()).then(|| format!("{}{}", tail(&output.stderr), tail(&output.stdout)))
    }
}
