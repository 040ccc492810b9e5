//! Euclidean or cosine? Methods that are the same but for their distance, on the same draws.

use super::words::{Verdict, count, percent, sentence, size, tenths, within_two_points};
use super::{Told, not_run};
use crate::methods::metrics::{Spread, percentiles};
use crate::study::analysis::{Metric, Pair, Said, Table};
use std::collections::BTreeMap;

const QUESTION: &str = "Euclidean distance or cosine?";

pub(super) fn answer(told: &Told) -> Said {
    let pairs = compared(told, Metric::Acc);
    if pairs.is_empty() {
        return not_run(QUESTION, "not run: the question needs a learner with both distances");
    }
    let mut because = vec![];
    let mut groups: BTreeMap<&str, Vec<&Pair>> = BTreeMap::new();
    for pair in &pairs {
        groups.entry(told.method(&pair.one).map_or("", |m| m.group.as_str())).or_default().push(pair);
    }
    because.extend(groups.iter().map(|(group, pairs)| format!("{group}: {}", spread_out(pairs, "accuracy"))));
    because.extend(groups.keys().filter_map(|group| lengths(told, group)));
    because.push(largest(told, &pairs));
    let ranked = compared(told, Metric::Auroc);
    if !ranked.is_empty() {
        because.push(format!("All of them by their ranking: {}", spread_out(&ranked, "AUROC")));
    }
    let stand = pairs.iter().filter(|p| p.p_holm.is_some_and(|p| p < 0.05)).count();
    because.push(format!(
        "Differences that stand at 5 % after Holm's correction over the whole table: {stand} in {}.",
        count(pairs.len(), "comparison")
    ));
    Said { question: QUESTION.into(), short: short(&pairs), because }
}

/// One pair of each setting: the squared distance stands for the Euclidean one, whose nearest prototype is the same.
fn compared<'r>(told: &Told<'r>, metric: Metric) -> Vec<&'r Pair> {
    let of = |word: &str| {
        let what = format!("cosine - {word}");
        told.table(Table::Distances).filter(move |p| p.metric == metric && p.what == what).collect::<Vec<_>>()
    };
    let squared = of("squared");
    let known = |p: &&Pair| squared.iter().any(|s| s.one == p.one);
    let euclidean: Vec<&Pair> = of("euclidean").into_iter().filter(|p| !known(p)).collect();
    [squared, euclidean].concat()
}

/// How many intervals lie where.
struct Counts {
    all: usize,
    higher: usize,
    lower: usize,
    close: usize,
    single: usize,
}

impl Counts {
    fn of(pairs: &[&Pair]) -> Counts {
        let many = |verdict: Verdict| pairs.iter().filter(|p| Verdict::of(&p.difference) == verdict).count();
        let close = pairs.iter().filter(|p| within_two_points(&p.difference)).count();
        let [higher, lower, single] = [Verdict::Higher, Verdict::Lower, Verdict::Single].map(many);
        Counts { all: pairs.len(), higher, lower, close, single }
    }
}

fn ends(pairs: &[&Pair]) -> (f64, f64) {
    let means = || pairs.iter().map(|p| p.difference.mean);
    (means().fold(f64::INFINITY, f64::min), means().fold(f64::NEG_INFINITY, f64::max))
}

/// What many differences say.
fn spread_out(pairs: &[&Pair], metric: &str) -> String {
    let Counts { all, higher, lower, close, single } = Counts::of(pairs);
    let (low, high) = ends(pairs);
    let mut said = format!(
        "cosine less Euclidean, {metric} differs by {} to {} points over {}",
        tenths(low),
        tenths(high),
        count(all, "comparison")
    );
    if single < all {
        said += &format!("; intervals above 0: {higher}, below: {lower}, within two points of it: {close}");
    }
    if single > 0 {
        said += &format!("; {single} with one repeat, so without an interval");
    }
    let agreed: Vec<f64> = pairs.iter().filter_map(|p| p.agreement).collect();
    if let Some(least) = agreed.into_iter().reduce(f64::min).filter(|_| metric != "AUROC") {
        said += &format!("; both call at least {} of the pictures the same", percent(least));
    }
    said + "."
}

