//! Gradient of a convolution by its picture: a convolution of the gradient by its result, with weights turned around. Where the window
//! moves by more than one pixel, each remainder of a pixel's place by the stride, a *phase*, meets weights of its own: phases are made as
//! output channels, and the picture is put together of them.

use super::Window;
use crate::engine::{Caps, Family, Kernel, Op, Var};
use crate::ops::{Case, Fill, Pad, widths};
use crate::shader;
use crate::tensor::{Shape, Tensor};

/// One axis of the way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Axis {
    stride: usize,
    /// Zeros before the picture.
    pad: usize,
    /// Remainders that a tap reaches.
    phases: usize,
    /// Taps of a phase.
    taps: usize,
    /// The quotient of place and stride with which the convolution of the way back begins.
    first: usize,
    /// Zeros around what it reads.
    around: [usize; 2],
}

impl Axis {
    /// For a window of `k` that moves by `stride` over `size` pixels with `pad` zeros before them, and gives `out`.
    ///
    /// Pixel `i` lies at place `u = i + pad` and gets `dy[u / stride - j] * w[u % stride + stride * j]` for every tap `j` of its phase.
    fn new(stride: usize, k: usize, pad: usize, [size, out]: [usize; 2]) -> Axis {
        let stride = stride.max(1);
        let taps = k.div_ceil(stride).max(1);
        // Places before that quotient see nothing; the window must not begin within what it reads, nor end there.
        let first = (pad / stride).min(taps - 1);
        let end = ((size + pad).saturating_sub(1) / stride + 1).max(out);
        let around = [taps - 1 - first, end - out];
        Axis { stride, pad, phases: stride.min(k).max(1), taps, first, around }
    }

    /// Whether what the convolution gives is the picture, of `size` pixels out of `out`.
    fn whole(&self, [size, out]: [usize; 2]) -> bool {
        self.stride == 1 && self.first == self.pad && out + self.around[1] - self.first == size
    }
}

/// Input `[co, ci/groups, kh, kw]`, output the weight of the way back: `[groups * phases * ci/groups, co/groups, taps down, taps across]`.
#[derive(Clone, Copy, Debug)]
struct TurnedWeight {
    stride: [usize; 2],
    groups: usize,
}

/// Input `[n, .., .., groups * phases * ci/groups]`, output `[n, h, w, ci]`, zero where no tap reaches.
#[derive(Clone, Copy, Debug)]
struct FromPhases {
    axes: [Axis; 2],
    groups: usize,
    size: [usize; 2],
}

impl<'g> Var<'g> {
    /// The gradient of [`conv2d_window`](Var::conv2d_window) with `weight` by its picture, of `size` `[h, w]`, where this is the one by its
    /// result `[n, ho, wo, co]`: `[n, h, w, ci]`.
    pub fn conv2d_dx(self, weight: Var<'g>, window: Window, size: [usize; 2]) -> Var<'g> {
        let Window { stride, pad, groups } = window;
        let axis = |i: usize, pad: usize| Axis::new(stride[i], weight.dim(2 + i), pad, [size[i], self.dim(1 + i)]);
        let [down, across] = [axis(0, pad.top), axis(1, pad.left)];
        let turned = weight.apply(TurnedWeight { stride, groups }, &[weight]);
        let [top, bottom] = down.around;
        let [left, right] = across.around;
        let back = Window { stride: [1; 2], pad: Pad { top, left, bottom, right }, groups };
        let phases = self.conv2d_window(turned, back);
        if down.whole([size[0], self.dim(1)]) && across.whole([size[1], self.dim(2)]) {
            return phases;
        }
        phases.apply(FromPhases { axes: [down, across], groups, size }, &[phases])
    }
}

const WG: usize = 64;

impl TurnedWeight {
    /// Phases and taps of both axes.
    fn axes(&self, w: Shape) -> [Axis; 2] {
        [0, 1].map(|i| Axis::new(self.stride[i], w.dim(2 + i), 0, [1, 1]))
    }
}

impl Op for TurnedWeight {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        let &[w] = x else { return Err("expected one weight".into()) };
        if w.rank() != 4 || w.is_empty() || self.groups == 0 || !w.dim(0).is_multiple_of(self.groups) {
            return Err(format!("expected a weight [co, ci/groups, kh, kw] of {} groups", self.groups));
        }
        let [down, across] = self.axes(w);
        let made = self.groups * down.phases * across.phases * w.dim(1);
        Ok(Shape::from([made, w.dim(0) / self.groups, down.taps, across.taps]))
    }

    fn kernels(&self, x: &[Shape], y: Shape, caps: &Caps) -> Vec<Kernel> {
        let [down, across] = self.axes(x[0]);
        let window = down.taps * across.taps;
        let kernel = |whole: bool| {
            let count = if whole { y.len() / window } else { y.len() };
            Kernel::new(shader!("conv_dx_weights"), 1, WG as u32)
                .set("WHOLE", whole)
                .param("count", count)
                .param("ci_group", x[0].dim(1))
                .param("co_group", y.dim(1))
                .param("kh", x[0].dim(2))
                .param("kw", x[0].dim(3))
                .param("stride_h", down.stride)
                .param("stride_w", across.stride)
                .param("phases_h", down.phases)
                .param("phases_w", across.phases)
                .param("high", down.taps)
                .param("wide", across.taps)
                .flat_groups(count.div_ceil(WG))
                .iterations(window + down.taps)
        };
        let whole = (caps.family == Family::Software).then(|| kernel(true));
        whole.into_iter().chain([kernel(false)]).collect()
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let (w, [down, across]) = (x[0].shape, self.axes(x[0].shape));
        let [_, co, high, wide] = y.nhwc();
        let [_, ci, kh, kw] = w.nhwc();
        Tensor::from_fn(y, |i| {
            let (mx, my, o, made) = (i % wide, i / wide % high, i / wide / high % co, i / wide / high / co);
            let (c, phase, group) = (made % ci, made / ci, made / ci / across.phases / down.phases);
            let ky = phase / across.phases % down.phases + down.stride * (high - 1 - my);
            let kx = phase % across.phases + across.stride * (wide - 1 - mx);
            let at = (((group * co + o) * ci + c) * kh + ky) * kw + kx;
            if ky < kh && kx < kw { x[0].data[at] } else { 0.0 }
        })
    }
}

