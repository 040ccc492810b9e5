//! Which kernels of an op an adapter can run. No GPU call here.

use super::form::{Caps, Form, Geometry};
use super::graph::Op;
use super::lower::MAX_ITERATIONS;
use super::shader::Kernel;
use crate::error::{Error, Result};
use crate::tensor::Shape;

/// The ring in texels that an image which a node reads or writes has room for at least. A reader looks for itself whether the image fits
/// with the ring that it wants, however wide that is; this is so that what is written as an image need not be converted for the reader
/// after it: no convolution of a published network pads by more.
pub(super) const RING: u32 = 3;

/// The candidates of `op` that an adapter can run at these shapes, best guess first.
///
/// # Errors
/// [`Error::Shader`] where there is none.
pub fn candidates(op: &dyn Op, x: &[Shape], y: Shape, caps: &Caps) -> Result<Vec<Kernel>> {
    candidates_with(op, x, y, (caps, RING))
}

/// The candidates whose images have room for a ring that wide.
pub(super) fn candidates_with(op: &dyn Op, x: &[Shape], y: Shape, (caps, ring): (&Caps, u32)) -> Result<Vec<Kernel>> {
    let mut kernels = op.kernels(x, y, caps);
    let offered = kernels.len();
    kernels.retain(|k| {
        k.runs_on(caps) && k.iterations <= MAX_ITERATIONS && images_fit(k, x, y, (caps, ring)) && parts_fit(k, x, caps)
    });
    if kernels.is_empty() {
        let message = format!(
            "none of {offered} candidates of {op:?} runs here at {x:?} -> {y}: each passes a limit of the adapter or {MAX_ITERATIONS} loop trips"
        );
        return Err(Error::Shader { name: format!("{op:?}"), message });
    }
    Ok(kernels)
}

/// Whether the parts that a kernel writes, where it does, can be bound.
fn parts_fit(kernel: &Kernel, x: &[Shape], caps: &Caps) -> bool {
    let read = &x[..kernel.reads.len().min(x.len())];
    let shape = kernel.parts.as_ref().map(|parts| parts.op.infer(read));
    shape.is_none_or(|shape| shape.is_ok_and(|shape| 4 * shape.len() as u64 <= caps.binding_bytes))
}

/// Whether the images that a kernel reads and writes fit, each with the ring that it asks for and with one that wide.
fn images_fit(kernel: &Kernel, x: &[Shape], y: Shape, (caps, ring): (&Caps, u32)) -> bool {
    let packed = |i: usize| kernel.packs.iter().any(|p| p.0 == i);
    let reads = kernel.reads.iter().enumerate().filter(|(i, _)| !packed(*i)).map(|(i, r)| (x.get(i), r.1));
    reads.chain([(Some(&y), kernel.writes)]).all(|(shape, form)| match (shape, form) {
        (Some(&s), Form::Image { pad }) => Geometry::new(s, pad.max(ring), caps.image_side).fits(caps.image_side),
        _ => true,
    })
}
