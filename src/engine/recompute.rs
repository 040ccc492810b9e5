//! Recomputation: what a backward pass reads of the forward one, computed a second time instead of kept (Chen et al. 2016, arXiv 1604.06174).
//!
//! The forward pass is cut into segments where little passes from one to the next. What passes a cut is kept, and so is all of the last
//! segment, whose backward pass follows at once; of the others everything is computed again from there, by the same ops on the same values, when
//! their turn comes.

use super::graph::{Graph, Node, Source, Var, live};
use std::ops::Range;

/// The values of a forward pass, as its backward pass reads them.
pub(super) struct Recompute<'n, 'g> {
    graph: &'g Graph,
    nodes: &'n [Node],
    kept: Vec<bool>,
    again: Vec<Option<Var<'g>>>,
}

impl<'n, 'g> Recompute<'n, 'g> {
    /// Of a forward pass that ends with node `last`, in so many segments; in one, everything is kept.
    pub fn new(graph: &'g Graph, nodes: &'n [Node], last: usize, segments: usize) -> Recompute<'n, 'g> {
        Recompute { graph, nodes, kept: kept(nodes, last, segments), again: vec![None; nodes.len()] }
    }

    /// The value of node `i`: the one that is kept, or the one that is computed again, whose node is appended when it is first asked for.
    pub fn value(&mut self, i: usize) -> Var<'g> {
        if self.kept[i] {
            return self.graph.var(i);
        }
        if let Some(again) = self.again[i] {
            return again;
        }
        let inputs = self.nodes[i].inputs.iter().map(|&k| self.value(k).id()).collect();
        let label = format!("{} again", self.nodes[i].label);
        let again = self.graph.push(Node { inputs, label, ..self.nodes[i].clone() });
        self.again[i] = Some(again);
        again
    }
}

/// Which values of a forward pass that ends with node `last` are kept.
fn kept(nodes: &[Node], last: usize, segments: usize) -> Vec<bool> {
    let reach = reach(nodes, last);
    let cuts = cuts(nodes, &reach, segments);
    let begins = cuts.last().map_or(0, |cut| cut + 1);
    let passes = |i: usize| cuts.iter().any(|&cut| i <= cut && cut < reach[i]);
    (0..nodes.len()).map(|i| i >= begins || !varies(nodes, i) || passes(i)).collect()
}

/// The last node up to `last` that reads each one; itself where none does.
fn reach(nodes: &[Node], last: usize) -> Vec<usize> {
    let live = live(nodes, &[last]);
    let mut reach: Vec<usize> = (0..nodes.len()).collect();
    for i in (0..=last).filter(|&i| live[i]) {
        for &k in &nodes[i].inputs {
            reach[k] = reach[k].max(i);
        }
    }
    reach
}

/// Whether a node's value is computed, or a view of what is.
fn varies(nodes: &[Node], mut i: usize) -> bool {
    while let (Source::View { .. }, Some(&of)) = (&nodes[i].source, nodes[i].inputs.first()) {
        i = of;
    }
    matches!(nodes[i].source, Source::Op(_))
}

/// The nodes after which the forward pass is cut: each near the end of an equal share of all that it computes, where least passes.
fn cuts(nodes: &[Node], reach: &[usize], segments: usize) -> Vec<usize> {
    let computes = |i: &usize| reach[*i] > *i && matches!(nodes[*i].source, Source::Op(_));
    let places: Vec<usize> = (0..nodes.len()).filter(computes).collect();
    let size = |i: usize| nodes[i].shape.len() as u64;
    let sums: Vec<u64> = places.iter().scan(0, |sum, &i| Some(*sum + size(i)).inspect(|s| *sum = *s)).collect();
    let all = sums.last().copied().unwrap_or(0);
    let near = |share: u64| -> Range<usize> {
        let twice = 2 * segments.max(1) as u64;
        let [from, to] = [2 * share - 1, 2 * share + 1].map(|at| sums.partition_point(|&s| s * twice < at * all));
        from..to
    };
    let passing = |at: usize| -> u64 {
        let cut = places[at];
        (0..=cut).filter(|&i| reach[i] > cut && varies(nodes, i)).map(size).sum()
    };
    let away = |at: usize, share: u64| (sums[at] * segments as u64).abs_diff(share * all);
    let cut = |share: u64| near(share).min_by_key(|&at| (passing(at), away(at, share))).map(|at| places[at]);
    let mut cuts: Vec<usize> = (1..segments as u64).filter_map(cut).collect();
    cuts.dedup();
    cuts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Tensor;

    /// Six wide layers between narrow ones, in a row.
    fn chain(graph: &Graph) -> Var<'_> {
        let weight = |name: String, k, n| graph.weight(&name, Tensor::zeros([k, n]).into());
        let mut x = graph.input("x", [3, 2]).relu();
        for i in 0..6 {
            x = x.matmul(weight(format!("up{i}"), 2, 50)).exp().matmul(weight(format!("down{i}"), 50, 2));
        }
        x.reshape([1, 6]).sum()
    }

    #[test]
    fn cuts_are_where_little_passes() {
        let graph = Graph::new();
        let loss = chain(&graph);
        let nodes = graph.nodes().unwrap();
        for segments in [2, 3, 6] {
            let cuts = cuts(&nodes, &reach(&nodes, loss.id()), segments);
            assert_eq!(cuts.len(), segments - 1, "{segments}");
            assert!(cuts.iter().all(|&cut| nodes[cut].shape.len() == 6), "{segments}: {cuts:?}");
        }
        assert!(kept(&nodes, loss.id(), 1).iter().all(|k| *k));
        assert!(cuts(&nodes, &reach(&nodes, loss.id()), 1000).len() < nodes.len());
    }

    #[test]
    fn what_is_kept_is_found_and_all_else_is_computed_again() {
        let graph = Graph::new();
        let loss = chain(&graph);
        let nodes = graph.nodes().unwrap();
        let mut values = Recompute::new(&graph, &nodes, loss.id(), 3);
        let wide = |i: &usize| nodes[*i].shape.len() == 150;
        let (again, kept): (Vec<usize>, Vec<usize>) =
            (0..nodes.len()).filter(wide).partition(|&i| values.value(i).id() != i);
        assert_eq!((again.len(), kept.len()), (8, 4), "two of three segments are computed again");
        let one = values.value(again[3]);
        assert_eq!(one.id(), values.value(again[3]).id(), "once");
        assert_eq!(one.shape(), nodes[again[3]].shape);
    }
}
