//! Gradients of windows by the picture that they look at: every element sums over the windows that hold it, row by row.

use super::{Kind, Pool, WG, software_first};
use crate::engine::{Caps, Finish, Form, Kernel, Op};
use crate::ops::epilogue::Epilogue;
use crate::ops::{fours, widths};
use crate::shader;
use crate::tensor::{Shape, Tensor};
use std::fmt;
use std::rc::Rc;

/// Of windows over a picture of shape `x`. Inputs: of a mean dy; of a maximum the places of the first largest, and dy; then those of the
/// epilogue.
#[derive(Clone, Copy)]
pub(super) struct PoolDx {
    pub pool: Pool,
    pub x: Shape,
    pub epilogue: Epilogue,
}

impl fmt::Debug for PoolDx {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.epilogue.fields(f.debug_struct("PoolDx").field("pool", &self.pool).field("x", &self.x)).finish()
    }
}

/// Input: a picture. Output, of the windows' shape and whole numbers of 32 bits: the place of the first largest value of each, its row times
/// k plus its column, in the window as it was before it was clipped to the picture. NaN is larger than all.
#[derive(Debug)]
pub(super) struct PoolFirst {
    pub pool: Pool,
}

/// Sides from which floats in `shaders/lib/windows.wgsl` would no longer tell windows apart.
const LARGEST: usize = 1 << 19;

/// The params that all kernels here share.
fn window_params(pool: &Pool, kernel: Kernel, [x, y]: [Shape; 2]) -> Kernel {
    let kernel = kernel.param("h", x.dim(1)).param("w", x.dim(2)).param("out_h", y.dim(1)).param("out_w", y.dim(2));
    kernel.param("k", pool.k).param("stride", pool.stride).param("top", pool.pad.top).param("left", pool.pad.left)
}

/// Those of kernels on buffers, and their workgroups.
fn params(pool: &Pool, kernel: Kernel, [x, y]: [Shape; 2], (len, width): (usize, usize)) -> Kernel {
    let kernel = kernel.param("len", len / width).param("c", x.dim(3) / width);
    window_params(pool, kernel, [x, y]).flat_groups((len / width).div_ceil(WG))
}

impl Pool {
    /// Picture, row and column of window number `at`.
    fn place(at: usize, y: Shape) -> [usize; 3] {
        [at / (y.dim(1) * y.dim(2)), at / y.dim(2) % y.dim(1), at % y.dim(2)]
    }
}

impl Op for PoolFirst {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        self.pool.infer(x)
    }

    fn kernels(&self, x: &[Shape], y: Shape, _: &Caps) -> Vec<Kernel> {
        let by = |width: usize| {
            let kernel = Kernel::new(shader!("pool_first"), 1, WG as u32);
            let kernel = if width == 4 { fours(kernel).set("B", "vec4<bool>") } else { kernel };
            let kernel = params(&self.pool, kernel, [x[0], y], (y.len(), width));
            kernel.iterations(self.pool.k * (self.pool.k + 1))
        };
        widths(y.last()).map(by).collect()
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let (Pool { k, stride, pad, .. }, [_, h, w, c]) = (self.pool, x[0].shape.nhwc());
        Tensor::from_fn(y, |i| {
            let [picture, r, s] = Pool::place(i / c, y);
            let [rows, columns] = self.pool.window(r, s, h, w);
            let value = |(r, s): (usize, usize)| x[0].data[((picture * h + r) * w + s) * c + i % c];
            let beats = |a: f32, b: f32| a > b || (a.is_nan() && !b.is_nan());
            let places = rows.flat_map(|r| columns.clone().map(move |s| (r, s)));
            let first = places.reduce(|a, b| if beats(value(b), value(a)) { b } else { a });
            let number = |(u, v): (usize, usize)| (u + pad.top - r * stride) * k + v + pad.left - s * stride;
            f32::from_bits(first.map_or(0, number) as u32)
        })
    }

    fn flops(&self, _: &[Shape], y: Shape) -> u64 {
        (y.len() * self.pool.k * self.pool.k) as u64
    }
}

