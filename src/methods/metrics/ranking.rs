//! Metrics of a ranking: AUROC, average precision and F1-max, from exact counts at every distinct score.

use super::score::ordered;
use super::{MetricValue, NO_DEFECT_FREE, NO_DEFECTIVE, Score};
use crate::error::Result;

/// What a ranking of samples is worth.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranking {
    /// Area under the ROC curve: P(defective scores above defect-free) + half of P(equal).
    pub auroc: MetricValue,
    /// Average precision by the step rule, the sum of (R_k - R_(k-1)) P_k from high to low thresholds.
    pub ap: MetricValue,
    /// Largest F1 = 2 TP / (2 TP + FP + FN) over all distinct scores as thresholds.
    pub f1_max: MetricValue,
    /// The threshold that attains it, the smallest if several do; samples at the threshold count as defective.
    pub f1_threshold: MetricValue,
}

/// Samples at or above a threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threshold {
    /// A score that occurs.
    pub threshold: f64,
    /// Defective samples that score as much or more: true positives.
    pub defective: u64,
    /// Defect-free samples that score as much or more: false positives.
    pub defect_free: u64,
}

/// AUROC, AP and F1-max of samples (score, whether defective).
///
/// # Errors
/// [`crate::error::Error::Numeric`] if a score is NaN.
pub fn ranking<S: Score>(samples: &[(S, bool)]) -> Result<Ranking> {
    let defective = samples.iter().filter(|s| s.1).count() as u64;
    Ok(rank(counted::<S>(&sorted(samples)?), defective))
}

/// Counts at every distinct score, from the highest: the points of ROC and precision-recall curves.
///
/// # Errors
/// As [`ranking`].
pub fn steps<S: Score>(samples: &[(S, bool)]) -> Result<Vec<Threshold>> {
    Ok(counted::<S>(&sorted(samples)?).collect())
}

fn sorted<S: Score>(samples: &[(S, bool)]) -> Result<Vec<S::Entry>> {
    ordered(samples.iter().map(|s| s.0))?;
    let mut entries: Vec<S::Entry> = samples.iter().map(|&(s, defective)| s.entry(defective.into())).collect();
    entries.sort_unstable();
    Ok(entries)
}

/// Runs of equal scores, from the highest.
pub(super) fn ties<S: Score>(sorted: &[S::Entry]) -> impl Iterator<Item = &[S::Entry]> {
    let score = |&e: &S::Entry| S::split(e).0.key();
    sorted.chunk_by(move |a, b| score(a) == score(b)).rev()
}

/// Counts at every distinct score; region 0 is defect-free.
pub(super) fn counted<S: Score>(sorted: &[S::Entry]) -> impl Iterator<Item = Threshold> {
    let none = Threshold { threshold: f64::INFINITY, defective: 0, defect_free: 0 };
    ties::<S>(sorted).scan(none, |total, tie| {
        for &entry in tie {
            let (score, region) = S::split(entry);
            total.threshold = score.value();
            *if region == 0 { &mut total.defect_free } else { &mut total.defective } += 1;
        }
        Some(*total)
    })
}

/// The metrics of a ranking with that many defective samples. Counts stay integers: only quotients are rounded.
pub(super) fn rank(steps: impl Iterator<Item = Threshold>, defective: u64) -> Ranking {
    let mut last = Threshold { threshold: f64::INFINITY, defective: 0, defect_free: 0 };
    let (mut best, mut twice_area, mut precision) = (last, 0u128, 0.0);
    // F1 = 2 TP / (TP + FP + all defective); compared as fractions, so that equal ones are known to be equal.
    let size = |s: &Threshold| u128::from(s.defective) + u128::from(s.defect_free) + u128::from(defective);
    for step in steps {
        let found = step.defective - last.defective;
        let wrong = u128::from(step.defect_free - last.defect_free);
        twice_area += wrong * (u128::from(last.defective) + u128::from(step.defective));
        precision += found as f64 * (step.defective as f64 / (step.defective + step.defect_free) as f64);
        if u128::from(step.defective) * size(&best) >= u128::from(best.defective) * size(&step) {
            best = step;
        }
        last = step;
    }
    // Of one kind alone every order is right: a precision of 1 would say nothing about the ranking.
    if defective == 0 || last.defect_free == 0 {
        let none = Err(if defective == 0 { NO_DEFECTIVE } else { NO_DEFECT_FREE });
        return Ranking { auroc: none, ap: none, f1_max: none, f1_threshold: none };
    }
    let pairs = u128::from(defective) * u128::from(last.defect_free);
    Ranking {
        auroc: Ok(twice_area as f64 / (2 * pairs) as f64),
        ap: Ok(precision / defective as f64),
        f1_max: Ok(2.0 * best.defective as f64 / size(&best) as f64),
        f1_threshold: Ok(best.threshold),
    }
}
