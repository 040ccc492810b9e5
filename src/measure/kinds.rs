//! The kinds of nodes in a graph, each an op at certain shapes, with what one of its nodes reads: the units that are timed.

use crate::engine::choices::key;
use crate::engine::fuse::fuse;
use crate::engine::graph::{Node, Source, live, op_name};
use crate::engine::lower::{Role, lower_by};
use crate::engine::plan::runtime_steps;
use crate::engine::{Caps, Choices, Gpu, Graph, Op, Options, Plan, Store, Var};
use crate::error::{Error, Result};
use crate::tensor::{Shape, Tensor};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

/// An op at certain shapes.
#[derive(Clone, Debug)]
pub struct Kind {
    /// Op and shapes without the batch.
    pub key: String,
    /// Name of the op, as in `conv2d`.
    pub op: String,
    /// Path of the weights, or name of the op, of the first such node.
    pub node: String,
    /// How many there are in the graph.
    pub calls: usize,
    /// What is computed, epilogues included.
    pub computes: Rc<dyn Op>,
    /// What it reads.
    pub inputs: Vec<Operand>,
    /// Shape of what it writes.
    pub shape: Shape,
}

/// One input of a kind.
#[derive(Clone, Debug)]
pub struct Operand {
    /// Its shape.
    pub shape: Shape,
    /// Whether it depends on weights only: it is packed once, not in every run.
    pub constant: bool,
    /// Its values, after [`fill`].
    pub values: Option<Arc<Tensor>>,
    /// The graph's node that it is; `None` if the plan inserted the kind.
    node: Option<usize>,
}

impl Kind {
    fn new(op: &Rc<dyn Op>, node: &str, inputs: Vec<Operand>, shape: Shape) -> Kind {
        let x: Vec<Shape> = inputs.iter().map(|g| g.shape).collect();
        let key = key(&**op, &x, shape);
        Kind { key, op: op_name(&**op), node: node.into(), calls: 1, computes: op.clone(), inputs, shape }
    }

    /// Shapes of what it reads.
    pub fn shapes(&self) -> Vec<Shape> {
        self.inputs.iter().map(|g| g.shape).collect()
    }

    /// Whether `other` is the same, including the batch.
    pub fn is(&self, other: &Kind) -> bool {
        self.key == other.key && self.shape == other.shape && self.shapes() == other.shapes()
    }
}

/// Every kind that a run of `outputs` of `graph` has: nodes as they are fused, and the converts and packing that the default plan puts
/// in between; adding up a node's parts belongs to the node. What depends on weights only is computed once and left out.
///
/// # Errors
/// [`Error::Shape`] for a malformed graph, [`Error::Shader`] for an op that no kernel here can run.
pub fn kinds(graph: &Graph, outputs: &[Var<'_>], caps: &Caps) -> Result<Vec<Kind>> {
    let ids: Vec<usize> = outputs.iter().map(Var::id).collect();
    let nodes = fuse(graph.nodes()?, &ids);
    let (live, constant) = (live(&nodes, &ids), constants(&nodes));
    let mut found = vec![];
    let run = |i: &usize| live[*i] && !constant[*i];
    for node in (0..nodes.len()).filter(run).map(|i| &nodes[i]) {
        if let Source::Op(op) = &node.source {
            let given =
                |&k: &usize| Operand { shape: nodes[k].shape, constant: constant[k], values: None, node: Some(k) };
            add(&mut found, Kind::new(op, &node.label, node.inputs.iter().map(given).collect(), node.shape));
        }
    }
    let lowered = lower_by(graph, outputs, caps, &Choices::First)?;
    for step in runtime_steps(&lowered).map(|s| &lowered.steps[s]).filter(|s| s.role == Role::Helper) {
        let given = |&v: &usize| Operand { shape: lowered.values[v].shape, constant: false, values: None, node: None };
        let inputs = step.inputs.iter().map(given).collect();
        add(&mut found, Kind::new(&step.op, &step.label, inputs, lowered.values[step.output].shape));
    }
    Ok(found)
}

fn add(found: &mut Vec<Kind>, kind: Kind) {
    match found.iter_mut().find(|k| k.is(&kind)) {
        Some(known) => known.calls += 1,
        None => found.push(kind),
    }
}

/// Which nodes depend on weights only.
fn constants(nodes: &[Node]) -> Vec<bool> {
    let mut constant: Vec<bool> = Vec::with_capacity(nodes.len());
    for node in nodes {
        constant.push(match node.source {
            Source::Input | Source::State(_) => false,
            Source::Weight(_) => true,
            Source::Op(_) | Source::View { .. } => node.inputs.iter().all(|&k| constant[k]),
        });
    }
    constant
}

/// Gives `kinds` of `graph` the values that they read in a run on `inputs`: lists of row numbers, zeros after a ReLU. What a plan inserted
/// reads noise, since a copy takes equally long for any values.
///
/// # Errors
/// As [`Plan::new`] and [`Plan::run`].
pub async fn fill(gpu: &Gpu, graph: &Graph, inputs: &[&Tensor], kinds: &mut [Kind]) -> Result<()> {
    let (mut known, mut computed) = (BTreeMap::new(), BTreeSet::new());
    let mut given = inputs.iter();
    let read: BTreeSet<usize> = kinds.iter().flat_map(|k| &k.inputs).filter_map(|g| g.node).collect();
    for (i, node) in graph.nodes()?.into_iter().enumerate() {
        let value = match node.source {
            Source::Input => given.next().map(|t| Arc::new((*t).clone())),
            Source::Weight(t) | Source::State(t) => Some(t),
            Source::Op(_) | Source::View { .. } => None,
        };
        match value {
            Some(value) => drop(known.insert(i, value)),
            None if read.contains(&i) => drop(computed.insert(i)),
            None => {}
        }
    }
    let vars: Vec<Var> = computed.iter().map(|&i| graph.var(i)).collect();
    if !vars.is_empty() {
        let plan = Plan::new(gpu, graph, &vars, &Store::new(), Options::default()).await?;
        let values = plan.run(inputs).await?.into_iter().map(Arc::new);
        known.extend(computed.into_iter().zip(values));
    }
    for given in kinds.iter_mut().flat_map(|k| &mut k.inputs) {
        given.values = match given.node {
            Some(i) => known.get(&i).cloned(),
            None => Some(Arc::new(noise(given.shape))),
        };
        if given.values.as_ref().is_none_or(|t| t.shape != given.shape) {
            return Err(Error::Shape(format!(
                "value {:?}: expected shape {}, but it has not been computed",
                given.node, given.shape
            )));
        }
    }
    Ok(())
}

/// Numbers of all magnitudes from 1/512 to 1; none denormal, since some processors are slow with those.
fn noise(shape: Shape) -> Tensor {
    Tensor::from_fn(shape, |i| (i.wrapping_mul(7919) % 1023) as f32 / 511.0 - 1.0)
}