impl FromPhases {
    fn phases(&self) -> usize {
        self.axes[0].phases * self.axes[1].phases
    }
}

impl Op for FromPhases {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        let &[x] = x else { return Err("expected phases".into()) };
        let (of, [h, w]) = (self.phases() * self.groups, self.size);
        if x.rank() != 4 || x.is_empty() || of == 0 || !x.dim(3).is_multiple_of(of) || h * w == 0 {
            return Err(format!("expected {} phases of {} groups", self.phases(), self.groups));
        }
        let fits = |i: usize, a: &Axis| (self.size[i] - 1 + a.pad) / a.stride < x.dim(1 + i) + a.first;
        if !fits(0, &self.axes[0]) || !fits(1, &self.axes[1]) {
            return Err(format!("{x} holds no phases of a picture of {h}x{w}"));
        }
        Ok(Shape::from([x.dim(0), h, w, x.dim(3) / self.phases()]))
    }

    fn kernels(&self, x: &[Shape], y: Shape, _: &Caps) -> Vec<Kernel> {
        let [down, across] = self.axes;
        let of_group = y.dim(3) / self.groups;
        let by = |width: usize| {
            let kernel = Kernel::new(shader!("conv_dx_pixels"), 1, WG as u32)
                .set("SH", format!("{}u", down.stride))
                .set("SW", format!("{}u", across.stride))
                .set("GROUPED", self.groups > 1);
            let kernel = if width == 4 { kernel.set("T", "vec4f") } else { kernel };
            kernel
                .param("len", y.len() / width)
                .param("h", self.size[0])
                .param("w", self.size[1])
                .param("c", y.dim(3) / width)
                .param("ci_group", of_group / width)
                .param("high", x[0].dim(1))
                .param("wide", x[0].dim(2))
                .param("pad_top", down.pad)
                .param("pad_left", across.pad)
                .param("first_y", down.first)
                .param("first_x", across.first)
                .param("phases_h", down.phases)
                .param("phases_w", across.phases)
                .flat_groups((y.len() / width).div_ceil(WG))
        };
        widths(of_group).map(by).collect()
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let ([_, high, wide, _], [_, h, w, ci]) = (x[0].shape.nhwc(), y.nhwc());
        let ([down, across], of_group) = (self.axes, ci / self.groups);
        Tensor::from_fn(y, |i| {
            let (c, column, row, n) = (i % ci, i / ci % w + across.pad, i / ci / w % h + down.pad, i / ci / w / h);
            let (ry, rx) = (row % down.stride, column % across.stride);
            if ry >= down.phases || rx >= across.phases {
                return 0.0;
            }
            let phase = (c / of_group * down.phases + ry) * across.phases + rx;
            let pixel = (n * high + row / down.stride - down.first) * wide + column / across.stride - across.first;
            x[0].data[(pixel * self.groups * self.phases() + phase) * of_group + c % of_group]
        })
    }
}

/// Cases of the sweep.
pub(super) fn cases() -> Vec<Case> {
    let turned = |stride: [usize; 2], groups, w: &[usize]| Case::new(TurnedWeight { stride, groups }, &[w]);
    let phases = |window: Window, weight: [usize; 4], x: [usize; 4]| {
        let (Window { stride, pad, groups }, [_, ci, kh, kw], [n, h, w, _]) = (window, weight, x);
        let out = |size: usize, k: usize, stride: usize, pad: usize| (size + pad - k) / stride + 1;
        let [ho, wo] = [out(h, kh, stride[0], pad.top + pad.bottom), out(w, kw, stride[1], pad.left + pad.right)];
        let axes = [Axis::new(stride[0], kh, pad.top, [h, ho]), Axis::new(stride[1], kw, pad.left, [w, wo])];
        let [high, wide] = [ho + axes[0].around[1] - axes[0].first, wo + axes[1].around[1] - axes[1].first];
        let made = groups * axes[0].phases * axes[1].phases * ci;
        Case::new(FromPhases { axes, groups, size: [h, w] }, &[&[n, high, wide, made]]).fill(Fill::NonFinite)
    };
    let plain = |stride: usize, pad: usize| Window { stride: [stride; 2], pad: Pad::from(pad), groups: 1 };
    let lopsided = Window { stride: [3, 2], pad: Pad { top: 0, left: 2, bottom: 3, right: 1 }, groups: 2 };
    vec![
        turned([1, 1], 1, &[5, 7, 4, 4]).fill(Fill::NonFinite),
        turned([2, 2], 1, &[6, 3, 3, 3]),
        turned([2, 2], 1, &[8, 5, 1, 1]),
        turned([2, 1], 3, &[12, 4, 5, 2]),
        turned([1, 2], 10, &[10, 1, 3, 3]),
        phases(plain(2, 1), [6, 8, 3, 3], [2, 9, 12, 8]),
        phases(plain(2, 0), [6, 5, 1, 1], [1, 8, 7, 5]),
        phases(plain(2, 1), [6, 12, 4, 4], [1, 10, 11, 12]),
        phases(plain(1, 4), [6, 3, 3, 3], [1, 5, 4, 3]),
        phases(lopsided, [6, 4, 4, 3], [2, 11, 9, 8]),
    ]
}
