//! Patch vectors: the window around every pixel of `[n, h, w, c]`, pooled to a wanted number of values without ever being stored
//! (PatchCore's neighbourhood aggregation, section 3.1 of Roth et al. 2022, as its official implementation does it).

use crate::engine::{Caps, Kernel, Op, Var};
use crate::ops::{Case, Fill};
use crate::shader;
use crate::tensor::{Shape, Tensor};

#[derive(Debug)]
struct PatchPool {
    k: usize,
    bins: usize,
}

impl<'g> Var<'g> {
    /// The `k x k` window of every pixel (k odd, zeros outside), flattened in the order channel, row, column and adaptively
    /// average-pooled to `bins` values: `[n, h, w, bins]`.
    pub fn patch_pool(self, k: usize, bins: usize) -> Var<'g> {
        self.apply(PatchPool { k, bins }, &[self])
    }

    /// The channels adaptively average-pooled to `bins`: bin i is the mean of `floor(i c / bins) .. ceil((i + 1) c / bins)`.
    pub fn channel_pool(self, bins: usize) -> Var<'g> {
        self.patch_pool(1, bins)
    }
}

const WG: usize = 64;

impl Op for PatchPool {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        let PatchPool { k, bins } = *self;
        match x {
            [x] if x.rank() == 4 && !x.is_empty() && k % 2 == 1 && k < 32 && bins > 0 => {
                if bins.saturating_mul(x.dim(3) * k * k) >= 1 << 30 {
                    return Err(format!("windows of {} values cannot be pooled to {bins}", x.dim(3) * k * k));
                }
                Ok(Shape::from([x.dim(0), x.dim(1), x.dim(2), bins]))
            }
            _ => Err(format!("expected a picture [n, h, w, c], an odd window below 32 and at least one bin, not {self:?}")),
        }
    }

    fn kernels(&self, x: &[Shape], y: Shape, _: &Caps) -> Vec<Kernel> {
        let [_, h, w, c] = x[0].nhwc();
        let kernel = Kernel::new(shader!("patch_pool"), 1, WG as u32)
            .set("K", format!("{}u", self.k))
            .param("elements", y.len())
            .param("h", h)
            .param("w", w)
            .param("c", c)
            .param("bins", self.bins)
            .iterations((c * self.k * self.k).div_ceil(self.bins) + 1)
            .flat_groups(y.len().div_ceil(WG));
        vec![kernel]
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let [_, h, w, c] = x[0].shape.nhwc();
        let (values, area, pad) = (c * self.k * self.k, self.k * self.k, self.k / 2);
        Tensor::from_fn(y, |i| {
            let (bin, column, row, n) =
                (i % self.bins, i / self.bins % w, i / self.bins / w % h, i / self.bins / w / h);
            let range = bin * values / self.bins..((bin + 1) * values).div_ceil(self.bins);
            let value = |v: usize| {
                let (r, s) = (row + v % area / self.k, column + v % self.k);
                let inside = (pad..h + pad).contains(&r) && (pad..w + pad).contains(&s);
                if inside { f64::from(x[0].data[((n * h + r - pad) * w + s - pad) * c + v / area]) } else { 0.0 }
            };
            (range.clone().map(value).sum::<f64>() / range.len() as f64) as f32
        })
    }

    fn flops(&self, x: &[Shape], y: Shape) -> u64 {
        (y.len() / self.bins * x[0].last() * self.k * self.k) as u64
    }
}

/// Cases of the sweep.
pub fn cases() -> Vec<Case> {
    let case = |k, bins, x: &[usize]| Case::new(PatchPool { k, bins }, &[x]);
    vec![
        case(3, 16, &[2, 6, 6, 8]),
        case(3, 64, &[1, 5, 7, 16]).fill(Fill::Outliers),
        case(5, 16, &[1, 4, 3, 8]),
        case(3, 100, &[2, 3, 3, 7]).fill(Fill::NonFinite),
        case(1, 6, &[2, 6, 6, 32]),
        case(1, 384, &[1, 2, 2, 2048]),
        case(1, 10, &[1, 3, 2, 4]),
        case(3, 1, &[1, 2, 2, 70]).fill(Fill::Outliers),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_may_share_a_value() {
        let x = Tensor::new([1, 1, 1, 3], vec![1.0, 2.0, 6.0]);
        let op = PatchPool { k: 1, bins: 2 };
        assert_eq!(op.reference(&[&x], op.infer(&[x.shape]).unwrap()).data, [1.5, 4.0]);
        assert!(PatchPool { k: 2, bins: 2 }.infer(&[x.shape]).is_err());
        assert!(PatchPool { k: 3, bins: 0 }.infer(&[x.shape]).is_err());
    }
}
