//! Gradients by weights: products of what went in and of the gradient by what came out, added up over all pixels, or over all rows.

mod cases;
mod gemm;
mod parts;
mod software;

pub(super) use cases::cases;

use super::{Conv2d, Sizes, Window};
use crate::engine::{Caps, ENOUGH, Family, Kernel, Op, Var};
use crate::ops::Pad;
use crate::ops::epilogue::Epilogue;
use crate::shader;
use crate::tensor::{Shape, Tensor};
use parts::Split;
use std::ops::Range;

/// Inputs: what went in and the gradient by what came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WeightGradient {
    /// x `[n, h, w, ci]` and dy `[n, ho, wo, co]`; output `[co, ci/groups, kh, kw]`.
    Conv2dDw { window: Window, kernel: [usize; 2] },
    /// x `[.., ci]` and dy `[.., co]`; output `[co, ci]`.
    LinearDw,
}

use WeightGradient::{Conv2dDw, LinearDw};

impl<'g> Var<'g> {
    /// The gradient of [`conv2d_window`](Var::conv2d_window) of this picture `[n, h, w, ci]` by its weight, whose last two axes are
    /// `kernel`, where `dy` `[n, ho, wo, co]` is the one by its result: `[co, ci/groups, kh, kw]`.
    pub fn conv2d_dw(self, dy: Var<'g>, window: Window, kernel: [usize; 2]) -> Var<'g> {
        self.apply(Conv2dDw { window, kernel }, &[self, dy])
    }

    /// The gradient of [`matmul_t`](Var::matmul_t) of these rows `[.., i]` by the weight, where `dy` `[.., o]` is the one by its result:
    /// `[o, i]`, added up over all rows.
    pub fn linear_dw(self, dy: Var<'g>) -> Var<'g> {
        self.apply(LinearDw, &[self, dy])
    }
}

/// Trips that an invocation of the portable kernel makes at most, and as many as make a part where there are few outputs.
const TRIPS: [usize; 2] = [16384, 256];

impl WeightGradient {
    fn window(self) -> Window {
        match self {
            Conv2dDw { window, .. } => window,
            LinearDw => Window { stride: [1; 2], pad: Pad::from(0), groups: 1 },
        }
    }

    /// The sizes of the convolution; rows are a picture of one row.
    fn sizes(self, x: Shape, dy: Shape) -> Sizes {
        let groups = self.window().groups.max(1);
        match self {
            Conv2dDw { kernel: [kh, kw], .. } => {
                let ([n, h, w, ci], [_, ho, wo, co]) = (x.nhwc(), dy.nhwc());
                Sizes { n, h, w, ci, ho, wo, co, kh, kw, ci_group: ci / groups }
            }
            LinearDw => {
                let ((w, ci), co) = (x.rows(), dy.last());
                Sizes { n: 1, h: 1, w, ci, ho: 1, wo: w, co, kh: 1, kw: 1, ci_group: ci }
            }
        }
    }

    /// The sums over these pixels of the output: `[co, taps, ci/groups]`.
    fn sums(self, x: &[&Tensor], pixels: Range<usize>) -> Vec<f64> {
        let (s, window) = (self.sizes(x[0].shape, x[1].shape), self.window());
        let taps = s.kh * s.kw;
        let mut sums = vec![0.0; s.co * taps * s.ci_group];
        for (q, tap) in pixels.flat_map(|q| (0..taps).map(move |tap| (q, tap))) {
            let [n, oy, ox] = [q / (s.ho * s.wo), q / s.wo % s.ho, q % s.wo];
            let at = [oy * window.stride[0] + tap / s.kw, ox * window.stride[1] + tap % s.kw];
            let (Some(y), Some(x_)) = (at[0].checked_sub(window.pad.top), at[1].checked_sub(window.pad.left)) else {
                continue;
            };
            if y >= s.h || x_ >= s.w {
                continue;
            }
            let pixel = &x[0].data[((n * s.h + y) * s.w + x_) * s.ci..][..s.ci];
            for (o, d) in x[1].data[q * s.co..][..s.co].iter().enumerate() {
                let first = o / (s.co / window.groups) * s.ci_group;
                let row = sums[(o * taps + tap) * s.ci_group..].iter_mut();
                row.zip(&pixel[first..][..s.ci_group]).for_each(|(sum, v)| *sum += f64::from(*v) * f64::from(*d));
            }
        }
        sums
    }

    /// Params that every family of kernels has; an invocation goes from a pixel of the output to the one `step` later.
    fn params(self, kernel: Kernel, s: &Sizes, [pixels, step]: [usize; 2]) -> Kernel {
        let kernel = kernel
            .param("kw", s.kw)
            .param("pixels", pixels)
            .param("step_x", step % s.wo)
            .param("step_y", step / s.wo % s.ho)
            .param("step_n", step / s.wo / s.ho);
        Conv2d { window: self.window(), epilogue: Epilogue::NONE }.window_params(kernel, s)
    }

    /// One output of one part per invocation, any groups: runs everywhere.
    fn direct(self, s: &Sizes) -> Kernel {
        let (pixels, one) = (s.n * s.ho * s.wo, s.co * s.kh * s.kw * s.ci_group);
        let wanted = (ENOUGH as usize).div_ceil(one.div_ceil(64)).min(pixels / TRIPS[1]);
        let split = Split::new(pixels, wanted.max(pixels.div_ceil(TRIPS[0])), s.ci_group);
        let outputs = split.parts * one;
        let kernel = Kernel::new(shader!("conv_dw_direct"), 2, 64)
            .param("h", s.h)
            .param("w", s.w)
            .param("ci", s.ci)
            .param("taps", s.kh * s.kw)
            .param("ci_group", s.ci_group)
            .param("co_group", s.co / self.window().groups)
            .param("part", split.part)
            .param("outputs", outputs)
            .flat_groups(outputs.div_ceil(64))
            .iterations(split.part);
        split.ended(self, s, self.params(kernel, s, [pixels, 1]))
    }
}

impl Op for WeightGradient {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        let &[x, dy] = x else { return Err("expected what went in and the gradient by what came out".into()) };
        match *self {
            Conv2dDw { window, kernel: [kh, kw] } => {
                let groups = window.groups;
                if groups == 0 || x.rank() != 4 || dy.rank() != 4 || !x.dim(3).is_multiple_of(groups) {
                    return Err(format!("expected x [n, h, w, ci] and dy [n, ho, wo, co] of {groups} groups"));
                }
                let weight = Shape::from([dy.dim(3), x.dim(3) / groups, kh, kw]);
                let y = Conv2d { window, epilogue: Epilogue::NONE }.infer(&[x, weight])?;
                if y == dy { Ok(weight) } else { Err(format!("its convolution gives {y}, not {dy}")) }
            }
            LinearDw if x.rank() < 2 || x.is_empty() || dy.is_empty() => Err("expected rows".into()),
            LinearDw => {
                let outer = |s: Shape| s.dims().split_last().map(|(_, outer)| outer.to_vec());
                let fits = outer(x) == outer(dy);
                if fits { Ok(Shape::from([dy.last(), x.last()])) } else { Err(format!("{x} and {dy} differ in rows")) }
            }
        }
    }

    fn kernels(&self, x: &[Shape], _: Shape, caps: &Caps) -> Vec<Kernel> {
        let s = self.sizes(x[0], x[1]);
        let (software, gpu) = (software::kernels(*self, &s, caps), gemm::kernels(*self, &s, caps));
        let mut all = match caps.family {
            Family::Software => [software, gpu].concat(),
            Family::Gpu => [gpu, software].concat(),
        };
        all.push(self.direct(&s));
        all
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let s = self.sizes(x[0].shape, x[1].shape);
        let (sums, taps) = (self.sums(x, 0..s.n * s.ho * s.wo), s.kh * s.kw);
        Tensor::from_fn(y, |i| {
            let (tap, c, o) = (i % taps, i / taps % s.ci_group, i / taps / s.ci_group);
            sums[(o * taps + tap) * s.ci_group + c] as f32
        })
    }

    fn flops(&self, x: &[Shape], y: Shape) -> u64 {
        let s = self.sizes(x[0], x[1]);
        2 * (y.len() * s.n * s.ho * s.wo) as u64
    }
}
