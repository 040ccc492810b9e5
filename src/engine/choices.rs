//! Which candidate a node gets: the best guess, one that is named, or what a table of measured times says. No GPU call here.

use super::graph::Op;
use super::shader::Kernel;
use crate::tensor::Shape;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How candidates are chosen.
#[derive(Clone, Debug, Default)]
pub enum Choices {
    /// The first of every list.
    #[default]
    First,
    /// The one of this label, else the first whose label contains this text, else the first.
    Named(String),
    /// Labels by node key ([`key`]); a node that is not listed, or whose label is gone, gets the first.
    Table(Arc<BTreeMap<String, String>>),
}

impl Choices {
    /// Number of the candidate for `op` on inputs of these shapes.
    pub fn pick(&self, op: &dyn Op, x: &[Shape], y: Shape, kernels: &[Kernel]) -> usize {
        let at = match self {
            Choices::First => None,
            Choices::Named(text) => {
                let exact = kernels.iter().position(|k| k.label() == *text);
                exact.or_else(|| kernels.iter().position(|k| k.label().contains(text.as_str())))
            }
            Choices::Table(labels) => {
                labels.get(&key(op, x, y)).and_then(|label| kernels.iter().position(|k| k.label() == *label))
            }
        };
        at.unwrap_or(0)
    }
}

/// What a node is, its batch aside: op and shapes without their first axis. One picture and many so get the same candidate.
pub fn key(op: &dyn Op, x: &[Shape], y: Shape) -> String {
    let rest = |s: &Shape| s.dims().iter().skip(1).map(usize::to_string).collect::<Vec<_>>().join("x");
    let inputs: Vec<String> = x.iter().map(rest).collect();
    format!("{op:?} {} -> {}", inputs.join(" "), rest(&y))
}
