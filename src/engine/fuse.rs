//! Fuses bias, residual add and activation into the node before them.

use super::graph::{Node, Source, live};

/// Rewrites `nodes` so that what may be an epilogue is one; ids stay, nodes that were swallowed are no longer reachable
/// from `outputs`.
pub fn fuse(mut nodes: Vec<Node>, outputs: &[usize]) -> Vec<Node> {
    // A reader whose own value nobody needs does not run: it is no reason to keep what it reads.
    let live = live(&nodes, outputs);
    let mut uses = vec![0; nodes.len()];
    let read = nodes.iter().zip(&live).filter(|n| *n.1).flat_map(|n| &n.0.inputs);
    for &k in read.chain(outputs) {
        uses[k] += 1;
    }
    for i in (0..nodes.len()).filter(|&i| live[i]) {
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
    op.as_epilogue(&shapes).into_iter().find_map(|(finish, follows)| {
        let before = &nodes[*nodes[i].inputs.get(follows)?];
        let Source::Op(producer) = &before.source else { return None };
        if uses[nodes[i].inputs[follows]] != 1 {
            return None;
        }
        let op = producer.fuse(finish)?;
        let others = nodes[i].inputs.iter().enumerate().filter(|(k, _)| *k != follows).map(|(_, &id)| id);
        let inputs = before.inputs.iter().copied().chain(others).collect();
        Some(Node { source: Source::Op(op), inputs, ..before.clone() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::graph::{Graph, Var};
    use crate::tensor::Tensor;

    /// Debug text of the op that gives `y` once all is fused.
    fn text(graph: &Graph, outputs: &[Var]) -> String {
        let ids: Vec<usize> = outputs.iter().map(Var::id).collect();
        format!("{:?}", fuse(graph.nodes().expect("no error"), &ids)[ids[0]].source)
    }

    #[test]
    fn a_dead_reader_does_not_block() {
        let graph = Graph::new();
        let weight = graph.weight("weight", Tensor::zeros([4, 4]).into());
        let product = graph.input("x", [2, 4]).matmul(weight);
        let dead = product.softmax().exp();
        let y = product.relu();
        assert!(text(&graph, &[y]).contains("Some(Relu)"), "what nobody needs reads the product");
        assert!(!text(&graph, &[y, dead]).contains("Some(Relu)"), "now it is needed");
        assert!(!text(&graph, &[y, product]).contains("Some(Relu)"), "the product itself is needed");
    }
}
