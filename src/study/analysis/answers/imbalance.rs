//! What do more good shots than defective ones do? Accuracy and ranking apart, and both once more where shots are corrected.

use super::words::{Verdict, did, list, over, percent, sentence};
use super::{Told, not_run};
use crate::methods::metrics::Spread;
use crate::study::analysis::{Metric, Pair, Said, Table};
use crate::study::{Family, Task, Variant};

const QUESTION: &str = "What do more good shots than defective ones do?";

/// The most good shots against the fewest, of one learner on one task.
struct Case<'r> {
    category: &'r str,
    task: Task,
    acc: &'r Pair,
    auroc: Option<&'r Pair>,
    tpr: Option<&'r Pair>,
    tnr: Option<&'r Pair>,
    /// The same step with shots corrected.
    corrected: Option<&'r Pair>,
    /// Corrected less plain at the most good shots.
    correction: Option<&'r Pair>,
}

pub(super) fn answer(told: &Told) -> Said {
    let of = |task: Task| told.categories().filter_map(move |category| case(told, category, task));
    let (pooled, kinds): (Vec<Case>, Vec<Case>) = (of(Task::T4).collect(), of(Task::T5).collect());
    if pooled.is_empty() && kinds.is_empty() {
        return not_run(QUESTION, "not run: the question needs T4 or T5 with two numbers of good shots");
    }
    let mut because = vec![];
    for case in pooled.iter().chain(&kinds) {
        because.push(effect(told, case, true));
        because.extend(kinds_of_error(told, case));
        because.extend(correction(told, case));
        because.extend(others(told, case));
    }
    let missing = if pooled.is_empty() { Some(Task::T4) } else { kinds.is_empty().then_some(Task::T5) };
    because
        .extend(missing.map(|task| format!("{task} ({}) was not run with two numbers of good shots.", task.title())));
    Said { question: QUESTION.into(), short: short(told, if pooled.is_empty() { &kinds } else { &pooled }), because }
}

fn plain(told: &Told, pair: &Pair) -> bool {
    told.method(&pair.one).is_some_and(|m| m.variant == Variant::Plain)
}

/// Of each learner as published the step to its most good shots, by accuracy.
fn steps<'r>(told: &Told<'r>, category: &str, task: Task) -> Vec<&'r Pair> {
    let own = |p: &&Pair| p.one.category == category && p.one.task == task && p.metric == Metric::Acc;
    let mut steps: Vec<&Pair> = vec![];
    for pair in told.table(Table::Shots).filter(own).filter(|p| plain(told, p)) {
        match steps.iter_mut().find(|s| s.one.method == pair.one.method) {
            Some(known) if known.one.good < pair.one.good => *known = pair,
            Some(_) => {}
            None => steps.push(pair),
        }
    }
    steps
}

/// The learner that stands for the others: one that was also run corrected, if any was, and of several the one with the best accuracy at the
/// fewest shots.
fn case<'r>(told: &Told<'r>, category: &'r str, task: Task) -> Option<Case<'r>> {
    let correction = |step: &Pair| {
        let own = |p: &&Pair| p.other == step.one && p.metric == Metric::Acc;
        told.table(Table::Corrections).find(own)
    };
    let rank = |step: &Pair| {
        let acc = told.cell(&step.other).and_then(|c| c.values.get(&Metric::Acc)).map_or(0.0, |v| v.mean);
        (correction(step).is_some(), acc)
    };
    let acc = steps(told, category, task).into_iter().reduce(|a, b| if rank(b) > rank(a) { b } else { a })?;
    let same = |method: usize, metric: Metric| {
        told.table(Table::Shots).find(|p| {
            let step = (&p.one.category, p.one.task, p.one.good, p.one.bad, p.other.good);
            let own = (&acc.one.category, acc.one.task, acc.one.good, acc.one.bad, acc.other.good);
            step == own && p.one.method == method && p.metric == metric
        })
    };
    let own = |metric: Metric| same(acc.one.method, metric);
    let (auroc, tpr, tnr) = (own(Metric::Auroc), own(Metric::Tpr), own(Metric::Tnr));
    let correction = correction(acc);
    let corrected = correction.and_then(|p| same(p.one.method, Metric::Acc));
    Some(Case { category, task, acc, auroc, tpr, tnr, corrected, correction })
}

