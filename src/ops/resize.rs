//! Pictures `[n, h, w, c]` at another size: bilinear or nearest, pixel centres at halves (PyTorch's `align_corners=False`), without
//! antialiasing.

use crate::engine::{Backward, Caps, Kernel, Op, Var};
use crate::ops::{Case, Fill, widths};
use crate::shader;
use crate::tensor::{Shape, Tensor};

#[derive(Debug)]
struct Resize {
    to: [usize; 2],
    nearest: bool,
}

/// Gradient of a picture by one with `size` places along `axis` that it was made of: every place sums over those that read it, in their
/// order.
#[derive(Debug)]
struct ResizeDx {
    axis: usize,
    size: usize,
    nearest: bool,
}

impl<'g> Var<'g> {
    /// At `h x w`, bilinear: `src = max(0, (dst + 0.5) in / out - 0.5)`, edges repeated.
    pub fn resize_bilinear(self, h: usize, w: usize) -> Var<'g> {
        self.apply(Resize { to: [h, w], nearest: false }, &[self])
    }

    /// At `h x w`, every pixel from `src = floor(dst in / out)`.
    pub fn resize_nearest(self, h: usize, w: usize) -> Var<'g> {
        self.apply(Resize { to: [h, w], nearest: true }, &[self])
    }
}

const WG: usize = 64;

/// The two source indices of output index `at` and the weight of the second. Coordinates are f32, as PyTorch's are: where they fall
/// on a pixel but for rounding, exact ones would differ from its values by 1.6e-5.
fn taps(at: usize, from: usize, to: usize) -> (usize, usize, f64) {
    let source = ((at as f32 + 0.5) * (from as f32 / to as f32) - 0.5).max(0.0);
    let first = (source as usize).min(from - 1);
    (first, (first + 1).min(from - 1), f64::from(source - first as f32))
}

impl Op for Resize {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        let [h, w] = self.to;
        match x {
            [x] if x.rank() == 4 && !x.is_empty() && h * w > 0 && h.max(w).max(x.dim(1)).max(x.dim(2)) < 1 << 15 => {
                Ok(Shape::from([x.dim(0), h, w, x.dim(3)]))
            }
            _ => Err(format!("expected one picture [n, h, w, c] and a size between 1 and 32767, not {h}x{w}")),
        }
    }

    fn kernels(&self, x: &[Shape], y: Shape, _: &Caps) -> Vec<Kernel> {
        let [_, h, w, c] = x[0].nhwc();
        let [out_h, out_w] = self.to;
        let by = |width: usize| {
            let kernel = Kernel::new(shader!("resize"), 1, WG as u32).set("NEAREST", self.nearest);
            let kernel = if width == 4 { kernel.set("T", "vec4f") } else { kernel };
            kernel
                .param("elements", y.len() / width)
                .param("h", h)
                .param("w", w)
                .param("c", c / width)
                .param("out_h", out_h)
                .param("out_w", out_w)
                .param("scale_y", h as f32 / out_h as f32)
                .param("scale_x", w as f32 / out_w as f32)
                .flat_groups((y.len() / width).div_ceil(WG))
        };
        widths(c).map(by).collect()
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let [_, h, w, c] = x[0].shape.nhwc();
        let [out_h, out_w] = self.to;
        Tensor::from_fn(y, |i| {
            let (channel, column, row, n) = (i % c, i / c % out_w, i / c / out_w % out_h, i / c / out_w / out_h);
            let at = |r: usize, s: usize| f64::from(x[0].data[((n * h + r) * w + s) * c + channel]);
            if self.nearest {
                return at(row * h / out_h, column * w / out_w) as f32;
            }
            let ((top, bottom, down), (left, right, along)) = (taps(row, h, out_h), taps(column, w, out_w));
            let line = |r: usize| at(r, left) * (1.0 - along) + at(r, right) * along;
            (line(top) * (1.0 - down) + line(bottom) * down) as f32
        })
    }

    /// Along the rows, then along the columns: the weight of a pixel is a product.
    fn vjp<'g>(&self, at: &Backward<'_, 'g>) -> Option<Vec<Option<Var<'g>>>> {
        let along = |dy: Var<'g>, axis: usize| {
            let (size, nearest) = (at.x[0].dim(axis), self.nearest);
            if dy.dim(axis) == size { dy } else { dy.apply(ResizeDx { axis, size, nearest }, &[dy]) }
        };
        Some(vec![at.by(0, || along(along(at.dy, 1), 2))])
    }

    fn flops(&self, _: &[Shape], y: Shape) -> u64 {
        if self.nearest { 0 } else { 8 * y.len() as u64 }
    }
}

impl ResizeDx {
    /// Lines, places along each, elements at a place.
    fn lines(&self, x: Shape) -> [usize; 3] {
        let inner = x.dims()[self.axis + 1..].iter().product::<usize>();
        [x.len() / (inner * x.dim(self.axis)), x.dim(self.axis), inner]
    }
}

