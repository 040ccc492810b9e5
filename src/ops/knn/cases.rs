//! Cases of the nearest neighbours' steps: odd sizes around every tile edge.

use super::Metric;
use super::list::{Merge, Rank};
use super::refine::Refine;
use super::scan::Scan;
use crate::ops::{Case, Fill};

/// Cases of the sweep.
pub fn cases() -> Vec<Case> {
    let scan = |keep, first| Scan { keep, first, skip: false, after: false };
    let skip = Scan { skip: true, ..scan(4, 0) };
    let after = Scan { after: true, ..scan(16, 0) };
    let refine = |metric, q: usize, m: usize, d: usize, s: usize| {
        Case::new(Refine { metric, first: 5 }, &[&[q, d], &[m, d], &[q, s, 2]]).fill(Fill::Pairs)
    };
    vec![
        Case::new(scan(4, 0), &[&[1, 1], &[1, 1], &[1]]),
        Case::new(scan(4, 0), &[&[70, 32], &[200, 32], &[200]]),
        Case::new(scan(12, 7), &[&[25, 30], &[130, 30], &[130]]),
        Case::new(scan(16, 0), &[&[9, 64], &[2100, 64], &[2100]]),
        Case::new(scan(4, 0), &[&[65, 7], &[64, 7], &[64]]),
        Case::new(skip, &[&[33, 12], &[90, 12], &[90], &[33, 2]]).fill(Fill::Pairs),
        Case::new(after, &[&[17, 12], &[90, 12], &[90], &[17, 2]]).fill(Fill::Pairs),
        Case::new(Merge { keep: 4 }, &[&[70, 36, 2]]).fill(Fill::Pairs),
        Case::new(Merge { keep: 16 }, &[&[3, 5, 2]]).fill(Fill::Pairs),
        Case::new(Rank { k: 3 }, &[&[70, 12, 2]]).fill(Fill::Pairs),
        Case::new(Rank { k: 40 }, &[&[3, 40, 2]]).fill(Fill::Pairs),
        refine(Metric::SquaredL2, 40, 60, 64, 4),
        refine(Metric::L2, 3, 97, 7, 16),
        refine(Metric::Cosine, 5, 80, 130, 4),
    ]
}
