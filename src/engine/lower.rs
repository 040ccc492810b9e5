//! From graph nodes to steps: a candidate for every node, packing nodes and convert nodes put in, forms settled. No GPU call here.

pub use super::candidates::candidates;
use super::candidates::{RING, candidates_with};
use super::choices::{Choices, key};
use super::constant::{Constant, check_labels};
use super::convert::{ToBuffer, ToImage};
use super::form::{Caps, Form};
use super::fuse::fuse;
use super::graph::{Graph, Node, Op, Source, Var, live};
use super::shader::{Kernel, Parts};
use super::twins;
use super::updates::{check_updates, updates};
use crate::error::{Error, Result};
use crate::tensor::{Shape, Tensor};
use std::rc::Rc;
use std::sync::Arc;

/// Loop trips that an invocation may make in all; one driver silently stops at 65,535.
pub const MAX_ITERATIONS: u64 = 60_000;

/// Where a value comes from.
#[derive(Clone, Debug)]
pub enum Origin {
    /// Given at every run; the input's number.
    Input(usize),
    /// A weight in host memory.
    Weight(Arc<Tensor>),
    /// Lives in the store.
    State(Arc<Tensor>),
    /// Written by the step of this number.
    Step(usize),
    /// Written by a step where another value lies, a state.
    Updated {
        /// The step of this number.
        step: usize,
        /// The value of this number.
        of: usize,
    },
    /// Lies in the memory of another value, a buffer that is no view itself.
    View {
        /// The value of this number.
        of: usize,
        /// Its elements before this one.
        offset: usize,
    },
}

/// A value in GPU memory.
#[derive(Clone, Debug)]
pub struct Value {
    /// Its shape.
    pub shape: Shape,
    /// Its form; the ring is the widest that any reader asks for.
    pub form: Form,
    /// Where it comes from.
    pub origin: Origin,
    /// For what depends on weights alone: which of them, and how it was made. It is computed once, when the plan is made.
    pub constant: Option<Arc<Constant>>,
    /// Name of the input or weight, label of the step.
    pub label: String,
}

/// One dispatch.
#[derive(Clone, Debug)]
pub struct Step {
    /// What it computes.
    pub op: Rc<dyn Op>,
    /// How.
    pub kernel: Kernel,
    /// Values read.
    pub inputs: Vec<usize>,
    /// Value written.
    pub output: usize,
    /// Path of the weights, or name of the op.
    pub label: String,
    /// Floating-point operations, by the shapes before packing.
    pub flops: u64,
    /// What it is, its batch aside.
    pub key: String,
    /// What it is to the graph.
    pub role: Role,
}

/// What a step is to the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A node of it.
    Node,
    /// Packs or converts for the steps that read its output: the same elements, elsewhere.
    Helper,
    /// Adds up the parts that the step before it wrote, and so ends that node.
    Sum,
}

/// A graph made ready for planning.
#[derive(Debug, Default)]
pub struct Lowered {
    /// All values.
    pub values: Vec<Value>,
    /// All dispatches, in order.
    pub steps: Vec<Step>,
    /// Shapes and names of the inputs, in the order declared; the value is `None` where nothing reads it.
    pub inputs: Vec<(String, Shape)>,
    /// Values of the outputs; all of them buffers.
    pub outputs: Vec<usize>,
}

impl Lowered {
    /// The value in whose memory value `v` lies, and how many of its elements lie before it.
    pub fn place(&self, v: usize) -> (usize, usize) {
        match self.values[v].origin {
            Origin::View { of, offset } => (of, offset),
            Origin::Updated { of, .. } => (of, 0),
            _ => (v, 0),
        }
    }
}

/// Which candidate an op gets for inputs and an output of these shapes: its number in the list.
pub type Pick<'p> = &'p dyn Fn(&dyn Op, &[Shape], Shape, &[Kernel]) -> usize;

