//! Joins the two forms of memory: buffer to image and back. The plan puts these nodes in; models never see them.

use super::form::{Caps, Form};
use super::graph::Op;
use super::shader::Kernel;
use crate::shader;
use crate::tensor::{Shape, Tensor};

/// Buffer to image, with a ring of `pad` zeros around the planes of pictures.
#[derive(Debug)]
pub struct ToImage {
    /// Width of the ring; the plan may widen it.
    pub pad: u32,
}

/// Image to buffer.
#[derive(Debug)]
pub struct ToBuffer;

const WG: u32 = 64;

/// Shape rule of both.
fn same(x: &[Shape]) -> Result<Shape, String> {
    match x {
        [x] if !x.is_empty() => Ok(*x),
        _ => Err("one input with elements is expected".into()),
    }
}

/// Sizes that both kernels share: a picture `[n, h, w, c]`, or a matrix as rows of `plane_w`.
fn kernel(kernel: Kernel, shape: Shape) -> Kernel {
    let picture = shape.rank() == 4;
    let (rows, c) = shape.rows();
    let [_, h, w, _] = shape.nhwc();
    let planes = if c.div_ceil(4) < 16 { 1 } else { 16 }; // fewer would leave invocations idle
    let row_blocks = rows.div_ceil(WG as usize / planes);
    kernel
        .set("PLANES", format!("{planes}u"))
        .set("PICTURE", picture)
        .param("h", if picture { h } else { 1 })
        .param("w", if picture { w } else { 1 })
        .param("c", c)
        .param("rows", rows)
        .param("row_blocks", row_blocks)
        .flat_groups(row_blocks * c.div_ceil(4).div_ceil(planes))
}

/// The kernel that moves four channels at once where they come in fours: drivers on the processor look up an address for each lane and
/// access, whatever its size.
fn in_fours(kernel: Kernel, shape: Shape, [one, four]: [&'static str; 2]) -> Kernel {
    if shape.rows().1.is_multiple_of(4) { kernel.import(one, four) } else { kernel }
}

impl Op for ToImage {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        same(x)
    }

    fn kernels(&self, x: &[Shape], _: Shape, _: &Caps) -> Vec<Kernel> {
        let pad = if x[0].rank() == 4 { self.pad } else { 0 };
        let kernel = kernel(Kernel::new(shader!("to_image"), 1, WG).write(Form::Image { pad }), x[0]);
        vec![in_fours(kernel, x[0], ["quad_in_one", "quad_in_four"])]
    }

    fn reference(&self, x: &[&Tensor], _: Shape) -> Tensor {
        x[0].clone()
    }
}

impl Op for ToBuffer {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        same(x)
    }

    fn kernels(&self, x: &[Shape], _: Shape, _: &Caps) -> Vec<Kernel> {
        let kernel = kernel(Kernel::new(shader!("to_buffer"), 1, WG).read(0, 2, Form::Image { pad: 0 }), x[0]);
        vec![in_fours(kernel, x[0], ["quad_out_one", "quad_out_four"])]
    }

    fn reference(&self, x: &[&Tensor], _: Shape) -> Tensor {
        x[0].clone()
    }
}