/// How long a group's prototypes are, which is all that cosine leaves out of a Euclidean distance: over all draws, and in each the longest
/// beside the shortest.
fn lengths(told: &Told, group: &str) -> Option<String> {
    let with_lengths = |m: &usize| told.results.outcomes.iter().any(|o| o.method == *m && !o.answer.lengths.is_empty());
    let of_group = |m: &usize| told.results.methods.get(*m).is_some_and(|m| m.group == group);
    // Lines that differ in distance or correction have the same prototypes.
    let method = (0..told.results.methods.len()).filter(of_group).find(with_lengths)?;
    let each = told.results.outcomes.iter().filter(|o| o.method == method).map(|o| &o.answer.lengths);
    let (all, ratios): (Vec<f64>, Vec<f64>) =
        (each.clone().flatten().copied().collect(), each.filter_map(|l| ratio(l)).collect());
    let (length, mean) = (Spread::of(&all)?.mean, Spread::of(&ratios)?.mean);
    let most = ratios.iter().copied().fold(1.0, f64::max);
    let [low, high] = percentiles(all)?;
    Some(format!(
        "{group}: prototypes are {length:.3} long on average, 95 % of them {low:.3} to {high:.3}; the longest of a draw is {mean:.3} times the \
         shortest on average and {most:.3} times at most: of this cosine knows nothing."
    ))
}

/// The longest by the shortest; `None` where one is nothing.
fn ratio(lengths: &[f64]) -> Option<f64> {
    let longest = lengths.iter().copied().fold(0.0, f64::max);
    let shortest = lengths.iter().copied().fold(f64::INFINITY, f64::min);
    (shortest > 0.0 && longest.is_finite() && shortest.is_finite()).then(|| longest / shortest)
}

fn largest(told: &Told, pairs: &[&Pair]) -> String {
    let far = |p: &&Pair| p.difference.mean.abs();
    let Some(pair) = pairs.iter().copied().reduce(|a, b| if far(&b) > far(&a) { b } else { a }) else {
        return String::new();
    };
    let which = if pair.difference.mean < 0.0 { "Euclidean" } else { "cosine" };
    format!(
        "The largest difference of accuracy: {} in favour of {which}, {} on {} of {} with {}.",
        size(&pair.difference),
        told.name(&pair.one),
        pair.one.task,
        told.place(&pair.one.category),
        told.shots(&pair.one)
    )
}

fn short(pairs: &[&Pair]) -> String {
    let Counts { all, higher, lower, close, single } = Counts::of(pairs);
    let (low, high) = ends(pairs);
    let range = format!("mean differences from {} to {} points", tenths(low), tenths(high));
    let compared = count(all, "comparison");
    sentence(&if single == all {
        format!("one repeat shows no difference and no equality: {range} in {compared}")
    } else if close == all {
        format!(
            "practically the same: in {compared} every interval of the difference in accuracy lies within two points of 0"
        )
    } else if higher + lower == 0 {
        format!("no difference in accuracy could be shown in {compared}; intervals within two points of 0: {close}")
    } else if lower == 0 {
        format!("cosine, where a difference shows: more accurate in {higher} of {compared}, less in none; {range}")
    } else if higher == 0 {
        format!("Euclidean, where a difference shows: more accurate in {lower} of {compared}, less in none; {range}")
    } else {
        format!("it depends: of {compared} cosine is more accurate in {higher} and Euclidean in {lower}; {range}")
    })
}

#[cfg(test)]
mod tests {
    use crate::study::analysis::Said;
    use crate::study::analysis::answers::tests::{answer, because, holds};
    use crate::study::analysis::made::{Made, RIGHT, Says, around};
    use crate::study::{Family, Task, Variant};

