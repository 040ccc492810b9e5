//! What plots and tables look up: cells of a task and a data set, the one that stands for a method, means over data sets.

use super::text;
use crate::study::analysis::{Analysis, Cell, Metric, Setting};
use crate::study::{Family, Limit, Method, Results, Task};
use std::collections::{HashMap, HashSet};

/// A study and what follows from it.
pub struct View<'a> {
    /// What was found out.
    pub results: &'a Results,
    /// What follows.
    pub analysis: &'a Analysis,
    categories: Vec<&'a str>,
    by_place: HashMap<(Task, &'a str), Vec<&'a Cell>>,
    by_method: HashMap<(Task, &'a str, usize), Vec<&'a Cell>>,
}

/// A mean over data sets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mean {
    /// The mean.
    pub mean: f64,
    /// Half the width of its interval: draws of data sets are independent, so squares of theirs add up.
    pub half: Option<f64>,
    /// How many data sets.
    pub of: usize,
}

impl Metric {
    /// As a table's head.
    pub(super) fn title(self) -> &'static str {
        match self {
            Metric::Acc => "accuracy",
            Metric::BalAcc => "balanced accuracy",
            Metric::MacroF1 => "macro F1",
            Metric::Tpr => "TPR",
            Metric::Tnr => "TNR",
            Metric::Auroc => "AUROC",
            Metric::Ap => "AP",
            Metric::F1Max => "F1 max",
            Metric::DefectAcc => "defects named",
            Metric::GoodBad => "good or bad, balanced",
            Metric::Majority => "majority",
        }
    }

    pub(super) const ALL: [Metric; 11] = [
        Metric::Acc,
        Metric::BalAcc,
        Metric::MacroF1,
        Metric::Tpr,
        Metric::Tnr,
        Metric::Auroc,
        Metric::Ap,
        Metric::F1Max,
        Metric::DefectAcc,
        Metric::GoodBad,
        Metric::Majority,
    ];
}

impl Limit {
    /// How it was found, in a few words.
    pub(super) fn words(self) -> &'static str {
        match self {
            Limit::HeldOut => "held-out good pictures",
            Limit::Support => "the draw's shots",
            Limit::Oracle => "oracle (upper bound)",
        }
    }
}

impl Family {
    /// As a user reads it.
    pub(super) fn title(self) -> &'static str {
        match self {
            Family::Prototype => "prototypes",
            Family::Caml => "CAML",
            Family::Pmf => "P>M>F",
            Family::PatchCore => "PatchCore",
            Family::EfficientAd => "EfficientAD",
            Family::AnomalyDino => "AnomalyDINO",
            Family::SubspaceAd => "SubspaceAD",
            Family::Chain => "detector, then learner",
        }
    }
}

