//! All ways to run one kind of node, timed in turns.

use super::kinds::Kind;
use super::stats::median;
use crate::engine::lower::candidates;
use crate::engine::{Choices, Gpu, Graph, Kernel, Options, Plan, Store, Var};
use crate::error::{Error, Result};
use crate::tensor::Tensor;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A way that takes longer than so many microseconds is measured [`FEW`] times.
pub const SLOW: f64 = 2e6;

/// How often, after one run to warm up.
pub const FEW: usize = 3;

/// One way to run a kind.
#[derive(Clone, Debug)]
pub struct Way {
    /// The kernel's label.
    pub kernel: String,
    /// Microseconds in every run but the first.
    pub us: Vec<f64>,
    /// Floating-point operations of a run.
    pub flops: u64,
    /// Bytes that a run reads and writes at least.
    pub bytes: u64,
}

/// Runs `kind` with its first, second, … candidate in turns, `repeats` times after one turn to warm up. The first is the default; what
/// this adapter cannot run at these shapes is not there.
///
/// # Errors
/// As [`Plan::new`] and [`Plan::run`]; [`Error::Shape`] for a kind that [`super::kinds::fill`] has not filled.
pub async fn time(gpu: &Gpu, kind: &Kind, repeats: usize) -> Result<Vec<Way>> {
    let (graph, store) = (Graph::new(), Store::new());
    let (mut vars, mut inputs): (Vec<Var>, Vec<&Tensor>) = (vec![], vec![]);
    for (i, given) in kind.inputs.iter().enumerate() {
        let values = given.values.as_ref().ok_or_else(|| Error::Shape(format!("{}: input {i} is empty", kind.node)))?;
        vars.push(match given.constant {
            true => graph.weight(&format!("weights.{i}"), values.clone()),
            false => graph.input("x", given.shape),
        });
        inputs.extend((!given.constant).then_some(&**values));
    }
    let y = graph.node(kind.computes.clone(), &vars);
    let (mut plans, mut ways) = (vec![], vec![]);
    for kernel in candidates(&*kind.computes, &kind.shapes(), kind.shape, &gpu.caps)? {
        let (plan, at, way) = planned(gpu, (&graph, y), &store, kind, &kernel).await?;
        plans.push((plan, at));
        ways.push(way);
    }
    for turn in 0..=repeats {
        for ((plan, at), way) in plans.iter().zip(&mut ways).filter(|(_, way)| way.us.len() < wanted(&way.us, repeats))
        {
            let timed = plan.run_timed(&inputs).await?;
            way.us.extend(timed.ns.get(*at).filter(|_| turn > 0).map(|ns| ns / 1e3));
        }
    }
    Ok(ways)
}

/// A plan of the kind with this kernel, which of its dispatches that is, and what is known of it.
async fn planned<'g>(
    gpu: &'g Gpu,
    (graph, y): (&Graph, Var<'_>),
    store: &Store,
    kind: &Kind,
    kernel: &Kernel,
) -> Result<(Plan<'g>, usize, Way)> {
    let label = kernel.label();
    let choices = Choices::Table(Arc::new(BTreeMap::from([(kind.key.clone(), label.clone())])));
    let plan = Plan::new(gpu, graph, &[y], store, Options { choices, ..Options::default() }).await?;
    let found = plan.facts().enumerate().find(|(_, f)| f.key == kind.key && f.kernel == label);
    let Some((at, fact)) = found else {
        let message = format!("it is not in the plan that was made for it, of {}", kind.key);
        return Err(Error::Shader { name: label, message });
    };
    let way = Way { kernel: label, us: vec![], flops: fact.flops, bytes: fact.bytes };
    Ok((plan, at, way))
}

/// How many runs are wanted of a way that took so long so far.
fn wanted(us: &[f64], repeats: usize) -> usize {
    if median(us) > SLOW { repeats.min(FEW) } else { repeats }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_slow_is_run_a_few_times() {
        assert_eq!((wanted(&[], 20), wanted(&[SLOW, 1.0], 20), wanted(&[SLOW + 1.0], 20)), (20, 20, FEW));
        assert_eq!((wanted(&[SLOW + 1.0], 2), wanted(&[1.0, 1.0, 3.0 * SLOW], 20)), (2, 20));
    }
}
