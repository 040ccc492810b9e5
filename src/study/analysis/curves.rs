//! Confusion matrices and ROC curves of settings, all repeats together.

use super::cells::Index;
use super::{Confused, Roc, Setting};
use crate::error::Result;
use crate::methods::metrics::steps;
use crate::study::Task;

/// Shares of false positives at which curves are averaged: hundredths.
const STEPS: usize = 100;

/// The confusion matrix of every setting in which queries are called something.
pub(super) fn confused(index: &Index) -> Vec<Confused> {
    let of = |setting: &Setting| {
        let mut sum: Option<(Vec<String>, Vec<Vec<usize>>)> = None;
        for seen in index.outcomes(setting) {
            let confusion = seen.confusion()?;
            let (_, rows) = sum.get_or_insert_with(|| {
                let classes = seen.draw.classes.clone();
                let rows = vec![vec![0; classes.len()]; classes.len()];
                (classes, rows)
            });
            let cells = rows.iter_mut().flatten().zip(confusion.rows().iter().flatten());
            cells.for_each(|(sum, n)| *sum += n);
        }
        let (classes, rows) = sum?;
        Some(Confused { setting: setting.clone(), classes, rows })
    };
    index.settings().filter_map(of).collect()
}

/// The mean curve of every setting of T2 with scores; of a detector that of its first limit stands for all.
pub(super) fn rocs(index: &Index) -> Result<Vec<Roc>> {
    let mut rocs: Vec<Roc> = vec![];
    for setting in index.settings().filter(|s| s.task == Task::T2) {
        let any = |s: &Setting| Setting { limit: None, ..s.clone() };
        if rocs.last().is_some_and(|last| any(&last.setting) == any(setting)) {
            continue;
        }
        let (mut sums, mut count) = (vec![0.0; STEPS + 1], 0);
        for seen in index.outcomes(setting) {
            let Some(curve) = curve(&seen.scored())? else { continue };
            count += 1;
            sums.iter_mut().enumerate().for_each(|(i, sum)| *sum += height(&curve, i as f64 / STEPS as f64));
        }
        if count > 0 {
            let mean = sums.iter().enumerate().map(|(i, sum)| (i as f64 / STEPS as f64, sum / f64::from(count)));
            let points = std::iter::once((0.0, 0.0)).chain(mean).collect();
            rocs.push(Roc { setting: setting.clone(), points });
        }
    }
    Ok(rocs)
}

/// The points of one ROC curve; `None` of one kind alone.
fn curve(samples: &[(f64, bool)]) -> Result<Option<Vec<(f64, f64)>>> {
    let steps = steps(samples)?;
    let Some(all) = steps.last().filter(|all| all.defective > 0 && all.defect_free > 0) else { return Ok(None) };
    let share = |part: u64, of: u64| part as f64 / of as f64;
    let points = steps.iter().map(|s| (share(s.defect_free, all.defect_free), share(s.defective, all.defective)));
    Ok(Some(std::iter::once((0.0, 0.0)).chain(points).collect()))
}

/// The highest point of a curve at a share of false positives, on straight lines between its points.
fn height(curve: &[(f64, f64)], at: f64) -> f64 {
    let after = curve.partition_point(|p| p.0 <= at);
    let before = curve.get(after.wrapping_sub(1)).copied().unwrap_or_default();
    match curve.get(after) {
        Some(next) => before.1 + (next.1 - before.1) * (at - before.0) / (next.0 - before.0),
        None => before.1,
    }
}
