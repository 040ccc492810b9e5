//! Is few-shot learning fit for finding defects? Learners beside detectors on T2, decisions beside the majority, and both in a chain on T1.

use super::words::{Verdict, count, lies, mean, mean_both, over, percent, sentence, tenths};
use super::{Told, best, limit, methods, not_run};
use crate::methods::metrics::Spread;
use crate::study::analysis::{Cell, Metric, Pair, Said, Table};
use crate::study::{Family, Task};

const QUESTION: &str = "Is few-shot learning fit for finding defects?";

/// EfficientAD is not made for fewer good pictures than this.
const ENOUGH_FOR_EFFICIENT_AD: usize = 20;

/// What was found on one data set.
struct Found<'r> {
    category: &'r str,
    learner: &'r Cell,
    learner_auroc: &'r Spread,
    /// The best detector with the most good pictures that it was given, and the difference to the learner.
    detector: Option<(&'r Cell, &'r Spread, Option<&'r Pair>)>,
}

pub(super) fn answer(told: &Told) -> Said {
    let found: Vec<Found> = told.categories().filter_map(|category| look(told, category)).collect();
    if found.is_empty() {
        return not_run(
            QUESTION,
            "not run: the question needs learners on T2 (good or defective) that say how defective a picture is",
        );
    }
    let mut because = vec![
        "AUROC is the chance that a defective picture gets a higher score than a good one: 50 % is guessing, and no limit has a say in it. \
         Intervals by draws tell what other shots would change, those by pictures what other pictures would. \
         The best is the best by its mean on these very pictures, which flatters it the more, the more took part."
            .to_string(),
    ];
    for one in &found {
        because.extend(ranked(told, one));
        because.extend(same_pictures(told, one));
        because.extend(decided(told, one));
        because.extend(chained(told, one.category));
    }
    because.extend(missing(told, &found));
    Said { question: QUESTION.into(), short: short(told, &found), because }
}

fn look<'r>(told: &Told<'r>, category: &'r str) -> Option<Found<'r>> {
    let learners = told.of_task(category, Task::T2).filter(|c| told.learns(&c.setting));
    let (learner, learner_auroc) = best(learners, Metric::Auroc)?;
    let compared = |c: &&Cell| pair(told, learner, c, Metric::Auroc).is_some();
    let most = |c: &&Cell| {
        let own = detectors(told, category).filter(|o| o.setting.method == c.setting.method);
        own.map(|o| (o.setting.all, o.setting.good)).max() == Some((c.setting.all, c.setting.good))
    };
    let detector = best(detectors(told, category).filter(most).filter(compared), Metric::Auroc)
        .or_else(|| best(detectors(told, category).filter(most), Metric::Auroc));
    let detector = detector.map(|(cell, auroc)| (cell, auroc, pair(told, learner, cell, Metric::Auroc)));
    Some(Found { category, learner, learner_auroc, detector })
}

fn detectors<'r>(told: &Told<'r>, category: &'r str) -> impl Iterator<Item = &'r Cell> {
    let families = told.results.methods.as_slice();
    let detects = move |c: &&Cell| families.get(c.setting.method).is_some_and(|m| m.family.detects());
    told.of_task(category, Task::T2).filter(detects)
}

fn pair<'r>(told: &Told<'r>, one: &Cell, other: &Cell, metric: Metric) -> Option<&'r Pair> {
    let fits = |p: &&Pair| p.one == one.setting && p.other == other.setting && p.metric == metric;
    told.table(Table::Detectors).find(fits)
}

/// What would have belonged here and was not run.
fn missing(told: &Told, found: &[Found]) -> Vec<String> {
    let mut missing = vec![];
    let beside = found.iter().filter(|f| f.detector.is_some());
    let same = |f: &&Found| {
        let good = f.learner.setting.good;
        !detectors(told, f.category).any(|c| c.setting.good == good && !c.setting.all)
    };
    let without: Vec<String> = beside.filter(same).map(|f| told.place(f.category)).collect();
    if !without.is_empty() {
        let places = super::list(&without);
        missing.push(format!("Detectors from as few good pictures as the best learner had were not run on {places}."));
    }
    if told.table(Table::Chains).next().is_none() {
        missing.push(
            "A detector with a learner behind it that names the defect (T1) was not run beside a learner alone.".into(),
        );
    }
    missing
}

