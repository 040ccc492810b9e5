//! Runs one candidate of one op by itself, in memory fenced with guard words: what sweeps and `verify` look through.

use super::form::{Form, Geometry, places};
use super::gpu::{Gpu, Resource};
use super::graph::{Op, Source};
use super::lower::{Lowered, Origin, candidates, lower_exactly};
use super::plan::dispatch;
use super::shader::Kernel;
use crate::error::{Error, Result};
use crate::tensor::{Shape, Tensor};
use std::rc::Rc;

/// Words that follow every buffer inside its binding.
const GUARD: usize = 64;
/// A NaN that no arithmetic makes.
const PATTERN: u32 = 0x7fc0_dead;

/// What a probe saw.
#[derive(Debug)]
pub struct Probed {
    /// The op's output.
    pub output: Tensor,
    /// Writes beyond the output, into a ring or an unused channel.
    pub trespasses: Vec<String>,
}

/// How many candidates `op` has here for inputs of these shapes, with their names.
pub fn labels(gpu: &Gpu, op: &dyn Op, x: &[Shape]) -> Result<Vec<String>> {
    let y = op.infer(x).map_err(Error::Shape)?;
    Ok(candidates(op, x, y, &gpu.caps)?.iter().map(named).collect())
}

/// Label and forms: twins share a label.
fn named(kernel: &Kernel) -> String {
    kernel.forms.iter().fold(kernel.label(), |name, form| format!("{name} {}", form.1))
}

/// Runs candidate `number` of `op`. Inputs are bound with NaN words behind them, every value written with guard words behind it;
/// `checked` compiles with all of wgpu's checks.
pub fn probe(gpu: &Gpu, op: &Rc<dyn Op>, number: usize, inputs: &[&Tensor], checked: bool) -> Result<Probed> {
    let lowered = alone(gpu, op, number, inputs)?;
    let memory: Vec<Resource> =
        lowered.values.iter().map(|v| gpu.memory("probe", v.shape, v.form, 4 * GUARD as u64)).collect();
    for (value, resource) in lowered.values.iter().zip(&memory) {
        let tensor = if let Origin::Input(i) = value.origin { Some(inputs[i]) } else { None };
        fence(gpu, resource, value.shape, tensor);
    }
    for s in 0..lowered.steps.len() {
        dispatch(gpu, &lowered, s, &|v| memory.get(v), checked, 4 * GUARD as u64)?;
    }
    let mut trespasses = vec![];
    for (v, value) in lowered.values.iter().enumerate() {
        if let Origin::Step(s) | Origin::Updated { step: s, .. } = value.origin {
            let resource = &memory[lowered.place(v).0];
            let seen = inspect(gpu, resource, value.shape, value.form)?;
            trespasses.extend(seen.map(|what| format!("{}: {what}", lowered.steps[s].kernel.label())));
        }
    }
    let output = lowered.outputs[0];
    let (root, before) = lowered.place(output);
    let words = gpu.words(&memory[root])?;
    let whole = Tensor::new([words.len()], words);
    Ok(Probed { output: whole.view(before, lowered.values[output].shape), trespasses })
}

fn alone(gpu: &Gpu, op: &Rc<dyn Op>, number: usize, inputs: &[&Tensor]) -> Result<Lowered> {
    let shapes: Vec<Shape> = inputs.iter().map(|t| t.shape).collect();
    let shape = op.infer(&shapes).map_err(Error::Shape)?;
    let node = |source, inputs, shape, label: &str| super::graph::Node { source, inputs, shape, label: label.into() };
    let mut nodes: Vec<_> = shapes.iter().map(|&s| node(Source::Input, vec![], s, "x")).collect();
    nodes.push(node(Source::Op(op.clone()), (0..shapes.len()).collect(), shape, "op"));
    let name = format!("{op:?}");
    let pick = |asked: &dyn Op, _: &[Shape], _: Shape, _: &[super::Kernel]| {
        if format!("{asked:?}") == name { number } else { 0 }
    };
    lower_exactly(nodes, &[shapes.len()], &gpu.caps, &pick)
}

/// Fills a buffer with the tensor, or with guard words where there is none, and guard words behind.
fn fence(gpu: &Gpu, resource: &Resource, shape: Shape, tensor: Option<&Tensor>) {
    if let Resource::Buffer(buffer) = resource {
        let mut words = vec![PATTERN; shape.len() + GUARD];
        for (word, v) in words.iter_mut().zip(tensor.iter().flat_map(|t| &t.data)) {
            *word = v.to_bits();
        }
        gpu.queue.write_buffer(buffer, 0, bytemuck::cast_slice(&words));
    }
}

fn inspect(gpu: &Gpu, resource: &Resource, shape: Shape, form: Form) -> Result<Option<String>> {
    let words = gpu.words(resource)?;
    let foreign = match form {
        Form::Buffer => words.iter().skip(shape.len()).position(|w| w.to_bits() != PATTERN),
        Form::Image { pad } => {
            let g = Geometry::new(shape, pad, gpu.caps.image_side);
            let mut rest = words;
            places(shape, g).for_each(|at| rest[g.index(at)] = 0.0);
            rest.iter().position(|w| *w != 0.0)
        }
    };
    Ok(foreign.map(|at| match form {
        Form::Buffer => format!("guard word {at} behind the output was overwritten"),
        Form::Image { .. } => {
            format!("component {at} of the image is in the ring or an unused channel and is not zero")
        }
    }))
}
