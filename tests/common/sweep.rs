//! The sweep of ops: its device, its candidates by number, and the runs that re-execute the test.

use super::check::Expected;
use super::orders::Orders;
use super::skip::skip;
use lupe::engine::gpu::Kind;
use lupe::engine::lower::candidates;
use lupe::engine::{Choice, Gpu};
use std::process::Command;
use std::sync::LazyLock;

/// The device of this test program. The software driver compiles kernels in the queue's own thread, one after another, so that two threads
/// of the sweep on one device take 1.05 of two cores: there, each thread, and so each test, has a device of its own.
pub fn gpu() -> &'static Gpu {
    static SHARED: LazyLock<Gpu> = LazyLock::new(open);
    thread_local!(static OWN: &'static Gpu = Box::leak(Box::new(open())));
    match SHARED.info.kind {
        Kind::Cpu => OWN.with(|gpu| *gpu),
        _ => &SHARED,
    }
}

fn open() -> Gpu {
    let choice: Choice = std::env::var("LUPE_TEST_DEVICE").unwrap_or("auto".into()).parse().unwrap();
    pollster::block_on(Gpu::new(&choice, None)).expect("a GPU adapter; LUPE_NO_GPU=1 skips what needs one")
}

/// What the candidates of this run gave.
pub static ORDERS: LazyLock<Orders> = LazyLock::new(Orders::default);

/// One candidate of one case, by numbers: what a thread can be given.
#[derive(Clone, Copy)]
pub struct Run {
    pub op: &'static str,
    pub case: usize,
    pub candidate: usize,
    /// Whether fully checked modules are compared, too.
    pub checked: bool,
}

impl Run {
    pub fn check(&self) -> Result<(), String> {
        let cases = lupe::ops::cases().into_iter().find(|c| c.0 == self.op).expect("the op exists").1;
        let (case, gpu) = (&cases[self.case], gpu());
        let expected = Expected::new(case).map_err(|e| e.to_string())?;
        let modes = if self.checked { expected.modes() } else { &[false] };
        let bits = expected.check(gpu, self.candidate, modes).map_err(|e| e.to_string())?;
        let kernels = candidates(&*case.op, &case.inputs, case.output()?, &gpu.caps).map_err(|e| e.to_string())?;
        let kernel = &kernels[self.candidate];
        match kernel.order {
            Some(_) => ORDERS.agree((self.op, self.case, kernel.order()), &kernel.label(), &bits),
            None => Ok(()),
        }
    }
}

/// Which candidates a run of the sweep looks at; the runs that re-execute the binary look at a part.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Everything, and the runs below.
    All,
    /// Everything, once.
    Once,
    /// The first candidates: what plans take.
    First,
    /// The portable candidates, which are the last.
    Portable,
}

impl Part {
    /// Numbers of the candidates of a case to look at.
    pub fn of(self, labels: &[String]) -> Vec<usize> {
        let all = 0..labels.len();
        match self {
            Part::All | Part::Once => all.collect(),
            Part::First => all.take(1).collect(),
            Part::Portable => all.rev().take(1).collect(),
        }
    }
}

/// The part that this process is told to look at.
pub fn part() -> Part {
    match std::env::var("LUPE_SWEEP").as_deref() {
        Ok("once") => Part::Once,
        Ok("first") => Part::First,
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
    again(if full() { "once" } else { "first" }, "LP_NATIVE_VECTOR_WIDTH", bits)
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
