//! Whether paired differences lean to one side: Wilcoxon's signed-rank test, and Holm's correction for many such questions.

use statrs::distribution::{ContinuousCDF, Normal};

/// Differences, zeros among them, up to which p is exact where there are neither zeros nor ties.
const EXACT: usize = 50;
/// The same where there are.
const EXACT_WITH_TIES: usize = 13;

/// Two-sided p of Wilcoxon's signed-rank test that differences are symmetric around 0. Zeros are dropped; ties share their mean rank. As in
/// scipy's `wilcoxon` with its defaults (1.17), p is exact for 50 differences or fewer without zeros and ties and for 13 or fewer with them,
/// all signs being equally likely; otherwise it is that of the normal distribution with the variance corrected for ties, without a correction
/// for continuity. `None` where no difference is left.
///
/// Two differences tie if they are the same to the bit: round what was computed in two ways.
pub fn signed_rank(differences: &[f64]) -> Option<f64> {
    let mut left: Vec<f64> = differences.iter().copied().filter(|d| *d != 0.0 && !d.is_nan()).collect();
    left.sort_by(|a, b| a.abs().total_cmp(&b.abs()));
    if left.is_empty() {
        return None;
    }
    let (mut ranks, mut positive, mut ties) = (vec![], 0, 0.0);
    for tie in left.chunk_by(|a, b| a.abs() == b.abs()) {
        let (n, before) = (tie.len(), ranks.len());
        // Twice the mean rank is whole: ranks before + 1 to before + n.
        let twice = 2 * before + n + 1;
        ranks.extend(std::iter::repeat_n(twice, n));
        positive += twice * tie.iter().filter(|d| **d > 0.0).count();
        ties += (n as f64).powi(3) - n as f64;
    }
    let plain = ties == 0.0 && left.len() == differences.len();
    let exact = differences.len() <= if plain { EXACT } else { EXACT_WITH_TIES };
    Some(if exact { by_all_signs(&ranks, positive) } else { by_normal(left.len() as f64, positive as f64 / 2.0, ties) })
}

/// Of all ways to give ranks a sign the share whose positive ones sum up to as much or more, or to as much or less; twice the smaller.
fn by_all_signs(ranks: &[usize], positive: usize) -> f64 {
    let all: usize = ranks.iter().sum();
    // Ways to reach each sum: at most 2^50, which f64 counts exactly.
    let mut ways = vec![0.0f64; all + 1];
    ways[0] = 1.0;
    for rank in ranks {
        (*rank..=all).rev().for_each(|sum| ways[sum] += ways[sum - rank]);
    }
    let less: f64 = ways.iter().take(positive + 1).sum();
    let more: f64 = ways.iter().skip(positive).sum();
    (2.0 * less.min(more) / ways.iter().sum::<f64>()).min(1.0)
}

fn by_normal(n: f64, positive: f64, ties: f64) -> f64 {
    let variance = (n * (n + 1.0) * (2.0 * n + 1.0) - ties / 2.0) / 24.0;
    let z = (positive - n * (n + 1.0) / 4.0) / variance.sqrt();
    (2.0 * Normal::standard().sf(z.abs())).min(1.0)
}

/// Holm's correction: each p times the number of those that are not smaller, and never less than a smaller one's; at most 1. What is `None`
/// is no question and stays `None`.
pub fn holm(p: &[Option<f64>]) -> Vec<Option<f64>> {
    let mut order: Vec<(usize, f64)> = p.iter().enumerate().filter_map(|(i, p)| Some((i, (*p)?))).collect();
    order.sort_by(|a, b| a.1.total_cmp(&b.1));
    let (mut held, questions) = (vec![None; p.len()], order.len());
    let mut last = 0.0f64;
    for (smaller, (at, p)) in order.into_iter().enumerate() {
        last = last.max(p * (questions - smaller) as f64).min(1.0);
        held.get_mut(at).into_iter().for_each(|held| *held = Some(last));
    }
    held
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        // Three of three above 0: one of eight ways, on either side.
        assert_eq!(signed_rank(&[1.0, 2.0, 3.0]), Some(0.25));
        assert_eq!(signed_rank(&[-0.5]), Some(1.0));
        assert_eq!((signed_rank(&[]), signed_rank(&[0.0, -0.0])), (None, None));
        // Ranks 1.5, 1.5, 3, of which 3 is negative: sums of positive ones 0, 1.5 twice, 3 twice, 4.5 twice, 6.
        assert_eq!(signed_rank(&[1.0, 1.0, -2.0, 0.0]), Some(1.0));
        assert_eq!(signed_rank(&[1.0, 1.0, 2.0, 0.0]), Some(0.25));
        let held = holm(&[Some(0.02), None, Some(0.01), Some(0.5), Some(0.03)]);
        assert_eq!(held, [Some(0.06), None, Some(0.04), Some(0.5), Some(0.06)]);
        assert_eq!(holm(&[Some(0.6), Some(0.7)]), [Some(1.0), Some(1.0)]);
    }
}
