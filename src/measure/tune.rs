//! Which candidate of every node is fastest on this adapter, among those that may stand in for the default.

use super::stats::{median, spread};
use crate::engine::choices::key;
use crate::engine::lower::{Role, lower};
use crate::engine::plan::Fact;
use crate::engine::{Choices, Gpu, Graph, Kernel, Op, Options, Plan, Store, Var};
use crate::error::Result;
use crate::tensor::{Shape, Tensor};
use serde::Serialize;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A candidate is preferred to the default if it takes at most this share of its time: a smaller gain is noise.
pub const WORTH: f64 = 0.97;

/// One way to run a node.
#[derive(Clone, Debug, Serialize)]
pub struct Candidate {
    /// Its label.
    pub label: String,
    /// Whether it sums in the default's order, so that no bit of the result changes.
    pub same_order: bool,
    /// Microseconds in every run.
    #[serde(skip)]
    pub runs: Vec<f64>,
    /// Their median.
    pub us: f64,
    /// How far apart they are, as a share of the median.
    pub spread: f64,
}

/// A node that has a choice; the default is its first candidate.
#[derive(Clone, Debug, Serialize)]
pub struct Tuning {
    /// Op and shapes without the batch.
    pub key: String,
    /// Path of the weights, or name of the op, of the first such node.
    pub node: String,
    /// How many there are.
    pub calls: usize,
    /// Its candidates.
    pub candidates: Vec<Candidate>,
    /// Number of the one that is chosen.
    pub chosen: usize,
}

/// Runs `outputs` of `graph` with the first, second, … candidate of every node in turns, `repeats` times after one warm-up round, and
/// chooses. Without `fast` only candidates of the default's order of summation are tried; with it, all that read and write the same forms.
///
/// # Errors
/// As [`Plan::new`] and [`Plan::run`], and whatever `progress` returns; it is called in every round.
pub async fn tune(
    gpu: &Gpu,
    (graph, outputs): (&Graph, &[Var<'_>]),
    inputs: &[&Tensor],
    limit_memory: Option<u64>,
    (repeats, fast): (usize, bool),
    progress: &mut dyn FnMut(usize) -> Result<()>,
) -> Result<Vec<Tuning>> {
    let mut nodes = offered(gpu, graph, outputs, fast)?;
    let most = nodes.iter().map(|n| n.candidates.len()).max().unwrap_or(0);
    let (store, mut plans) = (Store::new(), vec![]);
    for number in 0..most {
        let choices = Choices::Table(Arc::new(labels(&nodes, |n| number.min(n.candidates.len() - 1))));
        plans.push(Plan::new(gpu, graph, outputs, &store, Options { limit_memory, choices }).await?);
    }
    for round in 0..=repeats {
        for plan in &plans {
            let timed = plan.run_timed(inputs).await?;
            for (fact, ns) in with_sums(plan.facts().zip(timed.ns)).into_iter().filter(|_| round > 0) {
                let node = nodes.iter_mut().find(|n| n.key == fact.key);
                let candidate = node.and_then(|n| n.candidates.iter_mut().find(|c| c.label == fact.kernel));
                candidate.into_iter().for_each(|c| c.runs.push(ns / 1e3));
            }
        }
        progress(round)?;
    }
    nodes.iter_mut().for_each(choose);
    Ok(nodes)
}

/// Dispatches and their times; adding up a node's parts counts towards the node.
pub(super) fn with_sums<'p>(dispatches: impl Iterator<Item = (&'p Fact, f64)>) -> Vec<(&'p Fact, f64)> {
    let mut nodes: Vec<(&Fact, f64)> = vec![];
    for (fact, ns) in dispatches {
        match nodes.last_mut() {
            Some(node) if fact.role == Role::Sum => node.1 += ns,
            _ => nodes.push((fact, ns)),
        }
    }
    nodes
}

/// Labels by key, as plans read them; `which` gives the number of a node's candidate.
pub fn labels(nodes: &[Tuning], which: impl Fn(&Tuning) -> usize) -> BTreeMap<String, String> {
    nodes.iter().filter_map(|n| Some((n.key.clone(), n.candidates.get(which(n))?.label.clone()))).collect()
}

/// Nodes with a choice, each once.
fn offered(gpu: &Gpu, graph: &Graph, outputs: &[Var<'_>], fast: bool) -> Result<Vec<Tuning>> {
    let lists: RefCell<BTreeMap<String, Vec<Candidate>>> = RefCell::default();
    let pick = |op: &dyn Op, x: &[Shape], y: Shape, kernels: &[Kernel]| {
        lists.borrow_mut().entry(key(op, x, y)).or_insert_with(|| allowed(kernels, fast));
        0
    };
    let ids: Vec<usize> = outputs.iter().map(Var::id).collect();
    let lowered = lower(graph.nodes()?, &ids, &gpu.caps, &pick)?;
    let mut nodes: Vec<Tuning> = vec![];
    for step in lowered.steps.iter().filter(|s| s.role == Role::Node && lowered.values[s.output].constant.is_none()) {
        match nodes.iter_mut().find(|n| n.key == step.key) {
            Some(known) => known.calls += 1,
            None => {
                let candidates = lists.borrow().get(&step.key).cloned().unwrap_or_default();
                let (key, node) = (step.key.clone(), step.label.clone());
                nodes.push(Tuning { key, node, calls: 1, candidates, chosen: 0 });
            }
        }
    }
    nodes.retain(|n| n.candidates.len() > 1);
    Ok(nodes)
}

fn allowed(kernels: &[Kernel], fast: bool) -> Vec<Candidate> {
    let Some(default) = kernels.first() else { return vec![] };
    let forms = |k: &Kernel| (k.writes, k.reads.iter().map(|r| r.1).collect::<Vec<_>>());
    let same = |k: &Kernel| k.order() == default.order();
    let fits = |k: &&Kernel| forms(k) == forms(default) && (fast || same(k));
    let candidate =
        |k: &Kernel| Candidate { label: k.label(), same_order: same(k), runs: vec![], us: 0.0, spread: 0.0 };
    kernels.iter().filter(fits).map(candidate).collect()
}

fn choose(node: &mut Tuning) {
    for c in &mut node.candidates {
        (c.us, c.spread) = (median(&c.runs), spread(&c.runs));
    }
    let default = node.candidates.first().map_or(0.0, |c| c.us);
    let timed = node.candidates.iter().enumerate().filter(|(_, c)| !c.runs.is_empty());
    let fastest = timed.min_by(|a, b| a.1.us.total_cmp(&b.1.us));
    node.chosen = fastest.filter(|(_, c)| c.us <= WORTH * default).map_or(0, |(i, _)| i);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_stays_unless_another_is_worth_it() {
        let candidate = |us: f64| Candidate {
            label: format!("{us}"),
            same_order: true,
            runs: vec![us, us * 1.1, us * 0.9],
            us: 0.0,
            spread: 0.0,
        };
        let chosen = |times: &[f64]| {
            let candidates = times.iter().map(|us| candidate(*us)).collect();
            let mut node = Tuning { key: "k".into(), node: "n".into(), calls: 1, candidates, chosen: 9 };
            choose(&mut node);
            node.chosen
        };
        assert_eq!((chosen(&[100.0, 98.0, 120.0]), chosen(&[100.0, 96.0, 90.0]), chosen(&[50.0])), (0, 2, 0));
    }
}
