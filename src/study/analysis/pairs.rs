//! Differences between settings, in tables over each of which Holm's correction is made.

use super::cells::Index;
use super::{Metric, Pair, Setting};
use crate::methods::metrics::{Spread, Welch, holm, signed_rank};
use crate::study::{Family, Limit, Task, Variant};

/// The tables of differences.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    /// Cosine less a Euclidean distance, of methods that are the same but for it.
    Distances,
    /// Corrected for unequal numbers of shots less plain.
    Corrections,
    /// More good shots less the fewest, on T4 and T5.
    Shots,
    /// A learner less a detector, on T2: the detector with as many good pictures and with the most.
    Detectors,
    /// A detector with a learner behind it less a learner alone, on T1.
    Chains,
    /// Kinds of defect named where nothing is good (T3) less the same where some is (T1).
    Kinds,
    /// Good told from defective (T2) less the same where kinds are named, too (T1).
    Collapsed,
}

impl Table {
    /// All of them, in their order.
    pub const ALL: [Table; 7] = [
        Table::Distances,
        Table::Corrections,
        Table::Shots,
        Table::Detectors,
        Table::Chains,
        Table::Kinds,
        Table::Collapsed,
    ];

    /// Its title: the first half of an entry of [`super::Analysis::pairs`].
    pub fn title(self) -> &'static str {
        match self {
            Table::Distances => "Cosine against Euclidean distance",
            Table::Corrections => "Corrected for unequal numbers of shots against plain",
            Table::Shots => "More good shots against the fewest",
            Table::Detectors => "Learners against detectors",
            Table::Chains => "A detector with a learner behind it against a learner alone",
            Table::Kinds => "Naming kinds of defect: without good pictures against with them",
            Table::Collapsed => "Telling good from defective: asked for that alone against asked for the kind, too",
        }
    }
}

/// All tables that have a pair.
pub(super) fn of(index: &Index) -> Vec<(String, Vec<Pair>)> {
    let mut tables = vec![];
    for table in Table::ALL {
        let mut pairs = match table {
            Table::Distances => distances(index),
            Table::Corrections => corrections(index),
            Table::Shots => shots(index),
            Table::Detectors => detectors(index),
            Table::Chains => chains(index),
            Table::Kinds => between_tasks(index, Task::T3, Metric::DefectAcc),
            Table::Collapsed => between_tasks(index, Task::T2, Metric::GoodBad),
        };
        let held = holm(&pairs.iter().map(|pair| pair.p).collect::<Vec<_>>());
        pairs.iter_mut().zip(held).for_each(|(pair, p)| pair.p_holm = p);
        if !pairs.is_empty() {
            tables.push((table.title().to_string(), pairs));
        }
    }
    tables
}

/// One less the other on the draws that both have, for each of the metrics that they have there.
fn paired(index: &Index, what: &str, one: &Setting, other: &Setting, metrics: &[Metric]) -> Vec<Pair> {
    if metrics.is_empty() {
        return vec![];
    }
    let agreement = agreement(index, one, other);
    let of = |metric: &Metric| {
        let others = index.values(other, *metric);
        // Two ways to the same difference of shares may differ in the last bit, which must not break a tie.
        let rounded = |d: f64| (d * 1e12).round() / 1e12;
        let mut differences = vec![];
        for (at, value) in index.values(one, *metric) {
            differences.extend(others.get(&at).map(|other| rounded(value - other)));
        }
        Some(Pair {
            what: what.to_string(),
            one: one.clone(),
            other: other.clone(),
            metric: *metric,
            paired: true,
            difference: Spread::of(&differences)?,
            p: signed_rank(&differences),
            p_holm: None,
            agreement,
        })
    };
    metrics.iter().filter_map(of).collect()
}

/// Of the queries of the draws that both have, the share that both called the same; `None` where either calls nothing.
fn agreement(index: &Index, one: &Setting, other: &Setting) -> Option<f64> {
    let (mut same, mut all) = (0usize, 0usize);
    let mut others = index.outcomes(other).peekable();
    for one in index.outcomes(one) {
        while others.next_if(|other| other.at < one.at).is_some() {}
        let Some(other) = others.next_if(|other| other.at == one.at) else { continue };
        let (said, others) = (one.called()?, other.called()?);
        all += said.len();
        same += said.iter().zip(others.iter()).filter(|(a, b)| a == b).count();
    }
    (all > 0).then(|| same as f64 / all as f64)
}

/// Settings that are the same as `one` but for the method, which `fits`.
fn twins<'i>(
    index: &'i Index,
    one: &'i Setting,
    fits: impl Fn(&Setting) -> bool + 'i,
) -> impl Iterator<Item = &'i Setting> {
    let same = |s: &Setting| {
        let Setting { category, task, method: _, good, bad, all, limit } = s;
        (category, task, good, bad, all, limit) == (&one.category, &one.task, &one.good, &one.bad, &one.all, &one.limit)
    };
    index.settings().filter(move |s| same(s) && fits(s))
}

fn distances(index: &Index) -> Vec<Pair> {
    let mut pairs = vec![];
    let is = |s: &Setting, word: &str| index.method(s).is_some_and(|m| m.distance.as_deref() == Some(word));
    for cosine in index.settings().filter(|s| is(s, "cosine")) {
        let Some(own) = index.method(cosine) else { continue };
        for word in ["squared", "euclidean"] {
            let kin = |s: &Setting| {
                index.method(s).is_some_and(|m| m.group == own.group && m.variant == own.variant) && is(s, word)
            };
            let what = format!("cosine - {word}");
            for other in twins(index, cosine, kin) {
                pairs.extend(paired(index, &what, cosine, other, &[Metric::Acc, Metric::Auroc]));
            }
        }
    }
    pairs
}

