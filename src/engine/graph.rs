//! The graph: models append nodes by calling methods on `Var`; nothing runs here but the reference, on the CPU.

use super::form::Caps;
use super::grad::Backward;
use super::requested::Requested;
use super::shader::Kernel;
use crate::error::{Error, Result};
use crate::tensor::{Shape, Tensor};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::rc::Rc;
use std::sync::Arc;

/// What one node computes: shape rule, ways to run it, and its meaning in plain loops.
pub trait Op: Debug {
    /// Shape of the output for inputs of these shapes, or what is wrong with them.
    fn infer(&self, x: &[Shape]) -> std::result::Result<Shape, String>;

    /// Every way to run it on an adapter with these abilities, best guess first, the portable one last.
    fn kernels(&self, x: &[Shape], y: Shape, caps: &Caps) -> Vec<Kernel>;

    /// The op's meaning: plain loops, sums in f64.
    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor;

    /// This op with `finish` done before its result is stored (its other input comes last), if it can do that.
    fn fuse(&self, _finish: Finish) -> Option<Rc<dyn Op>> {
        None
    }

    /// What this op is when it follows another one, for inputs of these shapes: (finish, the input that it follows).
    fn as_epilogue(&self, _x: &[Shape]) -> Vec<(Finish, usize)> {
        vec![]
    }

    /// Whether its result takes the place of its first input, which must be a state: kernels find that input where they write, at binding
    /// 1, and none of them may read what another invocation writes.
    fn in_place(&self) -> bool {
        false
    }

    /// Gradients by the inputs that [`Backward::wanted`] names, given the one by the result; `None` for the op means that it has no such
    /// rule, for an input that the result does not change with it.
    fn vjp<'g>(&self, _at: &Backward<'_, 'g>) -> Option<Vec<Option<Var<'g>>>> {
        None
    }

    /// Floating-point operations of one run, a multiply-add counted as two.
    fn flops(&self, _x: &[Shape], _y: Shape) -> u64 {
        0
    }
}

/// What may be done to a result before it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// Adds a vector along the last axis.
    Bias,
    /// Adds a tensor of the result's shape.
    Add,
    /// An activation.
    Activation(Activation),
    /// The product with the slope of an activation at a tensor of the result's shape: of ReLU and ReLU6 at what they gave, of others at what
    /// they were given.
    Slope(Activation),
}

/// A function that sums go through, element by element; NaN stays NaN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// max(0, v).
    Relu,
    /// min(max(0, v), 6).
    Relu6,
    /// v times the share of a normal distribution below v (Hendrycks and Gimpel 2016), by the error function; 0 for -inf.
    Gelu,
    /// v / (1 + exp(-1.702 v)), as OpenAI's CLIP has it; 0 for -inf.
    QuickGelu,
}

impl Activation {
    /// What it makes of a number: the references' arithmetic.
    pub fn of(self, v: f64) -> f64 {
        match self {
            _ if v.is_nan() => v,
            Activation::Relu => v.max(0.0),
            Activation::Relu6 => v.clamp(0.0, 6.0),
            _ if v == f64::NEG_INFINITY => 0.0,
            Activation::Gelu => v * normal_below(v),
            Activation::QuickGelu => v / (1.0 + (-1.702 * v).exp()),
        }
    }

    /// Its slope at a number: the references' arithmetic. At kinks it is that of ReLU's and ReLU6's flat side.
    pub fn slope(self, v: f64) -> f64 {
        let below = 1.0 / (1.0 + (-1.702 * v).exp());
        match self {
            _ if v.is_nan() => v,
            Activation::Relu => f64::from(u8::from(v > 0.0)),
            Activation::Relu6 => f64::from(u8::from(v > 0.0 && v < 6.0)),
            _ if v.is_infinite() => f64::from(u8::from(v > 0.0)),
            Activation::Gelu => normal_below(v) + v * (-v * v / 2.0).exp() / std::f64::consts::TAU.sqrt(),
            Activation::QuickGelu => below + 1.702 * v * below * (1.0 - below),
        }
    }
}

/// The share of a normal distribution below `v`.
fn normal_below(v: f64) -> f64 {
    libm::erfc(-v * std::f64::consts::FRAC_1_SQRT_2) / 2.0
}

/// Where a node's value comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// Given at every run.
    Input,
    /// A weight in host memory.
    Weight(Arc<Tensor>),
    /// A tensor that lives in the store as long as that does, shared by plans and replaced in place by ops that say so; here as it is before
    /// the first run.
    State(Arc<Tensor>),
    /// Computed.
    Op(Rc<dyn Op>),
    /// The elements of its one input from `offset` on, where they lie: no dispatch.
    View {
        /// Elements of the input before it.
        offset: usize,
        /// What copies them, for an adapter that cannot bind memory from there on; what begins where its input does needs none.
        copy: Option<Rc<dyn Op>>,
    },
}