/// Fuses, picks a candidate for every live node and settles all forms.
///
/// # Errors
/// [`Error::Weights`] where two different weights have one label; [`Error::Shader`] for an op that nothing here can run.
pub fn lower(nodes: Vec<Node>, outputs: &[usize], caps: &Caps, pick: Pick<'_>) -> Result<Lowered> {
    lower_as(nodes, outputs, (caps, false), pick)
}

/// As [`lower`], with the very candidates that are picked, whatever forms their neighbours have.
pub fn lower_exactly(nodes: Vec<Node>, outputs: &[usize], caps: &Caps, pick: Pick<'_>) -> Result<Lowered> {
    lower_as(nodes, outputs, (caps, true), pick)
}

fn lower_as(nodes: Vec<Node>, read: &[usize], (caps, exact): (&Caps, bool), pick: Pick<'_>) -> Result<Lowered> {
    // States are replaced whether or not anybody reads what they become.
    let outputs: &[usize] = &read.iter().copied().chain(updates(&nodes)).collect::<Vec<_>>();
    let nodes = fuse(nodes, outputs);
    let live = live(&nodes, outputs);
    check_updates(&nodes, &live)?;
    check_labels(nodes.iter().zip(&live).filter(|n| *n.1).map(|n| n.0))?;
    let mut kernels = twins::choose(&nodes, (&live, outputs), (caps, RING), pick, exact)?;
    let mut lowering = Lowering { caps, pick, out: Lowered::default() };
    let mut value_of = vec![usize::MAX; nodes.len()];
    for (i, node) in nodes.iter().enumerate() {
        // An input is given at every run, whether anything reads it or not.
        if live[i] || matches!(node.source, Source::Input) {
            let inputs = node.inputs.iter().map(|&k| value_of[k]).collect();
            value_of[i] = lowering.node(node, inputs, kernels[i].take())?;
        }
    }
    let mut out = lowering.out;
    out.outputs = read.iter().map(|&o| value_of[o]).collect();
    settle(out, caps)
}

/// The steps of `outputs` of `graph`, candidates by `choices`: what a plan runs, and what it is compared with.
pub fn lower_by(graph: &Graph, outputs: &[Var<'_>], caps: &Caps, choices: &Choices) -> Result<Lowered> {
    let ids: Vec<usize> = outputs.iter().map(Var::id).collect();
    let pick = |op: &dyn Op, x: &[Shape], y: Shape, kernels: &[Kernel]| choices.pick(op, x, y, kernels);
    lower(graph.nodes()?, &ids, caps, &pick)
}

struct Lowering<'a> {
    caps: &'a Caps,
    pick: Pick<'a>,
    out: Lowered,
}

