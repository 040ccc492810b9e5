//! Lists of candidates (key, index): the best few of many, and the final order.

use super::NONE;
use super::scan::order;
use crate::engine::{Caps, Kernel, Op};
use crate::shader;
use crate::tensor::{Shape, Tensor};

/// The best `keep` of every query's candidates: `[q, s, 2]` to `[q, keep, 2]`, sorted.
#[derive(Debug)]
pub(super) struct Merge {
    pub keep: usize,
}

/// The best `k` of every query's candidates `[q, s, 2]`, each put where its rank says: `[q, k, 2]`.
#[derive(Debug)]
pub(super) struct Rank {
    pub k: usize,
}

const WG: usize = 64;

fn lists(x: &[Shape], least: usize) -> Result<[usize; 2], String> {
    match x {
        [x] if x.rank() == 3 && x.last() == 2 && !x.is_empty() && x.dim(1) >= least => Ok([x.dim(0), x.dim(1)]),
        _ => Err(format!("expected candidates [q, s, 2], at least {least} of them")),
    }
}

fn best(x: &Tensor, y: Shape, keep: usize) -> Tensor {
    let sorted = x.data.chunks(2 * x.shape.dim(1)).flat_map(|list| {
        let mut list: Vec<(f64, usize)> = list.chunks(2).map(|c| (c[0].into(), c[1] as usize)).collect();
        list.sort_by(order);
        list.truncate(keep);
        list.into_iter().flat_map(|(v, j)| [v as f32, j as f32])
    });
    Tensor::new(y, sorted.collect())
}

impl Op for Merge {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        let [q, _] = lists(x, 1)?;
        Ok(Shape::from([q, self.keep, 2]))
    }

    fn kernels(&self, x: &[Shape], _: Shape, _: &Caps) -> Vec<Kernel> {
        let kernel = Kernel::new(shader!("knn_merge"), 1, WG as u32)
            .set("KEEP", format!("{}u", self.keep))
            .param("q", x[0].dim(0))
            .param("s", x[0].dim(1))
            .iterations(x[0].dim(1))
            .flat_groups(x[0].dim(0).div_ceil(WG));
        vec![kernel]
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        let short = self.keep.saturating_sub(x[0].shape.dim(1));
        let [q, s] = [x[0].shape.dim(0), x[0].shape.dim(1)];
        let padding = [f32::INFINITY, NONE].repeat(short);
        let padded = x[0].data.chunks(2 * s).flat_map(|l| [l, &padding].concat()).collect();
        best(&Tensor::new([q, s + short, 2], padded), y, self.keep)
    }
}

impl Op for Rank {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        let [q, _] = lists(x, self.k.max(1))?;
        Ok(Shape::from([q, self.k, 2]))
    }

    fn kernels(&self, x: &[Shape], _: Shape, _: &Caps) -> Vec<Kernel> {
        let candidates = x[0].len() / 2;
        let kernel = Kernel::new(shader!("knn_rank"), 1, WG as u32)
            .param("candidates", candidates)
            .param("s", x[0].dim(1))
            .param("k", self.k)
            .iterations(x[0].dim(1))
            .flat_groups(candidates.div_ceil(WG));
        vec![kernel]
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        best(x[0], y, self.k)
    }
}
