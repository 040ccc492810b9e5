//! Gradients of windows by the picture that they look at: every element sums over the windows that hold it, row by row.

use super::{Kind, Pool, WG};
use crate::engine::{Caps, Kernel, Op};
use crate::ops::{fours, widths};
use crate::shader;
use crate::tensor::{Shape, Tensor};

/// Of windows over a picture of shape `x`. Inputs: of a mean dy; of a maximum x and dy, where the first of equal ones has it all.
#[derive(Debug)]
pub(super) struct PoolDx {
    pub pool: Pool,
    pub x: Shape,
}

impl PoolDx {
    fn kernel(&self, dy: Shape, width: usize) -> Kernel {
        let Pool { kind, k, stride, pad } = self.pool;
        let [_, h, w, c] = self.x.nhwc();
        let windows = k.div_ceil(stride);
        let kernel = match kind {
            Kind::Max => {
                let kernel = Kernel::new(shader!("pool_max_dx"), 2, WG as u32);
                let kernel = if width == 4 { fours(kernel).set("B", "vec4<bool>") } else { kernel };
                kernel.iterations(windows * (1 + windows * (1 + k * (1 + k))))
            }
            Kind::Mean { count_pad } => {
                let kernel = Kernel::new(shader!("pool_mean_dx"), 1, WG as u32).set("COUNT_PAD", count_pad);
                let kernel = if width == 4 { kernel.set("T", "vec4f") } else { kernel };
                kernel.iterations(windows * (1 + windows))
            }
        };
        let kernel = kernel.param("len", self.x.len() / width).param("h", h).param("w", w).param("c", c / width);
        let kernel = kernel.param("out_h", dy.dim(1)).param("out_w", dy.dim(2)).param("k", k).param("stride", stride);
        let kernel = kernel.param("top", pad.top).param("left", pad.left);
        kernel.flat_groups((self.x.len() / width).div_ceil(WG))
    }
}

/// Whether a value replaces the largest one so far: NaN is larger than all.
fn beats(a: f32, b: f32) -> bool {
    a > b || (a.is_nan() && !b.is_nan())
}

impl Op for PoolDx {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        let dy = self.pool.infer(&[self.x])?;
        match (self.pool.kind, x) {
            (Kind::Max, [x, given]) if *x == self.x && *given == dy => Ok(*x),
            (Kind::Mean { .. }, [given]) if *given == dy => Ok(self.x),
            _ => Err(format!("expected a gradient {dy} of a picture {}", self.x)),
        }
    }

    fn kernels(&self, x: &[Shape], _: Shape, _: &Caps) -> Vec<Kernel> {
        let Some(&dy) = x.last() else { return vec![] };
        widths(self.x.last()).map(|width| self.kernel(dy, width)).collect()
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let ([_, h, w, c], dy) = (y.nhwc(), x[x.len() - 1]);
        let [_, out_h, out_w, _] = dy.shape.nhwc();
        let mut sums = vec![0.0f64; y.len()];
        for (i, &dy) in dy.data.iter().enumerate() {
            let (channel, at) = (i % c, i / c);
            let (picture, r, s) = (at / (out_w * out_h), at / out_w % out_h, at % out_w);
            let [rows, columns] = self.pool.window(r, s, h, w);
            let count = rows.len() * columns.len();
            let place = |(r, s): (usize, usize)| ((picture * h + r) * w + s) * c + channel;
            let places = rows.flat_map(|r| columns.clone().map(move |s| (r, s))).map(place);
            match self.pool.kind {
                Kind::Max => {
                    let first = places.reduce(|a, b| if beats(x[0].data[b], x[0].data[a]) { b } else { a });
                    first.into_iter().for_each(|a| sums[a] += f64::from(dy));
                }
                Kind::Mean { count_pad } => {
                    let count = if count_pad { self.pool.k * self.pool.k } else { count };
                    places.for_each(|a| sums[a] += f64::from(dy) / count as f64);
                }
            }
        }
        Tensor::new(y, sums.into_iter().map(|v| v as f32).collect())
    }

    fn flops(&self, x: &[Shape], _: Shape) -> u64 {
        x.last().map_or(0, |dy| (dy.len() * self.pool.k * self.pool.k) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equal_ones_has_the_gradient() {
        let pool = Pool { kind: Kind::Max, k: 2, stride: 1, pad: 0.into() };
        let x = Tensor::new([1, 2, 3, 1], vec![1.0, 1.0, f32::NAN, 0.0, 1.0, f32::NAN]);
        let op = PoolDx { pool, x: x.shape };
        let dy = Tensor::new([1, 1, 2, 1], vec![3.0, 5.0]);
        assert_eq!(op.infer(&[x.shape, dy.shape]), Ok(x.shape));
        assert_eq!(op.reference(&[&x, &dy], x.shape).data, [3.0, 0.0, 5.0, 0.0, 0.0, 0.0]);
        assert!(op.infer(&[x.shape, x.shape]).unwrap_err().contains("[1,1,2,1]"));
        let mean = PoolDx { pool: Pool { kind: Kind::Mean { count_pad: true }, ..pool }, x: x.shape };
        assert_eq!(mean.reference(&[&dy], x.shape).data, [0.75, 2.0, 1.25, 0.75, 2.0, 1.25]);
    }
}