impl Lowering<'_> {
    fn value(&mut self, value: Value) -> usize {
        self.out.values.push(value);
        self.out.values.len() - 1
    }

    fn node(&mut self, node: &Node, inputs: Vec<usize>, kernel: Option<Kernel>) -> Result<usize> {
        let given = |origin, constant| Value {
            shape: node.shape,
            form: Form::Buffer,
            origin,
            constant,
            label: node.label.clone(),
        };
        match &node.source {
            Source::Op(op) => match kernel {
                Some(kernel) => self.run(op.clone(), kernel, inputs, node.shape, (&node.label, Role::Node)),
                None => self.op(op.clone(), inputs, node.shape, &node.label, Role::Node),
            },
            Source::Weight(t) => {
                let constant = Some(Arc::new(Constant::weight(t)));
                Ok(self.value(given(Origin::Weight(t.clone()), constant)))
            }
            Source::State(t) => Ok(self.value(given(Origin::State(t.clone()), None))),
            Source::View { offset, copy } => self.view(node, inputs, *offset, copy.as_ref()),
            Source::Input => {
                let number = self.out.inputs.len();
                self.out.inputs.push((node.label.clone(), node.shape));
                Ok(self.value(given(Origin::Input(number), None)))
            }
        }
    }

    /// A value that lies in the memory of its input, or of what that is a view of; a copy where the adapter cannot bind it there.
    fn view(&mut self, node: &Node, inputs: Vec<usize>, offset: usize, copy: Option<&Rc<dyn Op>>) -> Result<usize> {
        let of = inputs.first().copied().ok_or_else(|| Error::Shape(format!("{}: a view of nothing", node.label)))?;
        let (root, before) = self.out.place(of);
        let offset = before + offset;
        match copy {
            Some(copy) if !(4 * offset as u64).is_multiple_of(self.caps.binding_offset.into()) => {
                self.op(copy.clone(), inputs, node.shape, &node.label, Role::Node)
            }
            _ => Ok(self.place_of(root, offset, node.shape, &node.label)),
        }
    }

    /// The value of that shape from element `offset` of `root` on: itself, one that is there already, or a new one.
    fn place_of(&mut self, root: usize, offset: usize, shape: Shape, label: &str) -> usize {
        let whole = &self.out.values[root];
        if offset == 0 && whole.shape == shape {
            return root;
        }
        let same = |v: &Value| {
            matches!(v.origin, Origin::View { of, offset: o } if (of, o) == (root, offset)) && v.shape == shape
        };
        if let Some(known) = self.out.values.iter().position(same) {
            return known;
        }
        let constant = whole.constant.clone().map(|of| Arc::new(Constant::View { of, offset, shape }));
        let origin = Origin::View { of: root, offset };
        self.value(Value { shape, form: Form::Buffer, origin, constant, label: label.into() })
    }

    /// Appends a step for `op` with the candidate that is picked.
    fn op(&mut self, op: Rc<dyn Op>, inputs: Vec<usize>, shape: Shape, label: &str, role: Role) -> Result<usize> {
        let x: Vec<Shape> = inputs.iter().map(|&v| self.out.values[v].shape).collect();
        // What a helper makes is as wide as all that read it ask for: nobody comes later.
        let ring = if role == Role::Helper { 0 } else { RING };
        let mut kernels = candidates_with(&*op, &x, shape, (self.caps, ring))?;
        let kernel = kernels.swap_remove((self.pick)(&*op, &x, shape, &kernels).min(kernels.len() - 1));
        self.run(op, kernel, inputs, shape, (label, role))
    }

    /// Appends a step for `op` and, before it, the packing that its kernel asks for. One value packed the same way twice is
    /// packed once.
    fn run(
        &mut self,
        op: Rc<dyn Op>,
        kernel: Kernel,
        mut inputs: Vec<usize>,
        shape: Shape,
        (label, role): (&str, Role),
    ) -> Result<usize> {
        let x: Vec<Shape> = inputs.iter().map(|&v| self.out.values[v].shape).collect();
        for (i, pack) in &kernel.packs {
            let from = inputs[*i];
            let packed = pack
                .infer(&[self.out.values[from].shape])
                .map_err(|m| Error::Shape(format!("{label}: packing input {i}: {m}")))?;
            inputs[*i] = match self.packed(pack, from) {
                Some(v) => v,
                None => self.op(pack.clone(), vec![from], packed, &format!("{label} pack"), Role::Helper)?,
            };
        }
        let (flops, key) = (op.flops(&x, shape), key(&*op, &x, shape));
        let parts = kernel.parts.clone();
        let rest = inputs.split_off(kernel.reads.len().min(inputs.len())); // for the sum of parts
        let (op, written) = match &parts {
            Some(parts) => {
                let part = parts.op.infer(&x[..inputs.len()]);
                (parts.op.clone(), part.map_err(|m| Error::Shape(format!("{label}: a sum in parts: {m}")))?)
            }
            None => (op, shape),
        };
        let output = self.out.values.len();
        let made = self.step(Step { op, kernel, inputs, output, label: label.into(), flops, key, role }, written);
        let Some(Parts { sum, .. }) = parts else { return Ok(made) };
        self.op(sum, [vec![made], rest].concat(), shape, &format!("{label} sum"), Role::Sum)
    }

    fn packed(&self, pack: &Rc<dyn Op>, from: usize) -> Option<usize> {
        let name = format!("{pack:?}");
        let same = |s: &&Step| s.inputs == [from] && format!("{:?}", s.op) == name;
        self.out.steps.iter().find(same).map(|s| s.output)
    }

    /// Appends a step, and the value of that shape that it writes: the next one.
    fn step(&mut self, step: Step, shape: Shape) -> usize {
        let of: Option<Vec<_>> = step.inputs.iter().map(|&v| self.out.values[v].constant.clone()).collect();
        let how = || format!("{:?} {}", step.op, step.kernel.label());
        let constant = of.map(|of| Arc::new(Constant::Made { how: how(), of }));
        let number = self.out.steps.len();
        let origin = match step.inputs.first() {
            Some(&of) if step.op.in_place() => Origin::Updated { step: number, of: self.out.place(of).0 },
            _ => Origin::Step(number),
        };
        let form = step.kernel.writes;
        let value = Value { shape, form, origin, constant, label: step.label.clone() };
        self.out.steps.push(step);
        self.value(value)
    }
}

