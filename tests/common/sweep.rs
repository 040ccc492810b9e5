//! Runs one candidate of one case and compares it with the reference.

use lupe::engine::probe::probe;
use lupe::engine::{Choice, Gpu};
use lupe::ops::Case;
use lupe::tensor::Tensor;
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
        let case = &cases[self.case];
        let shape = case.output()?;
        let small = shape.len() <= 20_000 && case.op.flops(&case.inputs, shape) <= 20_000_000;
        check(case, self.candidate, if small { &[false, true] } else { &[false] })
    }
}

/// Compares candidate `number` with the reference, in production modules and (`true`) in fully checked ones.
pub fn check(case: &Case, number: usize, modes: &[bool]) -> Result<(), String> {
    let inputs = case.tensors();
    let inputs: Vec<&Tensor> = inputs.iter().collect();
    let want = case.op.reference(&inputs, case.output()?);
    let mut seen: Vec<Vec<u32>> = vec![];
    for &checked in modes {
        let mode = if checked { "checked" } else { "production" };
        let got = probe(gpu(), &case.op, number, &inputs, checked).map_err(|e| format!("{mode}: {e}"))?;
        if let Some(first) = got.trespasses.first() {
            return Err(format!("{mode}: {first}"));
        }
        case.compare(&got.output, &want).map_err(|e| format!("{mode}: {e}"))?;
        seen.push(got.output.data.iter().map(|v| if v.is_nan() { u32::MAX } else { v.to_bits() }).collect());
    }
    if seen.windows(2).any(|w| w[0] != w[1]) { Err("production and checked modules disagree".into()) } else { Ok(()) }
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
            Part::Software => label.contains("software"),
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
        println!("there is no GL adapter here: the portable candidates are not run on GL");
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
