//! What follows from a study's [`Results`]: metrics of every outcome, means with intervals, paired differences, answers.

mod answers;
mod cells;
mod curves;
#[cfg(test)]
mod made;
mod pairs;
mod pictures;
mod rows;
#[cfg(test)]
mod tests;

use super::{Limit, Results, Task};
use crate::error::Result;
use crate::methods::metrics::Spread;
use serde::Serialize;
use std::collections::BTreeMap;

pub use pairs::Table;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Share of queries that were called what they are.
    Acc,
    /// Mean recall of the classes.
    BalAcc,
    /// Mean F1 of the classes.
    MacroF1,
    /// Share of defective queries that were not called good.
    Tpr,
    /// Share of good queries that were called good.
    Tnr,
    /// Area under the ROC curve of the scores.
    Auroc,
    /// Average precision of the scores.
    Ap,
    /// The largest F1 that a limit of the scores could give.
    F1Max,
    /// Share of defective queries that were called their kind of defect; of tasks with kinds of defect.
    DefectAcc,
    /// Mean of [`Metric::Tpr`] and [`Metric::Tnr`]: the balanced accuracy of good against defective, whatever the kind.
    GoodBad,
    /// Accuracy of calling every query the class that most have.
    Majority,
}

/// The metrics of one outcome: a line of `results.csv`. Detectors have one for each of their limits.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The number of the outcome.
    pub outcome: usize,
    /// How the limit was found, of detectors.
    pub limit: Option<Limit>,
    /// Good queries.
    pub queries_good: usize,
    /// Defective queries.
    pub queries_bad: usize,
    /// The metrics that are defined.
    pub values: BTreeMap<Metric, f64>,
}

/// Which outcomes belong together: all repeats of one setting.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Setting {
    /// The data set.
    pub category: String,
    /// The task.
    pub task: Task,
    /// The number of the method.
    pub method: usize,
    /// Good shots.
    pub good: usize,
    /// Shots of each other class.
    pub bad: usize,
    /// Whether `good` was asked for as `all`.
    pub all: bool,
    /// How the limit was found, of detectors.
    pub limit: Option<Limit>,
}

/// A setting over its repeats.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// Which one.
    pub setting: Setting,
    /// The metrics that are defined, with 95 % intervals by Student's t over the repeats.
    pub values: BTreeMap<Metric, Spread>,
    /// Accuracy, balanced accuracy and AUROC once more with 95 % intervals by a bootstrap over the pictures that are asked about; of T2 and
    /// T4 alone, whose numbers head the report.
    pub by_pictures: BTreeMap<Metric, [f64; 2]>,
}

/// Two methods, or one with two numbers of shots, on the same draws.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// What is compared, such as `cosine - squared`.
    pub what: String,
    /// The one from which the other is subtracted.
    pub one: Setting,
    /// The other.
    pub other: Setting,
    /// The metric.
    pub metric: Metric,
    /// Whether both were asked on the same draws. Where they were not, as in comparisons of two tasks, interval and p are Welch's, `count` is
    /// that of the one with fewer repeats, and there is no deviation.
    pub paired: bool,
    /// The mean difference and its interval.
    pub difference: Spread,
    /// Two-sided p of Wilcoxon's signed-rank test; `None` where all differences are 0. Welch's where they are not paired, `None` where there is
    /// a single repeat or no deviation.
    pub p: Option<f64>,
    /// The same after Holm's correction over all pairs of its table.
    pub p_holm: Option<f64>,
    /// Share of queries that both called the same, where both call something.
    pub agreement: Option<f64>,
}

/// Which class queries of each class were called, all repeats together.
#[derive(Clone, Debug, PartialEq)]
pub struct Confused {
    /// Of which setting.
    pub setting: Setting,
    /// The classes.
    pub classes: Vec<String>,
    /// Rows: what it is. Columns: what it was called.
    pub rows: Vec<Vec<usize>>,
}

/// A curve of true positives over false positives, the mean of the repeats' at fixed shares of false positives.
#[derive(Clone, Debug, PartialEq)]
pub struct Roc {
    /// Of which setting.
    pub setting: Setting,
    /// Points (FPR, TPR) from (0, 0) to (1, 1).
    pub points: Vec<(f64, f64)>,
}

/// An answer to one of the study's questions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The question, such as `Is few-shot learning fit for finding defects?`.
    pub question: String,
    /// The answer in a sentence or two.
    pub short: String,
    /// What it rests on, in sentences with numbers and intervals.
    pub because: Vec<String>,
}

/// All of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Analysis {
    /// Lines of `results.csv`.
    pub rows: Vec<Row>,
    /// Means.
    pub cells: Vec<Cell>,
    /// Differences, by the title of their table.
    pub pairs: Vec<(String, Vec<Pair>)>,
    /// Confusion matrices.
    pub confused: Vec<Confused>,
    /// Curves of T2.
    pub rocs: Vec<Roc>,
    /// Answers.
    pub answers: Vec<Said>,
}

/// What follows from results: nothing but the results has a say, timing left out, so that it is the same bytes wherever and however often
/// the study is run. Where repeats were not all done, as in a study that is still running, what is there is analysed.
///
/// # Errors
/// [`crate::error::Error::Input`] for results that contradict themselves (numbers beyond the lists, another number of calls than of queries,
/// the same outcome twice), [`crate::error::Error::Numeric`] for a score or limit that is not a number; both name the outcome.
pub fn analyse(results: &Results) -> Result<Analysis> {
    let rows = rows::of(results)?;
    let index = cells::Index::new(results, &rows)?;
    let cells = cells::of(&index);
    let pairs = pairs::of(&index);
    let answers = answers::of(results, &cells, &pairs);
    let (confused, rocs) = (curves::confused(&index), curves::rocs(&index)?);
    Ok(Analysis { cells, pairs, confused, rocs, answers, rows })
}
