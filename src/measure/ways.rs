//! All ways to run one kind of node, timed in turns.

use super::kinds::Kind;
use super::stats::median;
use super::tune::with_sums;
use crate::engine::lower::candidates;
use crate::engine::{Choices, Gpu, Graph, Kernel, Options, Plan, Store, Var};
use crate::error::{Error, Result};
use crate::tensor::Tensor;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Microseconds that all runs of a way may take together: one that takes longer is run less often, but at least once.
pub const BUDGET: f64 = 12e6;

/// The same for a way that takes [`FAR`] times as long as the default: it will not be chosen here.
pub const HOPELESS: f64 = 1e6;

/// From which factor on a way is hopeless.
pub const FAR: f64 = 5.0;

/// One way to run a kind.
#[derive(Clone, Debug)]
pub struct Way {
    /// The kernel's label.
    pub kernel: String,
    /// Microseconds in every run except the warm-up run.
    pub us: Vec<f64>,
    /// Floating-point operations of a run.
    pub flops: u64,
    /// Bytes that a run reads and writes at least.
    pub bytes: u64,
}

/// Runs `kind` with its first, second, … candidate in turns, `repeats` times after one warm-up turn. The first is the default; those that
/// this adapter cannot run at these shapes are left out.
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
        // Twins differ in forms alone, and a plan takes the one that suits it.
        if ways.iter().any(|way: &Way| way.kernel == kernel.label()) {
            continue;
        }
        let (plan, at, way) = planned(gpu, (&graph, y), &store, kind, &kernel).await?;
        plans.push((plan, at));
        ways.push(way);
    }
    for turn in 0..=repeats {
        let default = ways.first().map_or(0.0, |way| median(&way.us));
        for ((plan, at), way) in plans.iter().zip(&mut ways) {
            if way.us.len() < wanted(median(&way.us), default, repeats) {
                let timed = plan.run_timed(&inputs).await?;
                let nodes = with_sums(plan.facts().zip(timed.ns));
                // A warm-up run that exceeds the budget by itself remains the only one.
                way.us.extend(nodes.get(*at).map(|(_, ns)| ns / 1e3).filter(|&us| turn > 0 || us > BUDGET));
            }
        }
    }
    Ok(ways)
}

/// A plan of the kind with this kernel, which of its dispatches that is, sums of parts not counted, and its facts.
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
    let facts = with_sums(plan.facts().map(|f| (f, f.bytes as f64)));
    let found = facts.iter().enumerate().find(|(_, (f, _))| f.key == kind.key && f.kernel == label);
    let Some((at, (fact, bytes))) = found else {
        let message = format!("it is not in the plan that was made for it, of {}", kind.key);
        return Err(Error::Shader { name: label, message });
    };
    let way = Way { kernel: label, us: vec![], flops: fact.flops, bytes: *bytes as u64 };
    Ok((plan, at, way))
}

/// How many runs to make of a way that takes `us` per run if the default takes `default`; 0 means not known yet.
fn wanted(us: f64, default: f64, repeats: usize) -> usize {
    let budget = if us > FAR * default { HOPELESS } else { BUDGET };
    if us * repeats as f64 <= budget { repeats } else { ((budget / us) as usize).max(1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_long_is_run_less_often() {
        assert_eq!(
            (wanted(0.0, 0.0, 20), wanted(5e5, 5e5, 20), wanted(2e6, 1e6, 20), wanted(9e7, 9e7, 20)),
            (20, 20, 6, 1)
        );
        assert_eq!((wanted(4e5, 1e5, 20), wanted(6e5, 1e5, 20), wanted(600.0, 100.0, 20)), (20, 1, 20));
    }
}
