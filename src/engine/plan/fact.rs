//! What is known of a dispatch without running it.

use super::super::form::Form;
use super::super::graph::name_in;
use super::super::lower::{Lowered, Role, Step};
use crate::tensor::Shape;

/// One dispatch of a plan.
#[derive(Clone, Debug)]
pub struct Fact {
    /// Path of the weights, or name of the op.
    pub label: String,
    /// What it is, its batch aside: op and shapes.
    pub key: String,
    /// Name of the op, as in `conv2d`.
    pub op: String,
    /// File of the shader, without extension.
    pub shader: &'static str,
    /// Readable name of the kernel: shader and the constants that make it this candidate.
    pub kernel: String,
    /// Shapes of what it reads, packed weights included.
    pub inputs: Vec<Shape>,
    /// Shape of what it writes.
    pub shape: Shape,
    /// Form of what it writes.
    pub form: Form,
    /// Which slot of the plan it writes to.
    pub slot: Option<usize>,
    /// What it is to the graph.
    pub role: Role,
    /// Workgroups.
    pub groups: [u32; 3],
    /// Floating-point operations, a multiply-add counted as two, by the shapes before packing.
    pub flops: u64,
    /// Bytes read and written at least: every input and the output once.
    pub bytes: u64,
}

impl Fact {
    /// Workgroups in all.
    pub fn workgroups(&self) -> u64 {
        self.groups.iter().map(|&g| u64::from(g)).product()
    }

    pub(crate) fn new(lowered: &Lowered, step: &Step, slot: Option<usize>) -> Fact {
        let inputs: Vec<Shape> = step.inputs.iter().map(|&v| lowered.values[v].shape).collect();
        let value = &lowered.values[step.output];
        let elements = inputs.iter().map(Shape::len).sum::<usize>() + value.shape.len();
        Fact {
            label: step.label.clone(),
            key: step.key.clone(),
            op: name_in(&step.key), // of the node, where the step makes a part of it
            shader: step.kernel.shader.name,
            kernel: step.kernel.label(),
            inputs,
            shape: value.shape,
            form: value.form,
            slot,
            role: step.role,
            groups: step.kernel.groups,
            flops: step.flops,
            bytes: 4 * elements as u64,
        }
    }
}
