//! What is said in words above tables and plots: key numbers, and what is to be known of the pictures.

use super::text;
use super::view::{View, shots_of};
use crate::study::analysis::Metric;
use crate::study::{Category, Family, Task};

/// Pictures of a class below which one of them moves its recall by more than a tenth.
const FEW: usize = 10;
/// Repeats below which intervals are wide.
const FEW_REPEATS: usize = 10;

/// A key number.
#[derive(Clone, Debug, PartialEq)]
pub struct Tile {
    /// What it is.
    pub what: String,
    /// The number.
    pub number: String,
    /// What it rests on.
    pub of: String,
}

/// What was asked, in one line.
pub const ASKED: &str = "Few-shot learners, which see a few good and a few defective pictures, beside detectors, which see good ones only: \
     on the same pictures, from the same draws.";

/// Key numbers: the best learner, the best detector, how much there was of everything.
pub fn tiles(view: &View) -> Vec<Tile> {
    let results = view.results;
    let pictures: usize =
        results.categories.iter().map(|c| c.train + c.good + c.defects.iter().map(|d| d.1).sum::<usize>()).sum();
    let kinds: usize = results.categories.iter().map(|c| c.defects.len()).sum();
    let sets = text::count(results.categories.len(), "data set");
    let tasks: Vec<String> =
        Task::ALL.iter().filter(|t| results.draws.iter().any(|d| d.task == **t)).map(Task::to_string).collect();
    let episodes = Tile {
        what: "Episodes".into(),
        number: text::thousands(results.outcomes.len()),
        of: format!(
            "{} of {}, {}",
            text::count(results.draws.len(), "draw"),
            tasks.join(", "),
            text::count(results.methods.len(), "method")
        ),
    };
    let pictures = Tile {
        what: "Pictures".into(),
        number: text::thousands(pictures),
        of: format!("{sets}, {}", text::count(kinds, "kind") + " of defect"),
    };
    [learner(view), detector(view), Some(episodes), Some(pictures)].into_iter().flatten().collect()
}

/// Whether a method is a learner by itself: a chain's good or defective is its detector's.
fn learns(view: &View, method: usize) -> bool {
    !view.detects(method) && view.method(method).is_some_and(|m| m.family != Family::Chain)
}

fn learner(view: &View) -> Option<Tile> {
    let (method, best) = view.best(Task::T2, Metric::BalAcc, |m| learns(view, m))?;
    let accuracy = view.over_categories(method, Task::T2, Metric::Acc);
    let alone = view.over_categories(method, Task::T2, Metric::Majority);
    let accuracy = accuracy.map(|a| format!("; accuracy {}", text::within(a.mean, a.half))).unwrap_or_default();
    let alone = alone.map(|a| format!(", commonest class {}", text::percent(a.mean))).unwrap_or_default();
    Some(Tile {
        what: "Best learner, good or defective (T2)".into(),
        number: format!("{} %", text::percent(best.mean)),
        of: format!(
            "balanced accuracy{}: {}, {}{accuracy}{alone}",
            plus(best.half),
            view.name(method),
            shots_of(view, method, Task::T2)
        ),
    })
}

fn detector(view: &View) -> Option<Tile> {
    let (method, best) = view.best(Task::T2, Metric::Auroc, |m| view.detects(m))?;
    let learner = view.best(Task::T2, Metric::Auroc, |m| learns(view, m));
    let learner = learner.map(|(m, l)| format!("; best learner {} ({})", text::within(l.mean, l.half), view.name(m)));
    Some(Tile {
        what: "Best detector (T2)".into(),
        number: format!("{} %", text::percent(best.mean)),
        of: format!(
            "AUROC{}: {}, {}{}",
            plus(best.half),
            view.name(method),
            shots_of(view, method, Task::T2),
            learner.unwrap_or_default()
        ),
    })
}

fn plus(half: Option<f64>) -> String {
    half.map(|h| format!(" ± {}", text::percent(h))).unwrap_or_default()
}

/// What limits what the numbers say.
pub fn cautions(view: &View) -> Vec<String> {
    let results = view.results;
    let mut said = vec![];
    let painted: Vec<&str> = results.categories.iter().filter(|c| c.painted).map(|c| c.name.as_str()).collect();
    if !painted.is_empty() {
        let names = text::shown(&painted.join(", "));
        said.push(format!("The defects of {names} are painted by Lupe, not real: they show that everything runs, not what to expect of real parts."));
    }
    let few = |c: &Category| {
        let kinds = c.defects.iter().filter(|d| d.1 < FEW).map(|d| format!("{} {}", d.0, d.1));
        let good = (c.good < FEW).then(|| format!("good {}", c.good));
        let kinds: Vec<String> = good.into_iter().chain(kinds).collect();
        (!kinds.is_empty()).then(|| format!("{} ({})", text::shown(&c.name), text::shown(&kinds.join(", "))))
    };
    let few: Vec<String> = results.categories.iter().filter_map(few).collect();
    if !few.is_empty() {
        said.push(format!(
            "Few pictures to test with, so that a single one moves a class's recall by ten points or more: {}.",
            few.join("; ")
        ));
    }
    let repeats = view.analysis.cells.iter().flat_map(|c| c.values.values()).map(|s| s.count).min();
    if let Some(repeats) = repeats.filter(|r| *r < FEW_REPEATS) {
        let how = if repeats == 1 { "there is no interval" } else { "intervals are wide" };
        said.push(format!("Some numbers rest on {}: {how} there.", text::count(repeats, "repeat")));
    }
    if !results.left_out.is_empty() {
        said.push(format!(
            "Left out: {}, with the reasons below.",
            text::count(results.left_out.len(), "method or part")
        ));
    }
    said
}

/// How shots and queries were chosen, in a sentence.
pub fn protocol(view: &View) -> String {
    let facts = &view.results.facts;
    let pool = match facts.pool {
        crate::study::Pool::AdAligned => {
            "good shots come from the training split, defective ones from the tests, and asked about are the tests"
        }
        crate::study::Pool::Author => {
            "good shots come from training split and tests together, and asked about is all else"
        }
    };
    let bad = if facts.stratified_bad { "in turns from all kinds of defect" } else { "as they come" };
    let fixed = if facts.fixed_queries {
        "Every number of shots of a draw is asked about the same pictures."
    } else {
        "Queries are all pictures that are no shots, so they differ with the number of shots."
    };
    let excluded = if facts.excluded.is_empty() {
        String::new()
    } else {
        format!(" Kinds of defect that were excluded: {}.", text::shown(&facts.excluded.join(", ")))
    };
    let pooled = "defective shots of T2 and T4 are taken";
    format!(
        "Pool {}: {pool}; {pooled} {bad}. {fixed} Master seed {}.{excluded}",
        super::tables::pool(facts.pool),
        facts.seed
    )
}

/// Who is drawn, in a sentence.
pub fn drawn(others: &[String]) -> String {
    let rule = "Plots show the best method of every kind, then further networks by their rank, eight lines at most.";
    match others.len() {
        0 => format!("{rule} All methods are drawn."),
        n if n > 6 => {
            let some = others.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
            format!("{rule} Left to the tables: {some} and {} more.", n - 5)
        }
        _ => format!("{rule} Left to the tables: {}.", others.join(", ")),
    }
}

/// The command that does it once more.
pub const AGAIN: &str = "lupe experiment run PLAN.toml";
