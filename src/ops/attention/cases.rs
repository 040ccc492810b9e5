//! Cases of attention: odd numbers of tokens, heads of any size, equal and huge scores.

use super::Attention;
use crate::ops::{Case, Fill};

/// Cases of the sweep.
pub fn cases() -> Vec<Case> {
    let case = |heads: usize, x: &[usize]| Case::new(Attention { heads }, &[x]).bound(1e-10);
    // Scores of thousands are rounded by thousandths, and their shares with them.
    let huge = |heads: usize, x: &[usize]| case(heads, x).fill(Fill::Outliers).bound(1e-7);
    vec![
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
    ]
}
