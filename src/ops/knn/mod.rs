//! Nearest neighbours, exact: the k rows of a bank nearest to every query, by squared Euclidean, Euclidean or cosine distance.
//!
//! Four steps. *Scan*: products of tiles of queries and rows, of which every query keeps the best few of each split of the bank;
//! the matrix of distances exists one tile at a time. *Merge*: the best few of all splits. *Refine*: their distances once more,
//! directly, because |a|^2 + |b|^2 - 2ab loses the small ones. *Rank*: sorted by distance, then index. A few more than k go
//! through, so that rows which rounding exchanged in the scan come back in order.

mod cases;
mod list;
mod refine;
mod scan;

pub use cases::cases;

use crate::engine::Var;
use list::{Merge, Rank};
use refine::Refine;
use scan::Scan;

/// How far two vectors are apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Sum of squared differences.
    SquaredL2,
    /// Its square root.
    L2,
    /// 1 - a.b / (|a| |b|).
    Cosine,
}

/// Candidates that one scan keeps for each query.
const KEPT: usize = 16;

/// How many more than k are kept.
const SPARE: usize = 3;

/// Index of a candidate that is none.
const NONE: f32 = 16_777_216.0;

impl<'g> Var<'g> {
    /// The `k` rows of `banks` (each `[m, d]`, their rows counted through) nearest to each query of `self` `[q, d]`: `[q, k, 2]`,
    /// distance and index, nearest first, ties by index. Distances that are not a number come first. `skip` `[q, 2]` gives every
    /// query a range of rows, from and up to, that are left out. Where fewer than k rows are left, distance is infinite.
    pub fn knn(self, banks: &[Var<'g>], k: usize, metric: Metric, skip: Option<Var<'g>>) -> Var<'g> {
        let mut all: Option<Var> = None;
        for _ in 0..(k + SPARE).div_ceil(KEPT) {
            let keep = if k + SPARE <= KEPT { k + SPARE } else { KEPT };
            let after = all.map(|a| a.slice(1, a.dim(1) - 1, a.dim(1)).reshape([a.dim(0), 2]));
            let round = self.round(banks, keep, metric, skip, after);
            all = Some(all.map_or(round, |a| a.concat(round, 1)));
        }
        let list = all.unwrap_or(self);
        let mut first = 0;
        let exact = banks.iter().fold(list, |list, bank| {
            let refined = list.apply(Refine { metric, first }, &[self, *bank, list]);
            first += bank.dim(0);
            refined
        });
        exact.apply(Rank { k }, &[exact])
    }

    /// The best `keep` of all banks after the candidates of earlier rounds: `[q, keep, 2]`, by the distance of the scan.
    fn round(
        self,
        banks: &[Var<'g>],
        keep: usize,
        metric: Metric,
        skip: Option<Var<'g>>,
        after: Option<Var<'g>>,
    ) -> Var<'g> {
        let (mut all, mut first): (Option<Var>, usize) = (None, 0);
        for bank in banks {
            let (rows, half) = bank.scanned(metric);
            let mut inputs = vec![self, rows, half];
            inputs.extend(skip);
            inputs.extend(after);
            let scan = Scan { keep, first, skip: skip.is_some(), after: after.is_some() };
            let found = self.apply(scan, &inputs);
            let found = found.apply(Merge { keep }, &[found]);
            all = Some(all.map_or(found, |a| a.concat(found, 1)));
            first += bank.dim(0);
        }
        match all {
            Some(lists) if banks.len() > 1 => lists.apply(Merge { keep }, &[lists]),
            Some(list) => list,
            None => self,
        }
    }

    /// What a scan reads of a bank: rows, and half their squared lengths; for cosine rows of length one, and nothing. Of weights
    /// this is made once.
    fn scanned(self, metric: Metric) -> (Var<'g>, Var<'g>) {
        if metric == Metric::Cosine {
            let least = self.graph().weight("least", crate::tensor::Tensor::new([1], vec![1e-12]).into());
            let rows = (self.transpose() / self.norm().maximum(least)).transpose();
            (rows, rows.norm().affine(0.0, 0.0))
        } else {
            (self, self.square().sum().affine(0.5, 0.0))
        }
    }
}
