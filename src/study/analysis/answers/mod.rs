//! Answers to the study's questions, in sentences made from its numbers and never beyond what they carry.
//!
//! A difference is called one where its interval leaves out 0, practically the same where it lies within two points of 0, and is otherwise said
//! not to be shown. What was not run is told. Times have no say: they differ from run to run, and answers do not.

mod distance;
mod fitness;
mod imbalance;
mod narrower;
#[cfg(test)]
mod tests;
mod words;

use super::{Cell, Metric, Pair, Said, Setting, Table};
use crate::methods::metrics::Spread;
use crate::study::{Category, Draw, Family, Limit, Method, Results, Task};
use words::{list, percent, sentence};

/// All that answers are made from.
struct Told<'r> {
    results: &'r Results,
    cells: &'r [Cell],
    pairs: &'r [(String, Vec<Pair>)],
}

/// The answers to the four questions.
pub(super) fn of(results: &Results, cells: &[Cell], pairs: &[(String, Vec<Pair>)]) -> Vec<Said> {
    let told = Told { results, cells, pairs };
    let mut answers =
        vec![fitness::answer(&told), imbalance::answer(&told), narrower::answer(&told), distance::answer(&told)];
    if let Some(first) = answers.first_mut() {
        first.because.extend(told.cautions());
    }
    answers
}

/// An answer of which nothing was run.
fn not_run(question: &str, why: &str) -> Said {
    Said { question: question.into(), short: sentence(why), because: vec![] }
}

impl<'r> Told<'r> {
    fn table(&self, table: Table) -> impl Iterator<Item = &'r Pair> {
        self.pairs.iter().filter(move |t| t.0 == table.title()).flat_map(|t| &t.1)
    }

    fn method(&self, setting: &Setting) -> Option<&'r Method> {
        self.results.methods.get(setting.method)
    }

    /// What a method is called.
    fn name(&self, setting: &Setting) -> &'r str {
        self.method(setting).map_or("", |m| m.name.as_str())
    }

    fn family(&self, setting: &Setting) -> Option<Family> {
        self.method(setting).map(|m| m.family)
    }

    /// Whether it is a learner by itself.
    fn learns(&self, setting: &Setting) -> bool {
        self.family(setting).is_some_and(|f| !f.detects() && f != Family::Chain)
    }

    fn of_task(&self, category: &str, task: Task) -> impl Iterator<Item = &'r Cell> {
        self.cells.iter().filter(move |c| c.setting.category == category && c.setting.task == task)
    }

    fn cell(&self, setting: &Setting) -> Option<&'r Cell> {
        self.cells.iter().find(|c| c.setting == *setting)
    }

    /// A data set's name, with what its reader must not forget.
    fn place(&self, category: &str) -> String {
        let painted = self.results.categories.iter().any(|c| c.name == category && c.painted);
        format!("{category}{}", if painted { " (painted defects)" } else { "" })
    }

    /// The same in a short answer, which says once that all are painted.
    fn short_place(&self, category: &str) -> String {
        if self.painted_head().is_empty() { self.place(category) } else { category.into() }
    }

    /// How a short answer begins where all defects are painted.
    fn painted_head(&self) -> &'static str {
        let all = &self.results.categories;
        if all.len() > 1 && all.iter().all(|c| c.painted) { "on painted defects: " } else { "" }
    }

    /// Names of the data sets, in the order of the study.
    fn categories(&self) -> impl Iterator<Item = &'r str> {
        self.results.categories.iter().map(|c| c.name.as_str())
    }

    /// What a learner or a detector has learned from, in words.
    fn shots(&self, setting: &Setting) -> String {
        let Setting { task, good, bad, all, .. } = *setting;
        let detects = self.family(setting).is_some_and(|f| f.detects());
        match task {
            _ if detects && all => format!("all {good} good pictures that are not kept apart"),
            _ if detects => words::count(good, "good picture"),
            Task::T2 | Task::T4 => format!("{good} good and {bad} defective shots"),
            Task::T1 | Task::T3 if good == bad || good == 0 => format!("{} of each class", words::count(bad, "shot")),
            _ => format!("{} and {bad} of each kind of defect", words::count(good, "good shot")),
        }
    }

    /// What anybody who reads the answers must know.
    fn cautions(&self) -> Vec<String> {
        let painted: Vec<&Category> = self.results.categories.iter().filter(|c| c.painted).collect();
        let mut cautions = vec![];
        if !painted.is_empty() {
            let names: Vec<&str> = painted.iter().map(|c| c.name.as_str()).collect();
            let names = list(&names);
            cautions.push(format!(
                "The defects of {names} are painted by Lupe: they show how methods compare on such defects, and say nothing of real ones."
            ));
        }
        cautions.extend(self.categories().filter_map(|category| self.few(category)));
        if self.cells.iter().any(|c| c.values.values().any(|v| v.count == 1)) {
            cautions.push(
                "What was repeated once has no interval by draws: another draw of shots may say something else.".into(),
            );
        }
        let out: Vec<&str> = self.results.left_out.iter().map(|l| l.what.as_str()).collect();
        if out.len() > 5 {
            let more = format!("{} more", out.len() - 4);
            let named: Vec<&str> = out.iter().copied().take(4).chain([more.as_str()]).collect();
            cautions.push(format!("Asked for and not run: {}.", list(&named)));
        } else if !out.is_empty() {
            cautions.push(format!("Asked for and not run: {}.", list(&out)));
        }
        cautions
    }

    /// How many good and how many defective pictures draws of these tasks ask about at least.
    fn asked(&self, category: &str, tasks: &[Task]) -> Option<(usize, usize)> {
        let draws = self.results.draws.iter().filter(|d| d.category == category && tasks.contains(&d.task));
        let kinds = |d: &Draw| {
            let good = d.queries.iter().filter(|q| Some(q.class) == d.good()).count();
            (good, d.queries.len() - good)
        };
        draws.filter(|d| d.good().is_some()).map(kinds).reduce(|a, b| (a.0.min(b.0), a.1.min(b.1)))
    }

    /// That a data set has few pictures to ask about, if it has.
    fn few(&self, category: &str) -> Option<String> {
        const FEW: usize = 20;
        let (good, bad) = self.asked(category, &Task::ALL)?;
        let fewest = good.min(bad);
        if fewest == 0 || fewest >= FEW {
            return None;
        }
        let kind = if good <= bad { "good" } else { "defective" };
        let pictures = words::count(fewest, &format!("{kind} picture"));
        let one = percent(1.0 / fewest as f64);
        Some(format!(
            "{}: only {pictures} are asked about, so that a single one is {one} of them.",
            self.place(category)
        ))
    }
}

/// A limit in words.
fn limit(limit: Option<Limit>) -> &'static str {
    match limit {
        Some(Limit::HeldOut) => "a limit from good pictures that were kept apart",
        Some(Limit::Support) => "a limit that parts the learner's shots best",
        Some(Limit::Oracle) => "a limit chosen by the answers, an upper bound",
        None => "no limit",
    }
}

/// The cell whose mean of a metric is largest, the first of several.
fn best<'c>(cells: impl Iterator<Item = &'c Cell>, metric: Metric) -> Option<(&'c Cell, &'c Spread)> {
    let known = cells.filter_map(|c| Some((c, c.values.get(&metric)?)));
    known.reduce(|best, one| if one.1.mean > best.1.mean { one } else { best })
}

/// How many methods there are among cells.
fn methods<'c>(cells: impl Iterator<Item = &'c Cell>) -> usize {
    cells.map(|c| c.setting.method).collect::<std::collections::BTreeSet<_>>().len()
}
