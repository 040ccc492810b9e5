//! Cases of attention and its gradient: odd numbers of tokens, heads of any size, equal and huge scores.

use super::Attention;
use super::back::{AttentionDq, AttentionDx};
use crate::ops::{Case, Fill};

/// Cases of the sweep.
pub fn cases() -> Vec<Case> {
    let case = |heads: usize, x: &[usize]| Case::new(Attention { heads }, &[x]).bound(1e-10);
    // Scores of thousands are rounded by thousandths, and their shares with them.
    let huge = |heads: usize, x: &[usize]| case(heads, x).fill(Fill::Outliers).bound(1e-7);
    let mut all = vec![
        case(1, &[1, 1, 3]),
        case(4, &[2, 7, 72]),
        case(1, &[1, 33, 12]),
        case(6, &[1, 65, 1152]),
        huge(2, &[2, 31, 480]),
        case(3, &[1, 70, 144]),
        huge(1, &[3, 66, 3 * 128]),
        huge(2, &[1, 19, 6 * 5]),
        case(1, &[2, 40, 48]).fill(Fill::NonFinite),
        case(2, &[1, 130, 96]),
    ];
    all.extend(back());
    all
}

/// Those of the gradient. The facts that the second node reads are noise, as it computes what it is asked for whether or not they are
/// anybody's; huge scores with facts of their own are in `tests/engine/attention_dx.rs`.
fn back() -> Vec<Case> {
    let d = |heads: usize, x: [usize; 3]| ([x[0], x[1], x[2] / 3], [x[0], x[1], x[2] / 3 + 4 * heads]);
    let dq = |heads: usize, x: [usize; 3]| {
        let (d, _) = d(heads, x);
        Case::new(AttentionDq { heads }, &[&x, &d, &d]).bound(1e-10)
    };
    let dx = |heads: usize, x: [usize; 3]| {
        let (d, rows) = d(heads, x);
        Case::new(AttentionDx { heads }, &[&x, &d, &rows]).bound(1e-10)
    };
    vec![
        dq(1, [1, 1, 3]),
        dq(4, [2, 7, 72]),
        dq(1, [1, 33, 12]),
        dq(2, [1, 65, 384]),
        dq(2, [2, 31, 480]).fill(Fill::Outliers).bound(1e-7),
        dq(1, [2, 34, 3 * 128]),
        dq(1, [1, 520, 24]),
        dq(2, [1, 19, 6 * 5]).fill(Fill::Outliers).bound(1e-7),
        dq(1, [2, 40, 48]).fill(Fill::NonFinite),
        dq(2, [1, 130, 96]),
        dx(1, [1, 1, 3]),
        dx(4, [2, 7, 72]),
        dx(1, [1, 33, 12]),
        dx(2, [1, 65, 384]),
        dx(2, [2, 31, 480]).fill(Fill::Outliers).planted_in(1),
        dx(1, [2, 34, 3 * 128]),
        dx(1, [1, 520, 24]),
        dx(2, [1, 19, 6 * 5]),
        dx(1, [2, 40, 48]).fill(Fill::NonFinite),
        dx(2, [1, 130, 96]),
    ]
}
