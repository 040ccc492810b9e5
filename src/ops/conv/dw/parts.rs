//! The gradient by a weight as the sums of parts of the pixels, and what adds them up and puts them where weights have them.

use super::{Sizes, WeightGradient};
use crate::engine::{Caps, Kernel, Op, Parts};
use crate::shader;
use crate::tensor::{Shape, Tensor};
use std::rc::Rc;

/// Pixels that parts come in multiples of, but for the last: steps of all tiles divide it.
const UNIT: usize = 16;

/// How the sums over pixels are made: in parts, `[parts * co, taps, width]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Split {
    /// How many.
    pub parts: usize,
    /// Pixels of each; the last has what is left.
    pub part: usize,
    /// Channels of a tap: zeros beyond the weight's own.
    pub width: usize,
}

impl Split {
    /// `pixels` in about so many parts.
    pub(super) fn new(pixels: usize, parts: usize, width: usize) -> Split {
        let part = pixels.div_ceil(parts.max(1)).next_multiple_of(UNIT);
        Split { parts: pixels.div_ceil(part), part, width }
    }

    /// The kernel, which writes these parts, with what follows it: nothing where that is the weight's gradient already.
    pub(super) fn ended(self, of: WeightGradient, s: &Sizes, kernel: Kernel) -> Kernel {
        if self.parts == 1 && s.kh * s.kw == 1 && self.width == s.ci_group {
            return kernel;
        }
        let sum =
            TapSum { parts: self.parts, ci: s.ci_group, kernel: [s.kh, s.kw], matrix: of == WeightGradient::LinearDw };
        kernel.in_parts(Parts { op: Rc::new(TapParts { of, split: self }), sum: Rc::new(sum) })
    }
}

/// Inputs as of the gradient; output `[parts * co, taps, width]`.
#[derive(Clone, Copy, Debug)]
struct TapParts {
    of: WeightGradient,
    split: Split,
}

impl Op for TapParts {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        let y = self.of.infer(x)?;
        Ok(Shape::from([self.split.parts * y.dim(0), y.dim(2) * y.dim(3), self.split.width]))
    }

    /// The kernels of the gradient that write these parts.
    fn kernels(&self, x: &[Shape], _: Shape, caps: &Caps) -> Vec<Kernel> {
        let Ok(y) = self.of.infer(x) else { return vec![] };
        let mut all = self.of.kernels(x, y, caps);
        let own = format!("{self:?}");
        all.retain_mut(|k| k.parts.take().is_some_and(|parts| format!("{:?}", parts.op) == own));
        all
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let (s, Split { parts, part, width }) = (self.of.sizes(x[0].shape, x[1].shape), self.split);
        let (pixels, mut out) = (s.n * s.ho * s.wo, Tensor::zeros(y));
        for (k, data) in out.data.chunks_mut(y.len() / parts).enumerate() {
            let sums = self.of.sums(x, k * part..((k + 1) * part).min(pixels));
            for (row, sums) in data.chunks_mut(width).zip(sums.chunks(s.ci_group)) {
                row.iter_mut().zip(sums).for_each(|(v, sum)| *v = *sum as f32);
            }
        }
        out
    }

    fn flops(&self, x: &[Shape], _: Shape) -> u64 {
        self.of.infer(x).map_or(0, |y| self.of.flops(x, y))
    }
}

/// Input `[parts * co, taps, width]`, output `[co, ci, kh, kw]`, or `[co, ci]`: the parts added in their order.
#[derive(Clone, Copy, Debug)]
pub(super) struct TapSum {
    pub parts: usize,
    pub ci: usize,
    pub kernel: [usize; 2],
    pub matrix: bool,
}

impl Op for TapSum {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        let ([kh, kw], &[x]) = (self.kernel, x) else { return Err("expected parts".into()) };
        let fits = self.parts > 0 && x.rank() == 3 && x.dim(0).is_multiple_of(self.parts);
        if !fits || x.dim(1) != kh * kw || x.dim(2) < self.ci || x.is_empty() {
            return Err(format!("expected {} parts of {} taps, {x} given", self.parts, kh * kw));
        }
        let co = x.dim(0) / self.parts;
        Ok(if self.matrix { Shape::from([co, self.ci]) } else { Shape::from([co, self.ci, kh, kw]) })
    }

    fn kernels(&self, x: &[Shape], y: Shape, _: &Caps) -> Vec<Kernel> {
        let kernel = Kernel::new(shader!("conv_dw_sum"), 1, 64)
            .param("elements", y.len())
            .param("ci", self.ci)
            .param("taps", x[0].dim(1))
            .param("width", x[0].dim(2))
            .param("parts", self.parts)
            .param("part", x[0].len() / self.parts)
            .flat_groups(y.len().div_ceil(64))
            .iterations(self.parts);
        vec![kernel]
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let (taps, width, part) = (x[0].shape.dim(1), x[0].shape.dim(2), x[0].shape.len() / self.parts);
        Tensor::from_fn(y, |i| {
            let from = (i / taps / self.ci * taps + i % taps) * width + i / taps % self.ci;
            (0..self.parts).map(|k| f64::from(x[0].data[k * part + from])).sum::<f64>() as f32
        })
    }
}
