//! How weights and the networks compare: by names and shapes, without a device.

use super::{Network, all};
use crate::engine::{Graph, Problem, Scope};
use crate::error::Result;
use crate::weights::Weights;

/// Whether the weights belong to this network, ignoring its head; needs no device.
///
/// # Errors
/// [`Error::Weights`](crate::Error::Weights) listing everything missing, misshapen or foreign.
pub fn check(network: &Network, weights: &Weights) -> Result<()> {
    let graph = built(network, weights);
    graph.requested().check(&format!("{} as {}", weights.origin(), network.name), weights.tensors(), network.head)
}

/// The network at its own input size: shapes of weights may depend on it. A head without weights asks for none.
fn built(network: &Network, weights: &Weights) -> Graph {
    let graph = Graph::new();
    let [h, w] = network.input_size();
    (network.build)(graph.input("picture", [1, h, w, 3]), &Scope::new(&graph, weights.tensors()));
    graph
}

/// How weights and a network compare, ignoring its head.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The network.
    pub network: &'static Network,
    /// Weights that it asks for.
    pub wanted: usize,
    /// Everything missing, misshapen or foreign.
    pub problems: Vec<Problem>,
}

impl Comparison {
    /// Weights that are as the network needs them.
    pub fn right(&self) -> usize {
        let foreign = self.problems.iter().filter(|p| matches!(p, Problem::Foreign { .. })).count();
        self.wanted.saturating_sub(self.problems.len() - foreign)
    }
}

/// The network with the fewest problems, if these weights are anything like one: at least half of what it asks for is there in the
/// right shape, and that is at least half of what there is. Only names and shapes are looked at.
pub fn nearest(weights: &Weights) -> Option<Comparison> {
    let compare = |network: &'static Network| {
        let graph = built(network, weights);
        let requested = graph.requested();
        let wanted = requested.names().filter(|name| !network.is_head(name)).count();
        Comparison { network, wanted, problems: requested.problems(weights.tensors(), network.head) }
    };
    let alike = |c: &Comparison| {
        let there = weights.tensors().keys().filter(|k| !c.network.is_head(k)).count();
        2 * c.right() >= c.wanted && 2 * c.right() >= there
    };
    all().map(compare).filter(alike).min_by_key(|c| c.problems.len())
}

impl Network {
    fn is_head(&self, name: &str) -> bool {
        self.head.iter().any(|h| name.starts_with(h))
    }
}
