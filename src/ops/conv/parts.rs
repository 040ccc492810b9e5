//! A convolution whose sum over taps and channels is made in parts, each for itself: a node that another one adds up.

use super::{Conv2d, Sizes, gemm};
use crate::engine::{Caps, Kernel, Op};
use crate::ops::parts;
use crate::ops::tile::{STEP, Sum};
use crate::tensor::{Shape, Tensor};
use std::ops::Range;

/// Inputs as of a convolution without bias, residual and ReLU; output `[parts * n, ho, wo, co]`. A part is so many steps of [`STEP`] channels
/// of a tap, over taps, then channels.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConvParts {
    pub conv: Conv2d,
    pub sum: Sum,
}

impl Op for ConvParts {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        Ok(parts::shape(self.sum.parts, self.conv.infer(x)?))
    }

    /// The tiles that split, as a convolution has them.
    fn kernels(&self, x: &[Shape], _: Shape, caps: &Caps) -> Vec<Kernel> {
        let Ok(y) = self.conv.infer(x) else { return vec![] };
        let mut all = gemm::kernels(&self.conv, &Sizes::new(x, y), caps);
        all.retain_mut(|k| k.parts.take().is_some());
        all
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let mut out = Tensor::zeros(y);
        let each = y.len() / self.sum.parts;
        let Ok(one) = self.conv.infer(&[x[0].shape, x[1].shape]) else { return out };
        for (part, data) in out.data.chunks_mut(each).enumerate() {
            let steps = part * self.sum.part()..(part + 1) * self.sum.part();
            data.copy_from_slice(&self.conv.sums(x, one, steps).data);
        }
        out
    }

    fn flops(&self, x: &[Shape], _: Shape) -> u64 {
        self.conv.infer(x).map_or(0, |y| self.conv.flops(x, y))
    }
}

/// Channels of tap number `tap` that lie in these steps, of `channels` of each tap.
pub(super) fn channels(steps: &Range<usize>, tap: usize, channels: usize) -> Range<usize> {
    let first = tap * channels.div_ceil(STEP);
    let at = |step: usize| (step.saturating_sub(first).saturating_mul(STEP)).min(channels);
    at(steps.start)..at(steps.end)
}