impl Op for PoolDx {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        let dy = self.pool.infer(&[self.x])?;
        if self.x.dim(1).max(self.x.dim(2)).max(self.pool.stride) >= LARGEST {
            return Err(format!("a picture {} is too large for gradients: sides below {LARGEST}", self.x));
        }
        let inputs = self.inputs();
        match x.split_at_checked(inputs) {
            Some((own, rest)) if own.iter().all(|given| *given == dy) => self.epilogue.check(rest, self.x).map(|()| self.x),
            _ => Err(format!("expected {inputs} of shape {dy} for a picture {}", self.x)),
        }
    }

    fn kernels(&self, x: &[Shape], _: Shape, caps: &Caps) -> Vec<Kernel> {
        let windows = self.pool.k.div_ceil(self.pool.stride);
        let by = |width: usize| {
            let kernel = match self.pool.kind {
                Kind::Max if width == 4 => fours(Kernel::new(shader!("pool_max_dx"), 2, WG as u32)),
                Kind::Max => Kernel::new(shader!("pool_max_dx"), 2, WG as u32),
                Kind::Mean { count_pad } => {
                    let kernel = Kernel::new(shader!("pool_mean_dx"), 1, WG as u32).set("COUNT_PAD", count_pad);
                    if width == 4 { kernel.set("T", "vec4f") } else { kernel }
                }
            };
            let kernel = params(&self.pool, kernel, [self.x, x[0]], (self.x.len(), width));
            let kernel = kernel.set("MOST", windows).iterations(windows * (1 + windows));
            if width == 4 {
                let kernel = kernel.import("finish_one", "finish_four");
                self.epilogue.on(kernel, Form::Buffer, ["residual4", "residual4_none"])
            } else {
                self.epilogue.on(kernel, Form::Buffer, ["residual", "residual_none"])
            }
        };
        let images = software_first(caps, self.on_images(x[0], windows)).flatten();
        images.chain(widths(self.x.last()).map(by)).collect()
    }

    fn fuse(&self, finish: Finish) -> Option<Rc<dyn Op>> {
        let Finish::Slope(_) = finish else { return None };
        Some(Rc::new(PoolDx { epilogue: self.epilogue.then(finish)?, ..*self }))
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let (Pool { kind, k, stride, pad }, [_, h, w, c]) = (self.pool, y.nhwc());
        let (dy, rest) = (x[self.inputs() - 1], &x[self.inputs()..]);
        let mut sums = vec![0.0f64; y.len()];
        for (i, &by) in dy.data.iter().enumerate() {
            let [picture, r, s] = Pool::place(i / c, dy.shape);
            let [rows, columns] = self.pool.window(r, s, h, w);
            let count = if kind == (Kind::Mean { count_pad: true }) { k * k } else { rows.len() * columns.len() };
            for (u, v) in rows.flat_map(|u| columns.clone().map(move |v| (u, v))) {
                let own = (u + pad.top - r * stride) * k + v + pad.left - s * stride;
                let share = match kind {
                    Kind::Max if x[0].data[i].to_bits() != own as u32 => continue,
                    Kind::Max => f64::from(by),
                    Kind::Mean { .. } => f64::from(by) / count as f64,
                };
                sums[((picture * h + u) * w + v) * c + i % c] += share;
            }
        }
        Tensor::from_fn(y, |i| self.epilogue.finished(sums[i], rest, [i % c, i]))
    }

    fn flops(&self, x: &[Shape], _: Shape) -> u64 {
        x.first().map_or(0, |dy| (dy.len() * self.pool.k * self.pool.k) as u64)
    }
}

impl PoolDx {
    /// Inputs that are not the epilogue's.
    fn inputs(&self) -> usize {
        if self.pool.kind == Kind::Max { 2 } else { 1 }
    }

    /// Twins on images, of means.
    fn on_images(&self, dy: Shape, windows: usize) -> Vec<Kernel> {
        let Kind::Mean { count_pad } = self.pool.kind else { return vec![] };
        let [n, h, w, co] = self.x.nhwc();
        let kernel = Kernel::new(shader!("pool_mean_dx_image"), 1, WG as u32).set("COUNT_PAD", count_pad);
        let kernel = kernel.read(0, 2, Form::Image { pad: 0 }).set("MOST", windows).iterations(windows * (1 + windows));
        let kernel = window_params(&self.pool, kernel.param("n", n).param("co", co), [self.x, dy]);
        self.epilogue.twins(&kernel.flat_groups((n * h * w * co.div_ceil(4)).div_ceil(WG)), co)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equal_ones_has_the_gradient() {
        let pool = Pool { kind: Kind::Max, k: 2, stride: 1, pad: 0.into() };
        let x = Tensor::new([1, 2, 3, 1], vec![1.0, 1.0, f32::NAN, 0.0, 1.0, f32::NAN]);
        let (op, dy) = (PoolDx { pool, x: x.shape, epilogue: Epilogue::NONE }, Tensor::new([1, 1, 2, 1], vec![3.0, 5.0]));
        let first = PoolFirst { pool }.reference(&[&x], dy.shape);
        assert_eq!(first.data.iter().map(|v| v.to_bits()).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(op.infer(&[first.shape, dy.shape]), Ok(x.shape));
        assert_eq!(op.reference(&[&first, &dy], x.shape).data, [3.0, 0.0, 5.0, 0.0, 0.0, 0.0]);
        assert!(op.infer(&[x.shape, x.shape]).unwrap_err().contains("[1,1,2,1]"));
        let mean = PoolDx { pool: Pool { kind: Kind::Mean { count_pad: true }, ..pool }, ..op };
        assert_eq!(mean.reference(&[&dy], x.shape).data, [0.75, 2.0, 1.25, 0.75, 2.0, 1.25]);
    }
}