/// Both by their AUROC.
fn ranked(told: &Told, found: &Found) -> Vec<String> {
    let Found { category, learner, learner_auroc, detector } = found;
    let many = methods(told.of_task(category, Task::T2).filter(|c| told.learns(&c.setting)));
    let auroc = mean_both(learner_auroc, learner.by_pictures.get(&Metric::Auroc));
    let who = if many == 1 { "the only learner".into() } else { format!("the best of {many} learners") };
    let (place, name, shots) = (told.place(category), told.name(&learner.setting), told.shots(&learner.setting));
    let mut said = vec![format!("{place}: {who}, {name} with {shots}, has AUROC {auroc}.")];
    if Verdict::of(&Spread { mean: learner_auroc.mean - 0.5, ..**learner_auroc }) != Verdict::Higher
        && learner_auroc.interval.is_some()
    {
        said.push(format!("{place}: that is not shown to be better than guessing."));
    }
    if let Some((cell, auroc, difference)) = detector {
        said.push(beside(told, found, cell, auroc, *difference));
    } else {
        said.push(format!("{place}: no detector was run beside it."));
    }
    said
}

/// A detector beside the learner.
fn beside(told: &Told, found: &Found, cell: &Cell, auroc: &Spread, difference: Option<&Pair>) -> String {
    let auroc = mean_both(auroc, cell.by_pictures.get(&Metric::Auroc));
    let family = told.family(&cell.setting);
    let starved = family == Some(Family::EfficientAd) && cell.setting.good < ENOUGH_FOR_EFFICIENT_AD;
    let starved = if starved { " (fewer than it is made for)" } else { "" };
    let many = methods(detectors(told, found.category));
    let who = if many == 1 { "the only detector".into() } else { format!("the best of {many} detectors") };
    let (name, shots) = (told.name(&cell.setting), told.shots(&cell.setting));
    let told_apart = match difference {
        Some(pair) => format!("on the same draws the learner's {}", lies(&pair.difference)),
        None => "they share no draw, so their difference is not told".into(),
    };
    format!("{}: {who}, {name} from {shots}{starved}, has AUROC {auroc}; {told_apart}.", told.place(found.category))
}

/// The best detector from as few good pictures as the learner had, if that is another setting.
fn with_same_pictures<'r>(told: &Told<'r>, found: &Found<'r>) -> Option<(&'r Cell, &'r Pair)> {
    let good = found.learner.setting.good;
    let same = |c: &&Cell| c.setting.good == good && !c.setting.all;
    let compared = |c: &&Cell| pair(told, found.learner, c, Metric::Auroc).is_some();
    let (cell, _) = best(detectors(told, found.category).filter(same).filter(compared), Metric::Auroc)?;
    let known = found.detector.is_some_and(|d| d.0.setting.method == cell.setting.method && d.0.setting.good == good);
    if known { None } else { Some((cell, pair(told, found.learner, cell, Metric::Auroc)?)) }
}

fn same_pictures(told: &Told, found: &Found) -> Option<String> {
    let (cell, pair) = with_same_pictures(told, found)?;
    Some(beside(told, found, cell, cell.values.get(&Metric::Auroc)?, Some(pair)))
}

/// Decisions: balanced accuracy beside a detector's, and accuracy beside the majority.
fn decided(told: &Told, found: &Found) -> Vec<String> {
    let (learner, place) = (found.learner, told.place(found.category));
    let mut said = vec![];
    let decided = found.detector.and_then(|(cell, ..)| {
        let own = |p: &&Pair| p.one == learner.setting && p.metric == Metric::BalAcc && kin(&p.other, cell);
        told.table(Table::Detectors).find(own)
    });
    if let (Some(own), Some(pair)) = (learner.values.get(&Metric::BalAcc), decided) {
        let other = told.cell(&pair.other).and_then(|c| c.values.get(&Metric::BalAcc)).map(mean).unwrap_or_default();
        let (learner, detector, by) = (told.name(&learner.setting), told.name(&pair.other), limit(pair.other.limit));
        said.push(format!(
            "{place}: as a decision, good or defective, {learner} calls {} right, the mean of both kinds, and {detector} at {by} {other}; the \
             learner's share {}.",
            mean(own),
            lies(&pair.difference)
        ));
    }
    said.extend(beside_majority(told, found));
    said
}

fn kin(setting: &crate::study::analysis::Setting, cell: &Cell) -> bool {
    let own = &cell.setting;
    (setting.method, setting.good, setting.all) == (own.method, own.good, own.all)
}

