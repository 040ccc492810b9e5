//! Convolution over NHWC pictures; any kernel, stride, asymmetric padding and groups; bias, residual and activation in the epilogue.

mod cases;
mod depthwise;
mod dw;
mod dx;
mod gemm;
mod parts;
mod software;

use crate::engine::{Backward, Caps, Family, Finish, Form, Kernel, Op, Var};
use crate::ops::{Case, Pad};
use crate::ops::epilogue::Epilogue;
use crate::shader;
use crate::tensor::{Shape, Tensor};
use std::fmt;
use std::ops::Range;
use std::rc::Rc;

/// How a convolution moves over its picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Steps downwards and to the right.
    pub stride: [usize; 2],
    /// Zeros around the picture.
    pub pad: Pad,
    /// Groups of channels that do not see each other.
    pub groups: usize,
}

/// Inputs: x `[n, h, w, ci]`, weight `[co, ci/groups, kh, kw]` as checkpoints have it, then bias `[co]` and residual
/// `[n, ho, wo, co]` where they are there. Output `[n, ho, wo, co]`.
#[derive(Clone, Copy)]
pub struct Conv2d {
    window: Window,
    epilogue: Epilogue,
}

impl fmt::Debug for Conv2d {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.epilogue.fields(f.debug_struct("Conv2d").field("window", &self.window)).finish()
    }
}

impl<'g> Var<'g> {
    /// Convolution of `[n, h, w, ci]` with `weight` `[co, ci, kh, kw]`, without bias (add one: it is fused).
    pub fn conv2d(self, weight: Var<'g>, stride: usize, pad: impl Into<Pad>) -> Var<'g> {
        self.conv2d_window(weight, Window { stride: [stride; 2], pad: pad.into(), groups: 1 })
    }

    /// Convolution with any window; `weight` is `[co, ci/groups, kh, kw]`.
    pub fn conv2d_window(self, weight: Var<'g>, window: Window) -> Var<'g> {
        self.apply(Conv2d { window, epilogue: Epilogue::NONE }, &[self, weight])
    }
}

impl Conv2d {
    /// Output size of an axis of `size` under a kernel of `k`, or what is wrong.
    fn out(&self, axis: usize, size: usize, k: usize) -> Result<usize, String> {
        let (stride, p) = (self.window.stride[axis], self.window.pad);
        let padded = size + if axis == 0 { p.top + p.bottom } else { p.left + p.right };
        if stride == 0 || k == 0 {
            return Err("stride and kernel must be at least 1".into());
        }
        let rest = padded.checked_sub(k).ok_or(format!("a kernel of {k} passes the padded picture of {padded}"))?;
        Ok(rest / stride + 1)
    }

    /// Params that every family of kernels has.
    fn window_params(&self, kernel: Kernel, s: &Sizes) -> Kernel {
        let Window { stride, pad, .. } = self.window;
        kernel
            .param("stride_h", stride[0])
            .param("stride_w", stride[1])
            .param("pad_top", pad.top)
            .param("pad_left", pad.left)
            .param("ho", s.ho)
            .param("wo", s.wo)
            .param("co", s.co)
    }

    /// One output per invocation, buffers, any groups: runs everywhere.
    fn direct(&self, s: &Sizes) -> Kernel {
        let outputs = s.n * s.ho * s.wo * s.co;
        let kernel = Kernel::new(shader!("conv_direct"), 2, 64)
            .param("h", s.h)
            .param("w", s.w)
            .param("ci", s.ci)
            .param("outputs", outputs)
            .param("kh", s.kh)
            .param("kw", s.kw)
            .param("ci_group", s.ci_group)
            .param("co_group", s.co / self.window.groups)
            .flat_groups(outputs.div_ceil(64))
            .iterations(s.kh * s.kw * s.ci_group);
        self.epilogue.on(self.window_params(kernel, s), Form::Buffer, ["residual", "residual_none"])
    }
}

/// Sizes of one convolution.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    n: usize,
    h: usize,
    w: usize,
    ci: usize,
    ho: usize,
    wo: usize,
    co: usize,
    kh: usize,
    kw: usize,
    ci_group: usize,
}

impl Sizes {
    fn new(x: &[Shape], y: Shape) -> Sizes {
        let ([n, h, w, ci], [_, ho, wo, co]) = (x[0].nhwc(), y.nhwc());
        Sizes { n, h, w, ci, ho, wo, co, kh: x[1].dim(2), kw: x[1].dim(3), ci_group: x[1].dim(1) }
    }
}

impl Op for Conv2d {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        let [picture, weight, rest @ ..] = x else { return Err("expected a picture and a weight".into()) };
        if picture.rank() != 4 || weight.rank() != 4 || picture.is_empty() || weight.is_empty() {
            return Err("expected x [n, h, w, ci] and weight [co, ci, kh, kw]".into());
        }
        let ([n, h, w, ci], [co, ci_group, kh, kw], groups) = (picture.nhwc(), weight.nhwc(), self.window.groups);
        if groups == 0 || ci_group * groups != ci || co % groups != 0 {
            return Err(format!("{ci} channels do not fit {groups} groups of a weight for {ci_group}"));
        }
        let y = Shape::from([n, self.out(0, h, kh)?, self.out(1, w, kw)?, co]);
        self.epilogue.check(rest, y).map(|()| y)
    }