    /// Both distances, with so many defects of 20 found by cosine; Euclidean finds 14, and one more or less where it has a deviation.
    fn distance(found: &[usize], deviates: bool, repeats: usize) -> Said {
        let mut made = Made::new();
        let squared = made.learner("proto squared");
        let cosine = made.method("proto cosine", Family::Prototype, Some("cosine"), Variant::Plain);
        let euclidean = made.method("proto euclidean", Family::Prototype, Some("euclidean"), Variant::Plain);
        let says = Says { found: 14, named: 0, ..RIGHT };
        let own = if deviates { around(repeats, says) } else { vec![says; repeats] };
        for (shots, found) in found.iter().enumerate() {
            let shots = (shots + 1, shots + 1);
            made.says(squared, ("bolt", Task::T2), shots, &own);
            made.says(euclidean, ("bolt", Task::T2), shots, &own);
            made.says(cosine, ("bolt", Task::T2), shots, &vec![Says { found: *found, ..says }; repeats]);
        }
        answer(&made, 3)
    }

    #[test]
    fn distances() {
        let short = |found: &[usize], deviates| distance(found, deviates, 10).short;
        holds(
            &short(&[14, 14], false),
            &[
                "Practically the same: in 2 comparisons every interval of the difference in accuracy lies within two points of 0.",
            ],
        );
        holds(
            &short(&[14], true),
            &["No difference in accuracy could be shown in 1 comparison; intervals within two points of 0: 0."],
        );
        holds(
            &short(&[18, 14], true),
            &["Cosine, where a difference shows: more accurate in 1 of 2 comparisons, less in none"],
        );
        holds(&short(&[10, 14], true), &["Euclidean, where a difference shows: more accurate in 1 of 2 comparisons"]);
        holds(
            &short(&[10, 18], true),
            &[
                "It depends: of 2 comparisons cosine is more accurate in 1 and Euclidean in 1; mean differences from -8.8 to 11.2 points",
            ],
        );
        holds(&distance(&[18], false, 1).short, &["One repeat shows no difference and no equality"]);
        let text = because(&distance(&[18, 14], true, 10));
        holds(
            &text,
            &[
                "proto: cosine less Euclidean, accuracy differs by ",
                "over 2 comparisons; intervals above 0: 1, below: 0, within two points of it: 0; both call at least",
                "The largest difference of accuracy: ",
                "in favour of cosine, proto cosine on T2 of bolt with 1 good and 1 defective shots.",
                "All of them by their ranking: cosine less Euclidean, AUROC differs by 2.5 to 2.5 points",
                "Differences that stand at 5 % after Holm's correction over the whole table: 1 in 2 comparisons.",
            ],
        );
        let text = because(&distance(&[18], false, 1));
        holds(&text, &["1 with one repeat, so without an interval"]);
        assert!(!text.contains("prototypes are"), "without lengths nothing is said of them: {text}");
    }

    #[test]
    fn lengths_of_prototypes() {
        let mut made = Made::new();
        let squared = made.learner("proto squared");
        let cosine = made.method("proto cosine", Family::Prototype, Some("cosine"), Variant::Plain);
        for method in [squared, cosine] {
            made.says(method, ("bolt", Task::T2), (1, 1), &around(3, RIGHT));
        }
        for (outcome, lengths) in made.0.outcomes.iter_mut().zip([[2.0, 4.0], [3.0, 3.0], [2.0, 3.0]]) {
            outcome.answer.lengths = lengths.to_vec();
        }
        holds(
            &because(&answer(&made, 3)),
            &[
                "proto: prototypes are 2.833 long on average, 95 % of them 2.000 to 3.875",
                "the longest of a draw is 1.500 times the shortest on average and 2.000 times at most",
            ],
        );
    }
}
