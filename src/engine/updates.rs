//! States that are replaced in place: by whom, and in which order.

use super::graph::{Node, Source};
use crate::error::{Error, Result};

/// The nodes that replace a state.
pub(super) fn updates(nodes: &[Node]) -> impl Iterator<Item = usize> + '_ {
    (0..nodes.len()).filter(|&i| matches!(&nodes[i].source, Source::Op(op) if op.in_place()))
}

/// Whether every state is replaced after all that reads it, and what it becomes is read by nothing but what replaces it again.
pub(super) fn check_updates(nodes: &[Node], live: &[bool]) -> Result<()> {
    // The state in whose memory a node's value lies.
    let mut state = vec![None; nodes.len()];
    let mut replaced = vec![false; nodes.len()];
    for (i, node) in nodes.iter().enumerate().filter(|n| live[n.0]) {
        let wrong = |what: &str| Err(Error::Shape(format!("{}: {what}", node.label)));
        let lies = |k: &usize| state[*k];
        let replaces = matches!(&node.source, Source::Op(op) if op.in_place());
        let others = if replaces { &node.inputs[1..] } else { &node.inputs[..] };
        if others.iter().filter_map(lies).any(|s: usize| replaced[s]) {
            return wrong("it reads a state that was replaced before");
        }
        state[i] = match (&node.source, node.inputs.first()) {
            (Source::State(_) | Source::Input, _) => Some(i),
            (Source::View { .. }, Some(of)) => state[*of],
            (_, Some(of)) if replaces => match state[*of] {
                Some(s) if nodes[s].shape == node.shape => Some(s),
                _ => return wrong("only a whole state can be replaced"),
            },
            _ => None,
        };
        if let Some(s) = state[i].filter(|_| replaces) {
            replaced[s] = true;
        }
    }
    Ok(())
}