/// One node: one output, of one dispatch or none.
#[derive(Clone, Debug)]
pub struct Node {
    /// What gives its value.
    pub source: Source,
    /// Nodes it reads.
    pub inputs: Vec<usize>,
    /// Shape of its value.
    pub shape: Shape,
    /// Path of its weights, or its name.
    pub label: String,
}

/// An append-only list of nodes.
#[derive(Debug, Default)]
pub struct Graph {
    nodes: RefCell<Vec<Node>>,
    error: RefCell<Option<String>>,
    requested: Requested,
    /// Where the label of what is appended comes from while gradients are: the node on whose way back it lies.
    pub(super) back: RefCell<Option<String>>,
    /// Value and state of the parameters that were asked for, by name.
    pub(super) trained: RefCell<BTreeMap<String, (usize, usize)>>,
}

/// A node of a graph; `Copy`, so that formulas read like formulas.
#[derive(Clone, Copy, Debug)]
pub struct Var<'g> {
    graph: &'g Graph,
    id: usize,
}

impl Graph {
    /// An empty graph.
    pub fn new() -> Graph {
        Graph::default()
    }

    /// The weights that scopes of this graph asked for, and what is wrong with them.
    pub fn requested(&self) -> &Requested {
        &self.requested
    }

    /// An input, given at every run.
    pub fn input(&self, name: &str, shape: impl Into<Shape>) -> Var<'_> {
        self.push(Node { source: Source::Input, inputs: vec![], shape: shape.into(), label: name.into() })
    }

    /// A weight.
    pub fn weight(&self, name: &str, tensor: Arc<Tensor>) -> Var<'_> {
        let shape = tensor.shape;
        self.push(Node { source: Source::Weight(tensor), inputs: vec![], shape, label: name.into() })
    }

    /// A state: one node, however often it is asked for.
    pub fn state(&self, name: &str, tensor: &Arc<Tensor>) -> Var<'_> {
        let same = |n: &Node| matches!(&n.source, Source::State(t) if Arc::ptr_eq(t, tensor));
        let known = self.nodes.borrow().iter().position(same);
        let node =
            || Node { source: Source::State(tensor.clone()), inputs: vec![], shape: tensor.shape, label: name.into() };
        known.map_or_else(|| self.push(node()), |id| self.var(id))
    }

    /// Keeps what is wrong with the graph, unless something is already.
    pub(super) fn fail(&self, message: String) {
        self.error.borrow_mut().get_or_insert(message);
    }

    /// Appends a node.
    pub(super) fn push(&self, node: Node) -> Var<'_> {
        let mut nodes = self.nodes.borrow_mut();
        nodes.push(node);
        Var { graph: self, id: nodes.len() - 1 }
    }

    /// All nodes so far, or the first shape error.
    pub fn nodes(&self) -> Result<Vec<Node>> {
        match &*self.error.borrow() {
            Some(message) => Err(Error::Shape(message.clone())),
            None => Ok(self.nodes.borrow().clone()),
        }
    }

    /// Values of `outputs` by the references, on the CPU; `inputs` in the order in which they were declared.
    pub fn eval(&self, outputs: &[Var], inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        let nodes = self.nodes()?;
        let mut given = inputs.iter();
        let mut values: Vec<Option<Arc<Tensor>>> = vec![None; nodes.len()];
        let live = live(&nodes, &outputs.iter().map(|o| o.id).collect::<Vec<_>>());
        for (i, node) in nodes.iter().enumerate() {
            values[i] = match &node.source {
                Source::Input => Some(Arc::new(input_value(node, given.next())?)),
                Source::Weight(t) | Source::State(t) => Some(t.clone()),
                Source::Op(op) if live[i] => {
                    let x: Vec<&Tensor> = node.inputs.iter().filter_map(|&k| values[k].as_deref()).collect();
                    Some(Arc::new(op.reference(&x, node.shape)))
                }
                Source::View { offset, .. } if live[i] => {
                    let of = node.inputs.first().and_then(|&k| values[k].as_deref());
                    of.map(|of| Arc::new(of.view(*offset, node.shape)))
                }
                Source::Op(_) | Source::View { .. } => None,
            };
        }
        Ok(outputs.iter().filter_map(|o| values[o.id].as_deref().cloned()).collect())
    }
}

fn input_value(node: &Node, given: Option<&&Tensor>) -> Result<Tensor> {
    match given {
        Some(t) if t.shape == node.shape => Ok((*t).clone()),
        Some(t) => Err(Error::Shape(format!("input {}: {} given, {} wanted", node.label, t.shape, node.shape))),
        None => Err(Error::Shape(format!("input {} is not given", node.label))),
    }
}

