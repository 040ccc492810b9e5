//! Limits of detectors: how many good pictures are kept apart for one, and what follows from scores.

use crate::error::Result;
use crate::methods::LimitRule;
use crate::methods::metrics::ranking;
use crate::study::Limit;

/// Of good pictures one in so many is kept apart for a limit, where there are enough.
const APART: usize = 5;

/// The share of good pictures that a limit from pictures kept apart is to accept.
const ACCEPTED: f64 = 0.99;

/// How many of `n` good pictures are kept apart where `good` are learned from.
pub(super) fn apart(n: usize, good: usize) -> usize {
    n.div_ceil(APART).min(n.saturating_sub(good))
}

/// The limit from scores of pictures that were kept apart: what is above the quantile counts as defective.
pub(super) fn held_out(apart: &[f64]) -> Option<f64> {
    LimitRule::Quantile(ACCEPTED).of_scores(apart).map(f64::next_up)
}

/// All limits that there are for these queries: from good pictures kept apart, from a support (its good pictures scored by what the others
/// teach), and from the answers.
pub(super) fn limits(
    (apart, own, bad): (&[f64], &[f64], &[f64]),
    (queries, defective): (&[f64], &[bool]),
) -> Result<Vec<(Limit, f64)>> {
    let samples: Vec<(f64, bool)> = queries.iter().copied().zip(defective.iter().copied()).collect();
    let oracle = ranking(&samples)?.f1_threshold.ok();
    let all = [(Limit::HeldOut, held_out(apart)), (Limit::Support, parting(own, bad)), (Limit::Oracle, oracle)];
    Ok(all.into_iter().filter_map(|(limit, value)| Some((limit, value?))).collect())
}

/// What parts good scores from bad ones best: halfway between two neighbours, by the mean of both shares that are told right; where several
/// do, the one in the widest gap.
fn parting(good: &[f64], bad: &[f64]) -> Option<f64> {
    let mut all: Vec<f64> = good.iter().chain(bad).copied().filter(|v| v.is_finite()).collect();
    if good.is_empty() || bad.is_empty() {
        return None;
    }
    all.sort_unstable_by(f64::total_cmp);
    let share =
        |list: &[f64], told: &dyn Fn(f64) -> bool| list.iter().filter(|v| told(**v)).count() as f64 / list.len() as f64;
    let worth = |limit: f64| share(good, &|v| v < limit) + share(bad, &|v| v >= limit);
    let gaps = all.windows(2).filter_map(|pair| match pair {
        [a, b] if a < b => Some((a + (b - a) / 2.0, b - a)),
        _ => None,
    });
    let rated = gaps.map(|(limit, gap)| (worth(limit), gap, limit));
    rated.max_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1))).map(|best| best.2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_five_is_kept_apart_as_far_as_there_are_others() {
        assert_eq!([apart(28, 1), apart(28, 25), apart(28, 28), apart(3, 1), apart(1, 1)], [6, 3, 0, 1, 0]);
    }

    #[test]
    fn a_limit_lies_between_good_and_bad() {
        assert_eq!(parting(&[1.0, 2.0], &[4.0, 5.0]), Some(3.0));
        assert_eq!(parting(&[1.0, 2.0, 9.0], &[4.0, 5.0, 6.0]), Some(3.0), "one good picture is beyond");
        assert_eq!((parting(&[], &[1.0]), parting(&[1.0], &[]), parting(&[1.0], &[1.0])), (None, None, None));
        assert_eq!(held_out(&[]), None);
        let limit = held_out(&[0.5, 0.25]).unwrap();
        assert!(limit > 0.5 && limit < 0.5 + 1e-12, "the largest itself is good");
    }

    #[test]
    fn limits_say_where_they_come_from() {
        let all = limits((&[], &[1.0], &[2.0]), (&[0.0, 3.0, 1.5], &[false, true, true])).unwrap();
        assert_eq!(all, [(Limit::Support, 1.5), (Limit::Oracle, 1.5)]);
    }
}