impl<'a> View<'a> {
    /// Looks through all cells once.
    pub fn new(results: &'a Results, analysis: &'a Analysis) -> View<'a> {
        let mut by_place: HashMap<(Task, &str), Vec<&Cell>> = HashMap::new();
        let mut by_method: HashMap<(Task, &str, usize), Vec<&Cell>> = HashMap::new();
        for cell in &analysis.cells {
            let s = &cell.setting;
            by_place.entry((s.task, &s.category)).or_default().push(cell);
            by_method.entry((s.task, &s.category, s.method)).or_default().push(cell);
        }
        let known: HashSet<&str> = analysis.cells.iter().map(|c| c.setting.category.as_str()).collect();
        let categories = results.categories.iter().map(|c| c.name.as_str()).filter(|c| known.contains(c)).collect();
        View { results, analysis, categories, by_place, by_method }
    }

    /// A method by its number.
    pub fn method(&self, number: usize) -> Option<&'a Method> {
        self.results.methods.get(number)
    }

    /// Its name, fit to be shown.
    pub fn name(&self, number: usize) -> String {
        self.method(number).map_or_else(|| format!("method {number}"), |m| text::shown(&m.name))
    }

    /// Whether it is a detector.
    pub fn detects(&self, number: usize) -> bool {
        self.method(number).is_some_and(|m| m.family.detects())
    }

    /// Names of the data sets that have results, in the study's order.
    pub fn categories(&self) -> &[&'a str] {
        &self.categories
    }

    /// Tasks and data sets that have results.
    pub fn places(&self, tasks: &[Task]) -> Vec<(Task, &'a str)> {
        let all = tasks.iter().flat_map(|&task| self.categories().iter().map(move |c| (task, *c)));
        all.filter(|&(task, category)| !self.cells(task, category).is_empty()).collect()
    }

    /// Means of a task and a data set.
    pub fn cells(&self, task: Task, category: &'a str) -> &[&'a Cell] {
        self.by_place.get(&(task, category)).map_or(&[], Vec::as_slice)
    }

    /// Those of a method.
    pub fn of(&self, method: usize, task: Task, category: &'a str) -> &[&'a Cell] {
        self.by_method.get(&(task, category, method)).map_or(&[], Vec::as_slice)
    }

    /// The cell that stands for a method: a learner's with most shots, a detector's with all good pictures or most, at the limit that a user
    /// without defective pictures has.
    pub fn headline(&self, method: usize, task: Task, category: &'a str) -> Option<&'a Cell> {
        self.of(method, task, category).iter().copied().max_by_key(|c| standing(&c.setting))
    }

    /// The mean of a metric over the data sets in which the method takes part, each by its [`View::headline`].
    pub fn over_categories(&self, method: usize, task: Task, metric: Metric) -> Option<Mean> {
        let cells = self.categories().iter().filter_map(|c| self.headline(method, task, c));
        mean(cells.filter_map(|c| c.values.get(&metric).map(|s| (s.mean, s.interval))).collect())
    }

    /// The method with the best mean over data sets among those that take part in as many as any.
    pub fn best(&self, task: Task, metric: Metric, among: impl Fn(usize) -> bool) -> Option<(usize, Mean)> {
        let all: Vec<(usize, Mean)> = (0..self.results.methods.len())
            .filter(|&m| among(m))
            .filter_map(|m| Some((m, self.over_categories(m, task, metric)?)))
            .collect();
        let most = all.iter().map(|(_, mean)| mean.of).max()?;
        // The first of equal ones.
        let better = |best: (usize, Mean), next: (usize, Mean)| if next.1.mean > best.1.mean { next } else { best };
        all.into_iter().filter(|(_, mean)| mean.of == most).reduce(better)
    }

    /// The number of classes of a task and a data set.
    pub fn classes(&self, task: Task, category: &str) -> Option<usize> {
        let draw = self.results.draws.iter().find(|d| d.task == task && d.category == category)?;
        Some(draw.classes.len()).filter(|n| *n > 0)
    }
}

/// What is asked for first: all good pictures, then many, then the limit of [`View::headline`].
fn standing(s: &Setting) -> (bool, usize, usize, u8) {
    let limit = match s.limit {
        Some(Limit::HeldOut) => 3,
        Some(Limit::Support) => 2,
        None => 1,
        Some(Limit::Oracle) => 0,
    };
    (s.all, s.bad, s.good, limit)
}

fn mean(values: Vec<(f64, Option<f64>)>) -> Option<Mean> {
    let n = values.len() as f64;
    let squares: Option<f64> = values.iter().map(|v| v.1.map(|h| h * h)).sum();
    let mean = values.iter().map(|v| v.0).sum::<f64>() / n;
    (!values.is_empty()).then(|| Mean { mean, half: squares.map(|s| s.sqrt() / n), of: values.len() })
}

/// The shots of a setting in words: `5 + 5 shots`, `30 good pictures`, `all 167 good pictures`.
pub fn shots(setting: &Setting) -> String {
    let (good, bad) = (setting.good, setting.bad);
    match (setting.bad, setting.all) {
        (0, true) => format!("all {good} good pictures"),
        (0, false) => text::count(good, "good picture"),
        _ if !setting.task.has_good() => format!("{bad} of each"),
        (_, true) => format!("all {good} good + {bad} shots"),
        _ => {
            format!("{good} good + {bad} {}", if setting.task.pools_defects() { "defective" } else { "of each defect" })
        }
    }
}

/// The shots of a method's headline settings in words; where data sets have different numbers of good pictures, without these.
pub fn shots_of(view: &View, method: usize, task: Task) -> String {
    let all = view.categories().iter().filter_map(|c| view.headline(method, task, c));
    let mut words: Vec<String> =
        all.map(|c| if c.setting.all { bare(&c.setting) } else { shots(&c.setting) }).collect();
    words.dedup();
    words.join("; ")
}

fn bare(setting: &Setting) -> String {
    match setting.bad {
        0 => "all good pictures".into(),
        bad => format!("all good pictures + {bad} shots"),
    }
}
