//! Fuses bias, residual add and ReLU into the node before them.

use super::graph::{Node, Source};

/// Rewrites `nodes` so that what may be an epilogue is one; ids stay, nodes that were swallowed are no longer reachable
/// from `outputs`.
pub fn fuse(mut nodes: Vec<Node>, outputs: &[usize]) -> Vec<Node> {
    let mut uses = vec![0; nodes.len()];
    let read = nodes.iter().flat_map(|n| n.inputs.iter());
    for &k in read.chain(outputs) {
        uses[k] += 1;
    }
    for i in 0..nodes.len() {
        if let Some(node) = fused(&nodes, i, &uses) {
            nodes[i] = node;
        }
    }
    nodes
}

/// Node `i` merged with one that only it reads, if the two allow it.
fn fused(nodes: &[Node], i: usize, uses: &[usize]) -> Option<Node> {
    let Source::Op(op) = &nodes[i].source else { return None };
    let shapes: Vec<_> = nodes[i].inputs.iter().map(|&k| nodes[k].shape).collect();
    op.as_epilogue(&shapes).into_iter().find_map(|(epilogue, follows)| {
        let before = &nodes[*nodes[i].inputs.get(follows)?];
        let Source::Op(producer) = &before.source else { return None };
        if uses[nodes[i].inputs[follows]] != 1 {
            return None;
        }
        let op = producer.fuse(epilogue)?;
        let others = nodes[i].inputs.iter().enumerate().filter(|(k, _)| *k != follows).map(|(_, &id)| id);
        let inputs = before.inputs.iter().copied().chain(others).collect();
        Some(Node { source: Source::Op(op), inputs, ..before.clone() })
    })
}
