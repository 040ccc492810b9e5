//! A matrix product whose sum is made in parts, each for itself: a node that another one adds up.

use super::{Matmul, kernels};
use crate::engine::{Caps, Kernel, Op};
use crate::ops::parts;
use crate::ops::tile::{STEP, Sum};
use crate::tensor::{Shape, Tensor};

/// Inputs as of a product without bias, residual and ReLU; output `[parts * m, n]` or `[parts * batch, m, n]`. A part is so many steps of
/// [`STEP`] of k.
#[derive(Clone, Copy, Debug)]
pub(super) struct MatmulParts {
    pub matmul: Matmul,
    pub sum: Sum,
}

impl Op for MatmulParts {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        Ok(parts::shape(self.sum.parts, self.matmul.infer(x)?))
    }

    /// The tiles that split, as a product has them.
    fn kernels(&self, x: &[Shape], _: Shape, caps: &Caps) -> Vec<Kernel> {
        let Ok(s) = self.matmul.sizes(x[0], x[1]) else { return vec![] };
        let mut all = kernels::gemm(&self.matmul, &s, caps);
        all.retain_mut(|k| k.parts.take().is_some());
        all
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let mut out = Tensor::zeros(y);
        let each = y.len() / self.sum.parts;
        let Ok(one) = self.matmul.infer(&[x[0].shape, x[1].shape]) else { return out };
        let part = STEP * self.sum.part();
        for (i, data) in out.data.chunks_mut(each).enumerate() {
            data.copy_from_slice(&self.matmul.sums(x, one, i * part..(i + 1) * part).data);
        }
        out
    }

    fn flops(&self, x: &[Shape], _: Shape) -> u64 {
        self.matmul.infer(x).map_or(0, |y| self.matmul.flops(x, y))
    }
}