/// That accuracy is not above the majority's, if it is not.
fn beside_majority(told: &Told, found: &Found) -> Option<String> {
    let values = &found.learner.values;
    let (acc, majority) = (values.get(&Metric::Acc)?, values.get(&Metric::Majority)?.mean);
    let low = acc.ends().map_or(acc.mean, |[low, _]| low);
    (low <= majority).then(|| {
        let (place, name) = (told.place(found.category), told.name(&found.learner.setting));
        let most = percent(majority);
        let acc = mean(acc);
        format!("{place}: the accuracy of {name}, {acc}, is not shown to be above the {most} of calling every picture what most are (guessing: 50.0 %).")
    })
}

/// A detector with a learner behind it, beside a learner alone.
fn chained(told: &Told, category: &str) -> Option<String> {
    let of = |p: &&Pair| p.one.category == category && p.metric == Metric::Acc;
    let value = |p: &Pair, one: bool| {
        let setting = if one { &p.one } else { &p.other };
        told.cell(setting).and_then(|c| c.values.get(&Metric::Acc)).map_or(0.0, |v| v.mean)
    };
    let better = |a: &'_ Pair, b: &'_ Pair| (value(a, true), value(a, false)) >= (value(b, true), value(b, false));
    let pair = told.table(Table::Chains).filter(of).reduce(|a, b| if better(a, b) { a } else { b })?;
    let acc =
        |p: &Pair, one: bool| told.cell(if one { &p.one } else { &p.other }).and_then(|c| c.values.get(&Metric::Acc));
    let (chain, learner) = (acc(pair, true)?, acc(pair, false)?);
    Some(format!(
        "{}: asked for the kind as well (T1), the chain ({}) calls {} right and the best learner alone, {} with {}, {}; the chain's accuracy {}.",
        told.place(category),
        told.name(&pair.one),
        mean(chain),
        told.name(&pair.other),
        told.shots(&pair.other),
        mean(learner),
        lies(&pair.difference)
    ))
}

/// How high both are.
fn levels(found: &[Found]) -> String {
    let between = |values: Vec<f64>| {
        let (low, high) = (values.iter().copied().reduce(f64::min)?, values.iter().copied().reduce(f64::max)?);
        let (low, high) = (tenths(low), tenths(high));
        Some(if low == high { format!("{high} %") } else { format!("{low} to {high} %") })
    };
    let of_learners = between(found.iter().filter(|f| f.detector.is_some()).map(|f| f.learner_auroc.mean).collect());
    let of_detectors = between(found.iter().filter_map(|f| Some(f.detector?.1.mean)).collect());
    of_learners.zip(of_detectors).map_or(String::new(), |(l, d)| format!(" (learner {l}, detector {d})"))
}

fn short(told: &Told, found: &[Found]) -> String {
    let compared: Vec<(String, Spread)> = found
        .iter()
        .filter_map(|f| Some((told.short_place(f.category), f.detector.and_then(|d| d.2)?.difference)))
        .collect();
    if compared.is_empty() {
        let aurocs: Vec<String> =
            found.iter().map(|f| format!("{} on {}", mean(f.learner_auroc), told.short_place(f.category))).collect();
        let aurocs = if aurocs.len() <= 3 { super::list(&aurocs) } else { count(aurocs.len(), "data set") };
        return sentence(&format!(
            "whether detectors do better was not asked, since none was run on the same draws; the best learner's AUROC: {aurocs}"
        ));
    }
    let all = |verdict: Verdict| compared.iter().all(|c| Verdict::of(&c.1) == verdict);
    let any = |verdict: Verdict| compared.iter().any(|c| Verdict::of(&c.1) == verdict);
    let head = if all(Verdict::Lower) {
        "less fit than a detector"
    } else if all(Verdict::Higher) {
        "fitter than the detectors that were run"
    } else if all(Verdict::Same) {
        "as fit as the best detector that was run"
    } else if any(Verdict::Lower) && any(Verdict::Higher) {
        "it depends on the data"
    } else if any(Verdict::Lower) {
        "less fit than a detector on some data"
    } else if any(Verdict::Higher) {
        "fitter than a detector on some data"
    } else {
        "a difference to the best detector could not be shown"
    };
    let said = over(&compared, "the best learner's, beside the best detector's,", &lies) + &levels(found);
    let same =
        found.iter().filter_map(|f| Some((told.short_place(f.category), with_same_pictures(told, f)?.1.difference)));
    let same: Vec<(String, Spread)> = same.collect();
    let same = match same.as_slice() {
        [] => String::new(),
        same => format!(
            ". From as few good pictures as the learner's: {}",
            over(same, "its AUROC, beside the best detector's,", &lies)
        ),
    };
    sentence(&format!(
        "{}{head}, by how often a defective picture scores above a good one (AUROC): {said}{same}",
        told.painted_head()
    ))
}
