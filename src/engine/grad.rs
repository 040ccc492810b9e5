//! Gradients: nodes appended to a graph, which is planned, fused and run like any other.

use super::graph::{Node, Source, Var, op_name};
use super::recompute::Recompute;
use crate::tensor::Tensor;
use std::sync::Arc;

/// A node on the way back.
#[derive(Debug)]
pub struct Backward<'a, 'g> {
    /// What it read.
    pub x: &'a [Var<'g>],
    /// What it gave.
    pub y: Var<'g>,
    /// The gradient by what it gave, of that shape.
    pub dy: Var<'g>,
    /// The inputs whose gradients are asked for.
    pub wanted: &'a [bool],
}

impl<'g> Backward<'_, 'g> {
    /// The gradient by input `i` where it is asked for.
    pub fn by(&self, i: usize, gradient: impl FnOnce() -> Var<'g>) -> Option<Var<'g>> {
        self.wanted.get(i).is_some_and(|w| *w).then(gradient)
    }
}

/// The gradients of `loss`, one element, by each of `wrt`, as nodes after all others: reverse accumulation. What no gradient needs is not
/// appended; one that `loss` does not depend on is zero. An op without a rule becomes the graph's error.
pub fn gradients<'g>(loss: Var<'g>, wrt: &[Var<'g>]) -> Vec<Var<'g>> {
    gradients_in(loss, wrt, 1)
}

/// As [`gradients`], with the forward pass in so many segments: of all but the last one only what passes to the next is kept in memory, the
/// rest is computed again.
pub fn gradients_in<'g>(loss: Var<'g>, wrt: &[Var<'g>], segments: usize) -> Vec<Var<'g>> {
    let graph = loss.graph();
    // A graph with an error has one already.
    let nodes = graph.nodes().unwrap_or_default();
    let needed = needed(&nodes, wrt);
    let mut by: Vec<Option<Var<'g>>> = vec![None; nodes.len()];
    if nodes.is_empty() || loss.shape().len() != 1 {
        graph.fail(format!("gradients are of one element, not of {}", loss.shape()));
        return wrt.to_vec();
    }
    by[loss.id()] =
        Some(graph.weight(&format!("one{}", loss.shape()), Arc::new(Tensor::from_fn(loss.shape(), |_| 1.0))));
    let mut forward = Recompute::new(graph, &nodes, loss.id(), segments);
    for i in (0..=loss.id()).rev() {
        let Some(dy) = by[i] else { continue };
        let wanted: Vec<bool> = nodes[i].inputs.iter().map(|&k| needed[k]).collect();
        if !wanted.contains(&true) {
            continue;
        }
        *graph.back.borrow_mut() = Some(nodes[i].label.clone());
        let given = back(&mut forward, (&nodes, i), dy, &wanted);
        for (&k, given) in nodes[i].inputs.iter().zip(given) {
            if let Some(given) = given.filter(|_| needed[k]) {
                by[k] = Some(by[k].map_or(given, |sum| sum + given));
            }
        }
    }
    *graph.back.borrow_mut() = None;
    let zero = |v: &Var<'g>| graph.weight(&format!("zero{}", v.shape()), Arc::new(Tensor::zeros(v.shape())));
    wrt.iter().map(|v| by.get(v.id()).copied().flatten().unwrap_or_else(|| zero(v))).collect()
}

/// Which nodes depend on any of `wrt`, themselves included.
fn needed(nodes: &[Node], wrt: &[Var<'_>]) -> Vec<bool> {
    let mut needed = vec![false; nodes.len()];
    wrt.iter().filter(|v| v.id() < nodes.len()).for_each(|v| needed[v.id()] = true);
    for i in 0..nodes.len() {
        needed[i] |= nodes[i].inputs.iter().any(|&k| needed[k]);
    }
    needed
}

/// The gradients by the inputs of node `i`, whose own is `dy`.
fn back<'g>(
    forward: &mut Recompute<'_, 'g>,
    (nodes, i): (&[Node], usize),
    dy: Var<'g>,
    wanted: &[bool],
) -> Vec<Option<Var<'g>>> {
    let graph = dy.graph();
    let y = forward.value(i);
    let x: Vec<Var<'g>> = nodes[i].inputs.iter().map(|&k| forward.value(k)).collect();
    let given = match (&nodes[i].source, x.as_slice()) {
        (Source::Op(op), _) => {
            let rule = op.vjp(&Backward { x: &x, y, dy, wanted });
            rule.unwrap_or_else(|| {
                graph.fail(format!("{}: there is no gradient of {}", nodes[i].label, op_name(&**op)));
                vec![]
            })
        }
        (Source::View { offset, .. }, &[of]) => vec![Some(spread(dy, of, *offset))],
        _ => vec![],
    };
    for (x, given) in x.iter().zip(&given) {
        if let Some(wrong) = given.filter(|g| g.shape() != x.shape()) {
            graph.fail(format!("{}: a gradient of shape {} for {}", nodes[i].label, wrong.shape(), x.shape()));
        }
    }
    given
}

/// The gradient of a view, among zeros where the view did not look.
fn spread<'g>(dy: Var<'g>, of: Var<'g>, offset: usize) -> Var<'g> {
    let (seen, whole) = (dy.shape().len(), of.shape().len());
    let flat = if seen == whole { dy } else { dy.reshape([seen]).pad(0, offset, whole - seen - offset) };
    if flat.shape() == of.shape() { flat } else { flat.reshape(of.shape()) }
}
