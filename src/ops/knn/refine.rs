//! Refine: distances of candidates, directly from the vectors.

use super::Metric;
use crate::engine::{Caps, Kernel, Op};
use crate::ops::widths;
use crate::shader;
use crate::tensor::{Shape, Tensor};

/// Inputs: queries `[q, d]`, bank `[m, d]`, candidates `[q, s, 2]`. Candidates with an index from `first` up to `first + m` get
/// their distance; the others stay.
#[derive(Debug)]
pub(super) struct Refine {
    pub metric: Metric,
    pub first: usize,
}

const WG: usize = 64;

impl Refine {
    fn distance(&self, a: &[f32], b: &[f32]) -> f64 {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
        let squared = || a.iter().zip(b).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum::<f64>();
        match self.metric {
            Metric::SquaredL2 => squared(),
            Metric::L2 => squared().sqrt(),
            Metric::Cosine => 1.0 - dot(a, b) / (dot(a, a).sqrt().max(1e-12) * dot(b, b).sqrt().max(1e-12)),
        }
    }
}

impl Op for Refine {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        match x {
            [a, b, list] if a.rank() == 2 && b.rank() == 2 && list.rank() == 3 => {
                let fits = a.dim(1) == b.dim(1) && list.dim(0) == a.dim(0) && list.dim(2) == 2;
                if fits { Ok(*list) } else { Err("queries, bank and candidates do not fit each other".into()) }
            }
            _ => Err("expected queries [q, d], a bank [m, d] and candidates [q, s, 2]".into()),
        }
    }

    fn kernels(&self, x: &[Shape], y: Shape, _: &Caps) -> Vec<Kernel> {
        let (d, candidates) = (x[0].dim(1), y.len() / 2);
        // Both add up in four sums, one for each remainder of the position by four.
        let by = |width: usize| {
            let kernel = Kernel::new(shader!("knn_refine"), 3, WG as u32)
                .set("COSINE", self.metric == Metric::Cosine)
                .set("ROOT", self.metric == Metric::L2);
            let kernel = if width == 4 { kernel.set("T", "vec4f") } else { kernel.import("four", "four_scalars") };
            kernel
                .param("candidates", candidates)
                .param("s", x[2].dim(1))
                .param("d", d)
                .param("d4", d.div_ceil(4))
                .param("m", x[1].dim(0))
                .param("first", self.first)
                .iterations(d.div_ceil(4))
                .flat_groups(candidates.div_ceil(WG))
        };
        widths(d).map(by).collect()
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let (d, s, m) = (x[0].shape.dim(1), x[2].shape.dim(1), x[1].shape.dim(0));
        let mut out = Tensor::new(y, x[2].data.clone());
        for (c, pair) in out.data.chunks_mut(2).enumerate() {
            let index = pair[1] as usize;
            if (self.first..self.first + m).contains(&index) {
                let (a, b) = (&x[0].data[c / s * d..][..d], &x[1].data[(index - self.first) * d..][..d]);
                pair[0] = self.distance(a, b) as f32;
            }
        }
        out
    }

    fn flops(&self, x: &[Shape], y: Shape) -> u64 {
        3 * (x[0].dim(1) * y.len() / 2) as u64
    }
}
