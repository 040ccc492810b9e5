//! Adds up sums that were made in parts: what follows a product whose sum over k is split over workgroups.

use super::tile::{Sum, Tile, Way};
use crate::engine::{Caps, Form, Kernel, Op, Parts};
use crate::ops::{Case, Fill, epilogue, finished};
use crate::shader;
use crate::tensor::{Shape, Tensor};
use std::rc::Rc;

/// Inputs: x `[parts * n, .., c]`, part after part, then bias `[c]` and residual `[n, .., c]` where they are there. Output `[n, .., c]`:
/// the parts added in their order, then bias, residual, ReLU.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SumParts {
    pub parts: usize,
    pub bias: bool,
    pub add: bool,
    pub relu: bool,
}

/// Shape of the parts of a sum of shape `y`.
pub(crate) fn shape(parts: usize, y: Shape) -> Shape {
    let mut dims = y.dims().to_vec();
    dims[0] *= parts;
    Shape::new(&dims)
}

/// Candidates of a product that is summed as `sum`: `kernel` makes one for a tile and a way, with `epilogue` where it stores outputs; a
/// split one is followed by the sum of what `op` means.
pub(crate) fn kernels(
    (sum, ways): (Sum, Vec<(Tile, Way)>),
    [bias, add, relu]: [bool; 3],
    op: impl Op + 'static,
    kernel: impl Fn(Tile, Way) -> Kernel,
) -> Vec<Kernel> {
    let both = Parts { op: Rc::new(op), sum: Rc::new(SumParts { parts: sum.parts, bias, add, relu }) };
    let made = |(tile, way): (Tile, Way)| {
        let kernel = sum.set(kernel(tile, way), tile.step, way).ordered(sum.order()).unchecked();
        let stores = if way == Way::Split { [false; 3] } else { [bias, add, relu] };
        let kernel = epilogue(kernel, stores, Form::Buffer, ["residual4", "residual4_none"]);
        if way == Way::Split { kernel.in_parts(both.clone()) } else { kernel }
    };
    ways.into_iter().map(made).collect()
}

impl Op for SumParts {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        let [x, rest @ ..] = x else { return Err("expected parts".into()) };
        let fits = self.parts > 0 && x.rank() > 0 && x.dim(0).is_multiple_of(self.parts) && x.last().is_multiple_of(4);
        if !fits || x.is_empty() {
            return Err(format!("expected {} parts with columns in fours, {x} given", self.parts));
        }
        let mut dims = x.dims().to_vec();
        dims[0] /= self.parts;
        let y = Shape::new(&dims);
        let expected = [(self.bias, Shape::from([y.last()])), (self.add, y)];
        let expected: Vec<Shape> = expected.iter().filter(|o| o.0).map(|o| o.1).collect();
        if rest == expected { Ok(y) } else { Err(format!("expected {expected:?} after the parts")) }
    }

    /// Columns in fours: so have the products that are split.
    fn kernels(&self, _: &[Shape], y: Shape, _: &Caps) -> Vec<Kernel> {
        let quads = y.len() / 4;
        let kernel = Kernel::new(shader!("sum_parts"), 1, 64)
            .param("parts", self.parts)
            .param("quads", quads)
            .param("columns4", y.last() / 4)
            .flat_groups(quads.div_ceil(64))
            .iterations(self.parts);
        vec![epilogue(kernel, [self.bias, self.add, self.relu], Form::Buffer, ["residual4", "residual4_none"])]
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        Tensor::from_fn(y, |i| {
            let sum = (0..self.parts).map(|k| f64::from(x[0].data[k * y.len() + i])).sum();
            finished(sum, [self.bias, self.add, self.relu], &x[1..], [i % y.last(), i])
        })
    }
}

/// Cases of the sweep.
pub fn cases() -> Vec<Case> {
    let plain = |parts| SumParts { parts, bias: false, add: false, relu: false };
    vec![
        Case::new(plain(1), &[&[3, 4]]),
        Case::new(plain(5), &[&[35, 12]]).fill(Fill::Outliers),
        Case::new(SumParts { bias: true, ..plain(16) }, &[&[16, 1000], &[1000]]),
        Case::new(SumParts { bias: true, add: true, relu: true, ..plain(3) }, &[&[6, 5, 7, 20], &[20], &[2, 5, 7, 20]]),
        Case::new(SumParts { add: true, relu: true, ..plain(4) }, &[&[8, 9, 28], &[2, 9, 28]]).fill(Fill::NonFinite),
    ]
}