/// Name of an op, as in `conv2d` of `Conv2d { … }`.
pub(crate) fn op_name(op: &dyn Op) -> String {
    name_in(&format!("{op:?}"))
}

/// The same of a text that begins with the op, as a node's key does.
pub(crate) fn name_in(text: &str) -> String {
    text.split([' ', '(', '{']).next().unwrap_or("op").to_lowercase()
}

/// Which nodes any of `outputs` depends on.
pub fn live(nodes: &[Node], outputs: &[usize]) -> Vec<bool> {
    let mut live = vec![false; nodes.len()];
    for &o in outputs {
        live[o] = true;
    }
    for i in (0..nodes.len()).rev().filter(|&i| !nodes[i].inputs.is_empty()) {
        if live[i] {
            for &k in &nodes[i].inputs {
                live[k] = true;
            }
        }
    }
    live
}

impl<'g> Var<'g> {
    /// Appends a node that computes `op` of `inputs`. A wrong shape is kept as the graph's error; the chain goes on.
    pub fn apply(self, op: impl Op + 'static, inputs: &[Var<'g>]) -> Var<'g> {
        self.graph.node(Rc::new(op), inputs)
    }

    /// Appends a view: elements of that shape from element `offset` of this tensor on, which `copy` copies where they cannot be bound
    /// there. A wrong shape is kept as the graph's error; `name` says what was tried.
    pub(crate) fn view(
        self,
        name: &str,
        shape: std::result::Result<Shape, String>,
        offset: usize,
        copy: Option<Rc<dyn Op>>,
    ) -> Var<'g> {
        let label = self.graph.nodes.borrow()[self.id].label.clone();
        let shape = self.graph.checked(&format!("{name} of {label}"), shape, &[self.shape()]);
        self.graph.push(Node { source: Source::View { offset, copy }, inputs: vec![self.id], shape, label })
    }

    /// Shape of its value.
    pub fn shape(&self) -> Shape {
        self.graph.nodes.borrow()[self.id].shape
    }

    /// Size of axis `i`.
    pub fn dim(&self, i: usize) -> usize {
        self.shape().dim(i)
    }

    /// The graph it belongs to.
    pub fn graph(&self) -> &'g Graph {
        self.graph
    }

    /// Its number among the graph's nodes.
    pub fn id(&self) -> usize {
        self.id
    }
}

impl Graph {
    /// As [`Var::apply`], for an op that is shared.
    pub fn node(&self, op: Rc<dyn Op>, inputs: &[Var]) -> Var<'_> {
        let shapes: Vec<Shape> = inputs.iter().map(|v| v.shape()).collect();
        let label = self.label(&*op, inputs);
        let shape = self.checked(&label, op.infer(&shapes), &shapes);
        let inputs = inputs.iter().map(|v| v.id).collect();
        self.push(Node { source: Source::Op(op), inputs, shape, label })
    }

    /// The shape, or any at all where there is none: then what is wrong becomes the graph's error.
    fn checked(&self, label: &str, shape: std::result::Result<Shape, String>, inputs: &[Shape]) -> Shape {
        shape.unwrap_or_else(|message| {
            let seen: Vec<String> = inputs.iter().map(Shape::to_string).collect();
            self.fail(format!("{label}: {message} (inputs {})", seen.join(" ")));
            Shape::from([1])
        })
    }

    /// The value of that number.
    pub(crate) fn var(&self, id: usize) -> Var<'_> {
        Var { graph: self, id }
    }

    /// Path of the first weight among the inputs without its last name, else the op's name; what is made of weights alone counts as one.
    fn label(&self, op: &dyn Op, inputs: &[Var]) -> String {
        if let Some(label) = &*self.back.borrow() {
            return label.clone();
        }
        let nodes = self.nodes.borrow();
        let viewed = |id: usize| {
            let mut node = &nodes[id];
            while let (Source::View { .. }, Some(&of)) = (&node.source, node.inputs.first()) {
                node = &nodes[of];
            }
            node
        };
        let weighs = |n: &Node| matches!(n.source, Source::Weight(_) | Source::State(_));
        let weight = inputs.iter().map(|v| viewed(v.id)).find(|n| weighs(n));
        // A weight that is made of weights, as a scaled one is, has their path already.
        let made = |n: &&Node| !n.inputs.is_empty() && n.inputs.iter().all(|&of| weighs(viewed(of)));
        let made = || inputs.iter().map(|v| viewed(v.id)).find(made).map(|n| n.label.clone());
        let path = weight.and_then(|n| n.label.rsplit_once('.')).map(|(path, _)| path.to_string());
        path.or_else(|| made().filter(|label| label.contains('.'))).unwrap_or_else(|| op_name(op))
    }
}