/// Gives every value its widest ring and puts a convert node wherever a reader wants the other form.
fn settle(from: Lowered, caps: &Caps) -> Result<Lowered> {
    let mut image = vec![None; from.values.len()];
    let mut buffer = vec![false; from.values.len()];
    for &o in &from.outputs {
        buffer[o] = true;
    }
    // Memory that several shapes share lies row by row.
    for v in 0..from.values.len() {
        if let Origin::View { of, .. } = from.values[v].origin {
            buffer[of] = true;
        }
    }
    for step in &from.steps {
        for (&v, &(_, form)) in step.inputs.iter().zip(&step.kernel.reads) {
            match form {
                Form::Buffer => buffer[v] = true,
                Form::Image { pad } => image[v] = image[v].max(Some(pad)),
            }
        }
    }
    let Lowered { values, steps, inputs, outputs } = from;
    let mut lowering = Lowering { caps, pick: &|_, _, _, _| 0, out: Lowered { inputs, ..Lowered::default() } };
    let mut now = vec![[usize::MAX; 2]; values.len()]; // as a buffer, as an image
    let mut steps = steps.into_iter();
    for (v, value) in values.into_iter().enumerate() {
        let made = match value.origin {
            Origin::Step(_) | Origin::Updated { .. } => {
                let Some(step) = steps.next() else { continue };
                let reads = step.inputs.iter().zip(&step.kernel.reads);
                let inputs = reads.map(|(&i, r)| now[i][usize::from(r.1 != Form::Buffer)]).collect();
                let made = lowering.step(Step { inputs, output: lowering.out.values.len(), ..step }, value.shape);
                widen(&mut lowering.out.values[made].form, image[v]);
                made
            }
            Origin::View { of, offset } => lowering.place_of(now[of][0], offset, value.shape, &value.label),
            _ => lowering.value(value),
        };
        now[v] = lowering.both_forms(made, buffer[v], image[v])?;
    }
    lowering.out.outputs = outputs.iter().map(|&o| now[o][0]).collect();
    Ok(lowering.out)
}

fn widen(form: &mut Form, wanted: Option<u32>) {
    if let Form::Image { pad } = form {
        *pad = (*pad).max(wanted.unwrap_or(0));
    }
}

impl Lowering<'_> {
    /// Value `made` as a buffer and as an image, converted where it is wanted.
    fn both_forms(&mut self, made: usize, buffer: bool, image: Option<u32>) -> Result<[usize; 2]> {
        let Value { shape, form, label, .. } = self.out.values[made].clone();
        match (form, image) {
            (Form::Buffer, Some(pad)) => {
                let converted = self.op(Rc::new(ToImage { pad }), vec![made], shape, &label, Role::Helper)?;
                widen(&mut self.out.values[converted].form, image);
                Ok([made, converted])
            }
            (Form::Image { .. }, _) if buffer => {
                Ok([self.op(Rc::new(ToBuffer), vec![made], shape, &label, Role::Helper)?, made])
            }
            _ => Ok([made, made]),
        }
    }
}
