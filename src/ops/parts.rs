//! Adds up sums that were made in parts: what follows a product whose sum over k is split over workgroups.

use super::tile::{Sum, Tile, Way};
use crate::engine::{Activation, Caps, Form, Kernel, Op, Parts};
use crate::ops::epilogue::Epilogue;
use crate::ops::{Case, Fill};
use crate::shader;
use crate::tensor::{Shape, Tensor};
use std::fmt;
use std::rc::Rc;

/// Inputs: x `[parts * n, .., c]`, part after part, then bias `[c]` and residual `[n, .., c]` where they are there. Output `[n, .., c]`:
/// the parts added in their order, then bias, residual, activation.
#[derive(Clone, Copy)]
pub(crate) struct SumParts {
    pub parts: usize,
    pub epilogue: Epilogue,
}

impl fmt::Debug for SumParts {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.epilogue.fields(f.debug_struct("SumParts").field("parts", &self.parts)).finish()
    }
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
    epilogue: Epilogue,
    op: impl Op + 'static,
    kernel: impl Fn(Tile, Way) -> Kernel,
) -> Vec<Kernel> {
    let both = Parts { op: Rc::new(op), sum: Rc::new(SumParts { parts: sum.parts, epilogue }) };
    let made = |(tile, way): (Tile, Way)| {
        let kernel = sum.set(kernel(tile, way), tile.step, way).ordered(sum.order()).unchecked();
        let stores = if way == Way::Split { Epilogue::NONE } else { epilogue };
        let kernel = stores.on(kernel, Form::Buffer, ["residual4", "residual4_none"]);
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
        self.epilogue.check(rest, y).map(|()| y)
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
        vec![self.epilogue.on(kernel, Form::Buffer, ["residual4", "residual4_none"])]
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        Tensor::from_fn(y, |i| {
            let sum = (0..self.parts).map(|k| f64::from(x[0].data[k * y.len() + i])).sum();
            self.epilogue.finished(sum, &x[1..], [i % y.last(), i])
        })
    }
}

/// Cases of the sweep.
pub fn cases() -> Vec<Case> {
    let sloped = |parts| SumParts { parts, epilogue: Epilogue::sloped(Activation::Relu) };
    let sum = |parts, what: [bool; 3]| SumParts { parts, epilogue: Epilogue::of(what) };
    vec![
        Case::new(sum(1, [false; 3]), &[&[3, 4]]),
        Case::new(sum(5, [false; 3]), &[&[35, 12]]).fill(Fill::Outliers),
        Case::new(sum(16, [true, false, false]), &[&[16, 1000], &[1000]]),
        Case::new(sum(3, [true; 3]), &[&[6, 5, 7, 20], &[20], &[2, 5, 7, 20]]),
        Case::new(sum(4, [false, true, true]), &[&[8, 9, 28], &[2, 9, 28]]).fill(Fill::NonFinite),
        Case::new(sloped(3), &[&[6, 5, 20], &[2, 5, 20]]).fill(Fill::NonFinite).planted_in(1),
    ]
}