fn corrections(index: &Index) -> Vec<Pair> {
    const METRICS: [Metric; 5] = [Metric::Acc, Metric::BalAcc, Metric::Tpr, Metric::Tnr, Metric::Auroc];
    let mut pairs = vec![];
    // With as many shots of each class there is nothing to correct.
    for one in index.settings().filter(|s| s.task.imbalanced() && s.good != s.bad) {
        let Some(own) = index.method(one).filter(|m| m.variant == Variant::Corrected) else { continue };
        let kin = |s: &Setting| {
            let same = |m: &crate::study::Method| m.group == own.group && m.distance == own.distance;
            index.method(s).is_some_and(|m| m.variant == Variant::Plain && same(m))
        };
        for other in twins(index, one, kin) {
            pairs.extend(paired(index, "corrected - plain", one, other, &METRICS));
        }
    }
    pairs
}

/// Whether it is a learner by itself.
fn learns(index: &Index, setting: &Setting) -> bool {
    index.method(setting).is_some_and(|m| !m.family.detects() && m.family != Family::Chain)
}

fn shots(index: &Index) -> Vec<Pair> {
    const METRICS: [Metric; 4] = [Metric::Acc, Metric::Tpr, Metric::Tnr, Metric::Auroc];
    let mut pairs = vec![];
    let mut fewest: Option<&Setting> = None;
    // Settings follow one another by category, task, method and number of good shots.
    for setting in index.settings().filter(|s| s.task.imbalanced() && learns(index, s)) {
        let kin = |s: &Setting| {
            (&s.category, s.task, s.method, s.bad) == (&setting.category, setting.task, setting.method, setting.bad)
        };
        match fewest.filter(|s| kin(s)) {
            Some(few) => {
                let what = format!("{} - {} good shots", setting.good, few.good);
                pairs.extend(paired(index, &what, setting, few, &METRICS));
            }
            None => fewest = Some(setting),
        }
    }
    pairs
}

fn detectors(index: &Index) -> Vec<Pair> {
    let of_t2 = || index.settings().filter(|s| s.task == Task::T2);
    let detects = |s: &&Setting| index.method(s).is_some_and(|m| m.family.detects());
    // Of each detector's setting: whether no other of it has more pictures, and what it is compared in.
    let known = |s: &'_ Setting| {
        let own = || of_t2().filter(|o| (&o.category, o.method) == (&s.category, s.method));
        let most = own().map(|o| (o.all, o.good)).max() == Some((s.all, s.good));
        let limits: Vec<Option<Limit>> =
            own().filter(|o| (o.all, o.good) == (s.all, s.good)).map(|o| o.limit).collect();
        // A ranking has no limit: the first stands for all. Decisions are those of a limit without test labels.
        let mut metrics = vec![];
        metrics.extend((limits.first() == Some(&s.limit)).then_some(Metric::Auroc));
        metrics.extend((decisive(&limits) == Some(s.limit)).then_some(Metric::BalAcc));
        (most, metrics)
    };
    let detectors: Vec<_> = of_t2().filter(detects).map(|s| (s, known(s))).collect();
    let mut pairs = vec![];
    for learner in of_t2().filter(|s| learns(index, s)) {
        for (detector, (most, metrics)) in detectors.iter().filter(|d| d.0.category == learner.category) {
            if *most || (!detector.all && detector.good == learner.good) {
                pairs.extend(paired(index, "learner - detector", learner, detector, metrics));
            }
        }
    }
    pairs
}

/// Of a detector's limits the one whose decisions may be compared: no label of a query has a say in it.
fn decisive(limits: &[Option<Limit>]) -> Option<Option<Limit>> {
    let wanted = [Some(Limit::HeldOut), Some(Limit::Support)];
    wanted.into_iter().find(|limit| limits.contains(limit))
}

fn chains(index: &Index) -> Vec<Pair> {
    let mut pairs = vec![];
    let of_t1 = || index.settings().filter(|s| s.task == Task::T1);
    for chain in of_t1().filter(|s| index.method(s).is_some_and(|m| m.family == Family::Chain)) {
        let plain = |s: &&Setting| learns(index, s) && index.method(s).is_some_and(|m| m.variant == Variant::Plain);
        let kin = |s: &&Setting| s.category == chain.category && s.bad == chain.bad;
        for learner in of_t1().filter(plain).filter(kin) {
            pairs.extend(paired(index, "chain - learner", chain, learner, &[Metric::Acc, Metric::BalAcc]));
        }
    }
    pairs
}

/// A method on `task` less the same on T1 with as many shots of each class. Every task has draws of its own, so they are not paired.
fn between_tasks(index: &Index, task: Task, metric: Metric) -> Vec<Pair> {
    let mut pairs = vec![];
    let what = format!("{task} - {}", Task::T1);
    for one in index.settings().filter(|s| s.task == task && learns(index, s)) {
        let kin =
            |s: &&Setting| s.task == Task::T1 && (&s.category, s.method, s.bad) == (&one.category, one.method, one.bad);
        for other in index.settings().filter(kin) {
            let of = |s: &Setting| index.values(s, metric).into_values().collect::<Vec<f64>>();
            let (ones, others) = (of(one), of(other));
            let Some(Welch { mean, interval, p }) = Welch::of(&ones, &others) else { continue };
            let count = ones.len().min(others.len());
            let difference = Spread { count, mean, deviation: None, interval };
            let (one, other) = (one.clone(), other.clone());
            let what = what.clone();
            pairs.push(Pair { what, one, other, metric, paired: false, difference, p, p_holm: None, agreement: None });
        }
    }
    pairs
}