impl Op for ResizeDx {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        let axis = self.axis;
        match x {
            [x] if axis < x.rank() && !x.is_empty() && self.size > 0 && self.size.max(x.dim(axis)) < 1 << 15 => {
                let mut dims = x.dims().to_vec();
                dims[axis] = self.size;
                Ok(Shape::new(&dims))
            }
            _ => Err(format!("expected a tensor with an axis {axis} and a size between 1 and 32767, not {}", self.size)),
        }
    }

    fn kernels(&self, x: &[Shape], y: Shape, _: &Caps) -> Vec<Kernel> {
        let [_, to, inner] = self.lines(x[0]);
        let by = |width: usize| {
            let kernel = Kernel::new(shader!("resize_dx"), 1, WG as u32).set("NEAREST", self.nearest);
            let kernel = if width == 4 { kernel.set("T", "vec4f") } else { kernel };
            let kernel = kernel.param("len", y.len() / width).param("inner", inner / width).param("size", self.size);
            let kernel = kernel.param("to", to).param("scale", self.size as f32 / to as f32);
            let kernel = kernel.param("inverse", to as f32 / self.size as f32);
            kernel.iterations((2 * to).div_ceil(self.size) + 6).flat_groups((y.len() / width).div_ceil(WG))
        };
        widths(inner).map(by).collect()
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let ([_, to, inner], size) = (self.lines(x[0].shape), self.size);
        let mut sums = vec![0.0f64; y.len()];
        for (i, &dy) in x[0].data.iter().enumerate() {
            let (line, place) = (i / inner / to, i / inner % to);
            let (first, second, share) = match self.nearest {
                true => (place * size / to, 0, 0.0),
                false => taps(place, size, to),
            };
            let mut add = |at: usize, share: f64| sums[(line * size + at) * inner + i % inner] += share * f64::from(dy);
            if self.nearest || first == second {
                add(first, 1.0);
            } else {
                add(first, 1.0 - share);
                add(second, share);
            }
        }
        Tensor::new(y, sums.into_iter().map(|v| v as f32).collect())
    }

    fn flops(&self, x: &[Shape], _: Shape) -> u64 {
        if self.nearest { x[0].len() as u64 } else { 4 * x[0].len() as u64 }
    }
}

/// Cases of the sweep.
pub fn cases() -> Vec<Case> {
    let bilinear = |h, w| Resize { to: [h, w], nearest: false };
    let nearest = |h, w| Resize { to: [h, w], nearest: true };
    let dx = |axis, size, nearest, dy: &[usize]| Case::new(ResizeDx { axis, size, nearest }, &[dy]).bound(1e-11);
    vec![
        dx(1, 5, false, &[2, 11, 13, 3]),
        dx(2, 7, false, &[2, 5, 13, 4]),
        // Sizes at which no place falls on a pixel but for rounding, which would decide what a NaN reaches.
        dx(2, 8, false, &[2, 5, 13, 4]).fill(Fill::NonFinite),
        dx(1, 128, false, &[1, 56, 20, 8]),
        dx(1, 127, false, &[1, 63, 7, 2]),
        dx(2, 1, false, &[1, 3, 200, 1]).fill(Fill::Outliers),
        dx(1, 128, false, &[1, 63, 7, 2]).fill(Fill::NonFinite),
        dx(2, 33, false, &[1, 2, 64, 5]),
        dx(2, 9, false, &[3, 2, 1, 4]),
        dx(1, 5, true, &[2, 11, 13, 3]).fill(Fill::NonFinite),
        dx(2, 17, true, &[1, 3, 4, 8]),
        dx(1, 32, true, &[1, 256, 9, 1]),
        Case::new(bilinear(11, 13), &[&[2, 5, 7, 3]]),
        Case::new(bilinear(28, 28), &[&[1, 14, 14, 8]]).fill(Fill::Outliers),
        Case::new(bilinear(3, 4), &[&[2, 5, 7, 4]]).fill(Fill::NonFinite),
        Case::new(bilinear(1, 1), &[&[1, 9, 2, 1]]),
        Case::new(bilinear(224, 200), &[&[1, 1, 1, 1]]),
        Case::new(bilinear(5, 7), &[&[1, 5, 7, 2]]).fill(Fill::Outliers),
        Case::new(nearest(11, 13), &[&[2, 5, 7, 3]]).fill(Fill::NonFinite),
        Case::new(nearest(256, 256), &[&[1, 32, 32, 1]]),
        Case::new(nearest(3, 4), &[&[3, 5, 7, 8]]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let x = Tensor::new([1, 1, 2, 1], vec![1.0, 5.0]);
        let run = |op: Resize| op.reference(&[&x], op.infer(&[x.shape]).unwrap()).data;
        assert_eq!(run(Resize { to: [1, 4], nearest: false }), [1.0, 2.0, 4.0, 5.0]);
        assert_eq!(run(Resize { to: [2, 3], nearest: true }), [1.0, 1.0, 5.0, 1.0, 1.0, 5.0]);
        assert!(Resize { to: [0, 4], nearest: true }.infer(&[x.shape]).is_err());
        assert!(Resize { to: [4, 4], nearest: true }.infer(&[Shape::from([4, 4])]).is_err());
    }
}
