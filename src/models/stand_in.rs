//! Random weights for measuring or checking a network when none are given: times do not depend on values, and references
//! work with any.

use super::Network;
use crate::engine::graph::{Node, Source};
use crate::engine::{Graph, Named, Scope};
use crate::random;
use crate::tensor::Tensor;
use crate::weights::Weights;
use std::collections::BTreeSet;

/// All weights of `network`, its head included, batch norms folded: uniform in ±sqrt(6 / fan in), so that no stage fades or
/// overflows, biases in ±0.1; drawn by splitmix64 from name and place, the same everywhere.
pub fn weights(network: &Network) -> Weights {
    let (graph, none) = (Graph::new(), Named::new());
    let [h, w] = network.input_size();
    network.build(graph.input("picture", [1, h, w, 3]), &Scope::new(&graph, &none));
    let asked: BTreeSet<String> = graph.requested().names().collect();
    let mut nodes = graph.nodes().unwrap_or_default();
    // Others are constants of the network's own, such as the matrices of its positions.
    nodes.retain(|n| asked.contains(&n.label));
    weights_of(nodes)
}

/// All weights among `nodes`, drawn as those of [`weights`].
pub fn weights_of(nodes: Vec<Node>) -> Weights {
    let drawn = |n: Node| match n.source {
        Source::Weight(t) => Some((n.label.clone(), draw(&n.label, &t))),
        _ => None,
    };
    Weights::from_tensors(nodes.into_iter().filter_map(drawn))
}

fn draw(name: &str, like: &Tensor) -> Tensor {
    let fan_in: usize = like.shape.dims().iter().skip(1).product();
    let bound = if like.shape.rank() > 1 { (6.0 / fan_in.max(1) as f32).sqrt() } else { 0.1 };
    let unit = |i: usize| (random::draw(name, i as u64) >> 40) as f32;
    Tensor::from_fn(like.shape, |i| unit(i) * (2.0 * bound / (1u64 << 24) as f32) - bound)
}
