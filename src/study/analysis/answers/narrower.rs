//! What if only the anomaly is to be detected, or only its kind? Each narrower question beside the one that asks for both.

use super::words::{lies, mean, over, sentence};
use super::{Told, not_run};
use crate::methods::metrics::Spread;
use crate::study::Variant;
use crate::study::analysis::{Metric, Pair, Said, Setting, Table};

const QUESTION: &str = "What if only the defect is to be found, or only its kind to be named?";

pub(super) fn answer(told: &Told) -> Said {
    let (found, named) = (headline(told, Table::Collapsed), headline(told, Table::Kinds));
    if found.is_empty() && named.is_empty() {
        return not_run(
            QUESTION,
            "not run: the question needs T1 (good or which defect) beside T2 (good or defective) or T3 (which defect)",
        );
    }
    let mut because = vec![
        "Every task has draws of its own, so these differences are not paired. With as many shots of each class, T1 has seen more defective \
         pictures than T2."
            .to_string(),
    ];
    because.extend(found.iter().map(|pair| collapsed(told, pair)));
    because.extend(named.iter().map(|pair| kinds(told, pair)));
    let parts = [
        part(
            told,
            &found,
            "to tell only good from defective",
            "T1 and T2",
            "the mean share of good and of defective pictures told right",
        ),
        part(told, &named, "to name only the kind of defect", "T1 and T3", "the share of defects that are named right"),
    ];
    Said { question: QUESTION.into(), short: sentence(&parts.join(". ")), because }
}

/// For each data set the difference of one learner as published: with the most shots and, of several, the best on T1.
fn headline<'r>(told: &Told<'r>, table: Table) -> Vec<&'r Pair> {
    let plain = |p: &&Pair| told.method(&p.one).is_some_and(|m| m.variant == Variant::Plain);
    let rank = |p: &Pair| (p.one.bad, value(told, &p.other, p.metric).map_or(0.0, |v| v.mean));
    let of = |category: &str| {
        let own = told.table(table).filter(plain).filter(|p| p.one.category == category);
        own.reduce(|a, b| if rank(b) > rank(a) { b } else { a })
    };
    told.categories().filter_map(of).collect()
}

fn value<'r>(told: &Told<'r>, setting: &Setting, metric: Metric) -> Option<&'r Spread> {
    told.cell(setting)?.values.get(&metric)
}

fn means(told: &Told, pair: &Pair) -> [String; 2] {
    [&pair.one, &pair.other].map(|setting| value(told, setting, pair.metric).map(mean).unwrap_or_default())
}

fn collapsed(told: &Told, pair: &Pair) -> String {
    let [narrow, wide] = means(told, pair);
    format!(
        "{}: asked only whether a picture is good or defective (T2), {} with {} tells {narrow} right, the mean of both kinds; asked for the kind \
         of defect as well (T1, {}) {wide}. The narrower question's share {}.",
        told.place(&pair.one.category),
        told.name(&pair.one),
        told.shots(&pair.one),
        told.shots(&pair.other),
        lies(&pair.difference)
    )
}

fn kinds(told: &Told, pair: &Pair) -> String {
    let [narrow, wide] = means(told, pair);
    format!(
        "{}: asked only which defect it is (T3), {} with {} names {narrow} right; where good pictures are among them (T1) {wide} of the defects. \
         The narrower question's share {}.",
        told.place(&pair.one.category),
        told.name(&pair.one),
        told.shots(&pair.one),
        lies(&pair.difference)
    )
}

/// One of both halves of the answer.
fn part(told: &Told, pairs: &[&Pair], what: &str, tasks: &str, share: &str) -> String {
    if pairs.is_empty() {
        return sentence(&format!("{what} was not run beside the wider question, which takes {tasks}"))
            .trim_end_matches('.')
            .into();
    }
    let differences: Vec<(String, Spread)> =
        pairs.iter().map(|p| (told.short_place(&p.one.category), p.difference)).collect();
    let said = over(&differences, share, &lies);
    sentence(&format!("{what}: {said}")).trim_end_matches('.').into()
}
