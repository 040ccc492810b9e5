//! The metrics of every outcome.

use super::{Metric, Row};
use crate::error::{Error, Result};
use crate::methods::metrics::{Confusion, ranking, share};
use crate::study::{Draw, Limit, Method, Outcome, Results};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The rows of all outcomes, in their order: one of each, of detectors one for each limit.
pub(super) fn of(results: &Results) -> Result<Vec<Row>> {
    let mut rows = vec![];
    for (number, outcome) in results.outcomes.iter().enumerate() {
        let (draw, _) = checked(results, number, outcome)?;
        let limits: Vec<Option<Limit>> = match outcome.answer.limits.as_slice() {
            [] => vec![None],
            limits => limits.iter().map(|l| Some(l.0)).collect(),
        };
        let ranked = ranked(draw, outcome)?;
        for limit in limits {
            rows.push(row(number, draw, outcome, limit, &ranked));
        }
    }
    Ok(rows)
}

/// Draw and method of an outcome that fits them.
fn checked<'r>(results: &'r Results, number: usize, outcome: &Outcome) -> Result<(&'r Draw, &'r Method)> {
    let refused = |what: String| Error::Input(format!("outcome {number} of the study: {what}"));
    let method = results
        .methods
        .get(outcome.method)
        .ok_or_else(|| refused(format!("its method is number {} of {}", outcome.method, results.methods.len())))?;
    let draw = results
        .draws
        .get(outcome.draw)
        .ok_or_else(|| refused(format!("its draw is number {} of {}", outcome.draw, results.draws.len())))?;
    let place = format!("{}, {} of {}, repeat {}", method.name, draw.task, draw.category, draw.repeat);
    let (answer, queries) = (&outcome.answer, draw.queries.len());
    let fits = |n: usize| n == 0 || n == queries;
    if !fits(answer.said.len()) || !fits(answer.scores.len()) || answer.said.len() + answer.scores.len() == 0 {
        let (said, scores) = (answer.said.len(), answer.scores.len());
        return Err(refused(format!("{place}: {said} calls and {scores} scores of {queries} queries")));
    }
    let classes = draw.classes.len();
    let beyond = |class: &&usize| **class >= classes;
    if let Some(class) = answer.said.iter().chain(draw.queries.iter().map(|q| &q.class)).find(beyond) {
        return Err(refused(format!("{place}: class number {class} of {classes}")));
    }
    let numbers = answer.scores.iter().chain(answer.limits.iter().map(|l| &l.1));
    if numbers.into_iter().any(|v| v.is_nan()) {
        return Err(Error::Numeric(format!(
            "outcome {number} of the study: {place}: a score or limit is not a number"
        )));
    }
    Ok((draw, method))
}

/// The class that each query was called: by a learner, or by a detector's limit where `good` has a single counterpart. `None` where nothing
/// was called.
pub(super) fn called<'o>(draw: &Draw, outcome: &'o Outcome, limit: Option<Limit>) -> Option<Cow<'o, [usize]>> {
    if !outcome.answer.said.is_empty() {
        return Some(Cow::Borrowed(&outcome.answer.said));
    }
    let (good, 2) = (draw.good()?, draw.classes.len()) else { return None };
    let defective = defective(draw, outcome, limit)?;
    Some(defective.into_iter().map(|d| if d { 1 - good } else { good }).collect())
}

/// Whether each query was called defective; `None` where no class is good, or a detector has no such limit.
fn defective(draw: &Draw, outcome: &Outcome, limit: Option<Limit>) -> Option<Vec<bool>> {
    let good = draw.good()?;
    let answer = &outcome.answer;
    if !answer.said.is_empty() {
        return Some(answer.said.iter().map(|said| *said != good).collect());
    }
    let limit = answer.limits.iter().find(|l| Some(l.0) == limit)?.1;
    Some(answer.scores.iter().map(|score| *score >= limit).collect())
}

/// Scores of an outcome with whether each query is defective; empty where there are none, or no class is good.
pub(super) fn scored(draw: &Draw, outcome: &Outcome) -> Vec<(f64, bool)> {
    let Some(good) = draw.good() else { return vec![] };
    outcome.answer.scores.iter().zip(&draw.queries).map(|(score, query)| (*score, query.class != good)).collect()
}

fn ranked(draw: &Draw, outcome: &Outcome) -> Result<Vec<(Metric, f64)>> {
    let found = ranking(&scored(draw, outcome))?;
    let all = [(Metric::Auroc, found.auroc), (Metric::Ap, found.ap), (Metric::F1Max, found.f1_max)];
    Ok(all.into_iter().filter_map(|(metric, value)| Some((metric, value.ok()?))).collect())
}

fn row(number: usize, draw: &Draw, outcome: &Outcome, limit: Option<Limit>, ranked: &[(Metric, f64)]) -> Row {
    let good = draw.good();
    let queries_good = draw.queries.iter().filter(|q| Some(q.class) == good).count();
    let queries_bad = draw.queries.len() - queries_good;
    let mut is = Confusion::new(draw.classes.len());
    draw.queries.iter().for_each(|q| is.add(q.class, q.class));
    let mut values: BTreeMap<Metric, f64> = ranked.iter().copied().collect();
    let mut put = |metric: Metric, value: Option<f64>| values.extend(value.map(|v| (metric, v)));
    put(Metric::Majority, is.majority());
    if let Some(said) = called(draw, outcome, limit) {
        let confusion = confusion(draw, &said);
        put(Metric::Acc, confusion.accuracy());
        put(Metric::BalAcc, confusion.balanced_accuracy());
        put(Metric::MacroF1, confusion.macro_f1());
        let kinds = || draw.queries.iter().zip(said.iter()).filter(|(q, _)| Some(q.class) != good);
        let named = kinds().filter(|(q, said)| q.class == **said).count();
        put(Metric::DefectAcc, share(named, queries_bad).filter(|_| !draw.task.pools_defects()));
    }
    if let Some(defective) = defective(draw, outcome, limit) {
        let right = |bad: bool| {
            let of =
                |(query, found): &(&crate::study::Query, &bool)| (Some(query.class) != good) == bad && **found == bad;
            draw.queries.iter().zip(&defective).filter(of).count()
        };
        let (tpr, tnr) = (share(right(true), queries_bad), share(right(false), queries_good));
        put(Metric::Tpr, tpr);
        put(Metric::Tnr, tnr);
        put(Metric::GoodBad, tpr.zip(tnr).map(|(tpr, tnr)| (tpr + tnr) / 2.0));
    }
    Row { outcome: number, limit, queries_good, queries_bad, values }
}

/// What queries were called.
pub(super) fn confusion(draw: &Draw, said: &[usize]) -> Confusion {
    let mut confusion = Confusion::new(draw.classes.len());
    draw.queries.iter().zip(said).for_each(|(query, said)| confusion.add(query.class, *said));
    confusion
}
