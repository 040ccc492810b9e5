//! The sweep of ops: its device, its candidates by number, and the runs that re-execute the test.

use super::check::Expected;
use super::skip::skip;
use lupe::engine::{Choice, Gpu};
use std::process::Command;
use std::sync::OnceLock;

/// The device of this test binary.
pub fn gpu() -> &'static Gpu {
    static GPU: OnceLock<Gpu> = OnceLock::new();
    GPU.get_or_init(|| {
        let choice: Choice = std::env::var("LUPE_TEST_DEVICE").unwrap_or("auto".into()).parse().unwrap();
        pollster::block_on(Gpu::new(&choice, None)).expect("a GPU adapter; LUPE_NO_GPU=1 skips what needs one")
    })
}

/// One candidate of one case, by numbers: what a thread can be given.
#[derive(Clone, Copy)]
pub struct Run {
    pub op: &'static str,
    pub case: usize,
    pub candidate: usize,
}

impl Run {
    pub fn check(&self) -> Result<(), String> {
        let cases = lupe::ops::cases().into_iter().find(|c| c.0 == self.op).expect("the op exists").1;
        let expected = Expected::new(&cases[self.case]).map_err(|e| e.to_string())?;
        expected.check(gpu(), self.candidate, expected.modes()).map_err(|e| e.to_string())
    }
}

/// Which candidates a run of the sweep looks at; the runs that re-execute the binary look at a part.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Everything, and the runs below.
    All,
    /// Everything, once.
    Once,
    /// The software family.
    Software,
    /// The portable candidates.
    Portable,
}

impl Part {
    pub fn has(self, label: &str, last: bool) -> bool {
        match self {
            Part::All | Part::Once => true,
            Part::Software => label.contains("software") || label.contains("depthwise_blocks"),
            Part::Portable => last,
        }
    }
}

/// The part that this process is told to look at.
pub fn part() -> Part {
    match std::env::var("LUPE_SWEEP").as_deref() {
        Ok("once") => Part::Once,
        Ok("software") => Part::Software,
        Ok("portable") => Part::Portable,
        _ => Part::All,
    }
}

/// Whether the long sweeps are wanted (`make test-full`).
pub fn full() -> bool {
    std::env::var_os("LUPE_FULL").is_some()
}

/// Runs this test binary again with the software driver at another vector width, which is another subgroup size.
pub fn again_at_width(bits: &str) -> Result<(), String> {
    again(if full() { "once" } else { "software" }, "LP_NATIVE_VECTOR_WIDTH", bits)
}

/// Runs the portable candidates on GL, where there is such an adapter.
pub fn again_on_gl() -> Result<(), String> {
    if pollster::block_on(lupe::engine::gpu::adapters(Some("gl"))).is_empty() {
        skip("portable_candidates_on_gl", "there is no GL adapter here");
        return Ok(());
    }
    again("portable", "LUPE_TEST_DEVICE", "gl:")
}

fn again(part: &str, variable: &str, value: &str) -> Result<(), String> {
    let this = std::env::current_exe().map_err(|e| e.to_string())?;
    let output = Command::new(this).env("LUPE_SWEEP", part).env(variable, value).output();
    let output = output.map_err(|e| e.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    let ran = text.contains("test result: ok") && !text.contains(" 0 passed");
    if output.status.success() && ran { Ok(()) } else { Err(format!("{variable}={value}:\n{text}")) }
}