/// What the step did to accuracy and to AUROC, how that is read, and what it did with shots corrected.
fn effect(told: &Told, case: &Case, placed: bool) -> String {
    let (many, few) = (case.acc.one.good, case.acc.other.good);
    let mut said = format!("going from {few} to {many} good shots {}", did(&case.acc.difference, "accuracy"));
    if let Some(auroc) = case.auroc {
        said += &format!(" and {}", did(&auroc.difference, "AUROC"));
    }
    said += &reading(case).map(|r| format!(": {r}")).unwrap_or_default();
    if let Some(corrected) = case.corrected {
        said += &format!("; {}, it {}", how(told, case), did(&corrected.difference, "accuracy"));
    }
    let (name, place) = (told.name(&case.acc.one), told.place(case.category));
    if placed {
        let (title, bad) = (case.task.title(), case.acc.one.bad);
        let shots = if case.task == Task::T5 { "shots of each defect" } else { "defective shots" };
        return format!("{place}, {} ({title}), {name} with {bad} {shots}: {said}.", case.task);
    }
    sentence(&format!("with {name} on {place}, {said}"))
}

/// How a corrected learner is called.
fn how(told: &Told, case: &Case) -> &'static str {
    match told.family(&case.acc.one) {
        Some(Family::Pmf) => "with a loss in which every class counts the same",
        _ => "corrected for unequal shots",
    }
}

const MOVED: &str = "the threshold moved, not the ranking";

/// What accuracy and AUROC say together, where their intervals carry it.
fn reading(case: &Case) -> Option<&'static str> {
    let of = |pair: Option<&Pair>| pair.map(|p| Verdict::of(&p.difference));
    let (acc, auroc) = (Verdict::of(&case.acc.difference), of(case.auroc)?);
    let apart = matches!(
        (of(case.tpr), of(case.tnr)),
        (Some(Verdict::Lower), Some(Verdict::Higher)) | (Some(Verdict::Higher), Some(Verdict::Lower))
    );
    let kept = matches!(auroc, Verdict::Higher | Verdict::Same);
    match acc {
        Verdict::Lower if apart && kept => Some(MOVED),
        Verdict::Higher if apart && auroc == Verdict::Same => Some(MOVED),
        Verdict::Higher if apart && auroc == Verdict::Higher => {
            Some("the threshold moved, and the ranking became better")
        }
        Verdict::Same if apart => {
            Some("the threshold moved, with losses on one kind of picture and gains on the other")
        }
        Verdict::Lower if kept => Some("the ranking did not become worse"),
        Verdict::Lower if auroc == Verdict::Lower => Some("the ranking became worse as well"),
        Verdict::Higher if auroc == Verdict::Higher => Some("the ranking became better as well"),
        Verdict::Higher if auroc == Verdict::Lower => Some("although the ranking became worse"),
        _ => None,
    }
}

/// Defects found and good pictures kept, and at which share of defects the change of accuracy would turn.
fn kinds_of_error(told: &Told, case: &Case) -> Option<String> {
    let (tpr, tnr) = (&case.tpr?.difference, &case.tnr?.difference);
    let mut said = format!(
        "{}, {}: the step {} and {}",
        told.place(case.category),
        case.task,
        did(tpr, "the share of defective pictures that are found"),
        did(tnr, "the share of good ones that are kept")
    );
    said += &turn(told, case, tpr, tnr).unwrap_or_default();
    Some(format!("{said}."))
}