    fn kernels(&self, x: &[Shape], y: Shape, caps: &Caps) -> Vec<Kernel> {
        let s = Sizes::new(x, y);
        let (software, gpu) = (software::kernels(self, &s, caps), gemm::kernels(self, &s, caps));
        let alone = depthwise::kernels(self, &s, caps);
        let mut all = match caps.family {
            Family::Software => [alone, software, gpu].concat(),
            Family::Gpu => [alone, gpu, software].concat(),
        };
        all.push(self.direct(&s));
        all
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        self.sums(x, y, 0..usize::MAX)
    }

    fn fuse(&self, finish: Finish) -> Option<Rc<dyn Op>> {
        Some(Rc::new(Conv2d { epilogue: self.epilogue.then(finish)?, ..*self }))
    }

    fn vjp<'g>(&self, at: &Backward<'_, 'g>) -> Option<Vec<Option<Var<'g>>>> {
        let (&[x, w], Epilogue::NONE) = (at.x, self.epilogue) else { return None };
        let dx = || at.dy.conv2d_dx(w, self.window, [x.dim(1), x.dim(2)]);
        let dw = || x.conv2d_dw(at.dy, self.window, [w.dim(2), w.dim(3)]);
        Some(vec![at.by(0, dx), at.by(1, dw)])
    }

    fn flops(&self, x: &[Shape], y: Shape) -> u64 {
        let s = Sizes::new(x, y);
        2 * (y.len() * s.kh * s.kw * s.ci_group) as u64
    }
}

/// Cases of the sweep: of convolution and of both its gradients.
pub fn cases() -> Vec<Case> {
    [cases::cases(), dw::cases(), dx::cases()].into_iter().flatten().collect()
}

impl Conv2d {
    /// The output if only these steps of the sum are made.
    fn sums(&self, x: &[&Tensor], y: Shape, steps: Range<usize>) -> Tensor {
        let s = Sizes::new(&[x[0].shape, x[1].shape], y);
        let mut out = Tensor::zeros(y);
        let w = x[1].permute(&[0, 2, 3, 1]); // channels innermost: the loop below runs along both
        for (pixel, row) in out.data.chunks_mut(s.co).enumerate() {
            let at = [pixel / (s.ho * s.wo), pixel / s.wo % s.ho, pixel % s.wo];
            for (c, v) in row.iter_mut().enumerate() {
                let sum = self.dot(&s, [&x[0].data, &w.data], at, c, &steps);
                *v = self.epilogue.finished(sum, &x[2..], [c, pixel * s.co + c]);
            }
        }
        out
    }

    /// Sum of these steps over the window at output pixel `[picture, row, column]` for output channel `c`; `w` is
    /// `[co, kh, kw, ci/groups]`.
    fn dot(&self, s: &Sizes, [x, w]: [&[f32]; 2], [n, oy, ox]: [usize; 3], c: usize, steps: &Range<usize>) -> f64 {
        let Window { stride, pad, groups } = self.window;
        let first = c / (s.co / groups) * s.ci_group;
        let mut sum = 0.0;
        for tap in 0..s.kh * s.kw {
            let (y, x_) = (oy * stride[0] + tap / s.kw, ox * stride[1] + tap % s.kw);
            let (Some(y), Some(x_)) = (y.checked_sub(pad.top), x_.checked_sub(pad.left)) else { continue };
            if y < s.h && x_ < s.w {
                let channels = parts::channels(steps, tap, s.ci_group);
                let a = &x[((n * s.h + y) * s.w + x_) * s.ci + first..][channels.clone()];
                let b = &w[(c * s.kh * s.kw + tap) * s.ci_group..][channels];
                sum += a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
            }
        }
        sum
    }
}
