//! The adapter's ceilings: a copy and multiply-adds, each by the kernel that is fastest here.

use super::stats::{median, spread};
use crate::engine::{Choices, Family, Gpu, Graph, Options, Plan, Store, Var, probe};
use crate::error::Result;
use crate::tensor::{Shape, Tensor};
use serde::{Deserialize, Serialize};

/// Number of runs behind a ceiling.
pub const REPEATS: usize = 5;

/// Runs further apart than this share of their median make a ceiling noisy.
pub const NOISY: f64 = 0.15;

/// The most that is reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ceiling {
    /// Median of the runs, in units per nanosecond: GB/s or GFLOP/s.
    pub rate: f64,
    /// How far apart they are, as a share of the median.
    pub spread: f64,
    /// Whether that is too far apart to rely on.
    pub noisy: bool,
    /// The kernel that reached it.
    pub kernel: String,
}

/// Both ceilings of an adapter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ceilings {
    /// Bytes read and written by a copy, GB/s.
    pub copy: Ceiling,
    /// Multiply-adds, counted as two, GFLOP/s.
    pub arithmetic: Ceiling,
}

impl Ceilings {
    /// Which ceiling limits so many operations and bytes in `us` microseconds, and what share of it is reached: arithmetic to the
    /// right of the ridge, memory to its left.
    pub fn share(&self, flops: u64, bytes: u64, us: f64) -> (&'static str, f64) {
        let (us, ridge) = (us.max(1e-6), self.arithmetic.rate / self.copy.rate);
        match flops as f64 > ridge * bytes as f64 {
            true => ("arithmetic", flops as f64 / us / 1e3 / self.arithmetic.rate),
            false => ("memory", bytes as f64 / us / 1e3 / self.copy.rate),
        }
    }
}

/// The ceiling that these runs of a kernel show.
pub fn ceiling(kernel: &str, rates: &[f64]) -> Ceiling {
    let spread = spread(rates);
    Ceiling { rate: median(rates), spread, noisy: spread > NOISY, kernel: kernel.into() }
}

/// Measures both, every candidate [`REPEATS`] times after one warm-up run; the best median counts.
///
/// # Errors
/// As [`Plan::new`] and [`Plan::run`].
pub async fn measure(gpu: &Gpu, limit_memory: Option<u64>) -> Result<Ceilings> {
    // Larger than caches, and an image within base limits; a processor needs less arithmetic to show what it can do.
    let software = gpu.caps.family == Family::Software;
    let (height, rounds) = if software { (1024, 128) } else { (2048, 4096) };
    let copy = best(gpu, limit_memory, Shape::from([1, height, 1024, 16]), &|x| x.copied()).await?;
    let arithmetic = best(gpu, limit_memory, Shape::from([1 << 18, 4]), &|x| x.fma_chains(rounds)).await?;
    Ok(Ceilings { copy, arithmetic })
}

async fn best(
    gpu: &Gpu,
    limit_memory: Option<u64>,
    shape: Shape,
    work: &dyn for<'a> Fn(Var<'a>) -> Var<'a>,
) -> Result<Ceiling> {
    let graph = Graph::new();
    let y = work(graph.input("x", shape));
    let mut found: Option<Ceiling> = None;
    for label in labels(gpu, &graph, y)? {
        let options = Options { limit_memory, choices: Choices::Named(label.clone()) };
        let plan = Plan::new(gpu, &graph, &[y], &Store::new(), options).await?;
        let x = Tensor::from_fn(shape, |i| (i % 255) as f32 / 256.0);
        let mut rates = vec![];
        for _ in 0..=REPEATS {
            let timed = plan.run_timed(&[&x]).await?;
            let step = plan.facts().zip(timed.ns).find(|(f, _)| f.kernel == label);
            rates.extend(step.map(|(f, ns)| if f.flops > 0 { f.flops as f64 / ns } else { f.bytes as f64 / ns }));
        }
        let seen = ceiling(&label, rates.get(1..).unwrap_or_default());
        if found.as_ref().is_none_or(|best| seen.rate > best.rate) {
            found = Some(seen);
        }
    }
    Ok(found.unwrap_or_else(|| ceiling("none", &[])))
}

fn labels(gpu: &Gpu, graph: &Graph, y: Var) -> Result<Vec<String>> {
    use crate::engine::graph::Source;
    let nodes = graph.nodes()?;
    let Some(Source::Op(op)) = nodes.get(y.id()).map(|n| n.source.clone()) else { return Ok(vec![]) };
    probe::labels(gpu, &*op, &[y.shape()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_that_lie_apart_are_called_noisy() {
        let calm = ceiling("k", &[100.0, 104.0, 98.0, 101.0, 99.0]);
        assert_eq!((calm.rate, calm.noisy), (100.0, false));
        assert!(!ceiling("k", &[100.0, 115.0, 101.0, 100.0, 100.0]).noisy);
        let noisy = ceiling("k", &[100.0, 116.0, 101.0, 100.0, 100.0]);
        assert!(noisy.noisy && (noisy.spread - 0.16).abs() < 1e-12);
    }
}