/// Accuracy is the mean of both shares, weighted by how many pictures are of each kind; so opposite changes cancel at one weight. Where kinds of
/// defect are named, accuracy is more than that.
fn turn(told: &Told, case: &Case, tpr: &Spread, tnr: &Spread) -> Option<String> {
    let (good, bad) = told.asked(case.category, &[case.task])?;
    let opposite = (Verdict::of(tpr), Verdict::of(tnr)) == (Verdict::Lower, Verdict::Higher);
    if case.task != Task::T4 || !opposite {
        return None;
    }
    let defective = percent(bad as f64 / (good + bad) as f64);
    let even = percent(tnr.mean / (tnr.mean - tpr.mean));
    let would = match Verdict::of(&case.acc.difference) {
        Verdict::Lower => "with fewer than about {} the same change would have raised accuracy",
        Verdict::Higher => "with more than about {} the same change would have lowered accuracy",
        _ => return None,
    };
    Some(format!("; {defective} of the pictures asked about are defective, and {}", would.replace("{}", &even)))
}

/// Corrected beside plain at the most good shots.
fn correction(told: &Told, case: &Case) -> Option<String> {
    let Some(pair) = case.correction else {
        return Some(format!("{}, {}: no corrected twin of it was run.", told.place(case.category), case.task));
    };
    let what = match told.family(&pair.one) {
        Some(Family::Pmf) => "a loss in which every class counts the same",
        _ => "correcting for unequal shots",
    };
    let (good, did) = (pair.one.good, did(&pair.difference, "accuracy"));
    Some(format!("{}, {}: at {good} good shots, {what} {did}.", told.place(case.category), case.task))
}

/// How many learners as published changed which way.
fn others(told: &Told, case: &Case) -> Option<String> {
    let steps = steps(told, case.category, case.task);
    if steps.len() < 2 {
        return None;
    }
    let many = |verdict: Verdict| steps.iter().filter(|s| Verdict::of(&s.difference) == verdict).count();
    let said = [
        (Verdict::Lower, "fell with"),
        (Verdict::Higher, "rose with"),
        (Verdict::Same, "stayed practically the same with"),
        (Verdict::Open, "was not shown to change with"),
        (Verdict::Single, "has no interval with"),
    ];
    let said = said.into_iter().map(|(verdict, words)| (many(verdict), words)).filter(|(n, _)| *n > 0);
    let said: Vec<String> = said.map(|(n, words)| format!("{words} {n}")).collect();
    let stand = steps.iter().filter(|s| s.p_holm.is_some_and(|p| p < 0.05)).count();
    let (place, all) = (told.place(case.category), steps.len());
    Some(format!(
        "{place}, {}: of {all} learners as published, accuracy {}. Changes that stand at 5 % after Holm's correction over the whole table: \
         {stand}.",
        case.task,
        list(&said)
    ))
}

fn short(told: &Told, cases: &[Case]) -> String {
    if let [one] = cases {
        return effect(told, one, false);
    }
    let place = |case: &Case| told.short_place(case.category);
    let of = |pair: fn(&Case) -> Option<Spread>| -> Vec<(String, Spread)> {
        cases.iter().filter_map(|case| Some((place(case), pair(case)?))).collect()
    };
    let (acc, auroc) = (of(|c| Some(c.acc.difference)), of(|c| Some(c.auroc?.difference)));
    let subject = |metric: &str| format!("{metric} with the most good shots, beside the fewest,");
    let mut said = over(&acc, &subject("accuracy"), &|d| did(d, "accuracy"));
    if !auroc.is_empty() {
        said += &format!("; {}", over(&auroc, &subject("AUROC"), &|d| did(d, "AUROC")));
    }
    let first = cases.first().and_then(reading);
    if let Some(all) = first.filter(|r| cases.iter().all(|c| reading(c) == Some(*r))) {
        said += &format!(": on all of them {all}");
    }
    let corrected = of(|c| Some(c.corrected?.difference));
    if !corrected.is_empty() {
        let subject = if corrected.len() == 1 { "they" } else { "accuracy" };
        said += &format!("; corrected for unequal shots, {}", over(&corrected, subject, &|d| did(d, "accuracy")));
    }
    sentence(&format!("{}{said}", told.painted_head()))
}
