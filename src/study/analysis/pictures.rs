//! The second interval of headline numbers: what other pictures of the same kind might have said.
//!
//! Pictures that are asked about are drawn anew with replacement, good and defective ones each among themselves, so that their balance stays;
//! every repeat, number of shots and method of a task is asked about the same pictures of each resample. A statistic of a resample is that
//! of all repeats together: with as many queries in each repeat it is the mean of the repeats.
//!
//! So a cell costs what its pictures cost, not its repeats: first its repeats are added up into a number for each picture, and one for each
//! pair of a good and a defective picture, which a thousand resamples then weigh. On 20 good and 68 defective pictures that is 1.4 million
//! products instead of 10 million; 1000 by 1000 pictures take a thousand times as long as 30 by 30.

use super::cells::{Index, Seen};
use super::{Metric, Setting};
use crate::data::dataset::GOOD;
use crate::methods::metrics::Resamples;
use crate::random::Stream;
use crate::study::{Draw, Task};
use std::collections::BTreeMap;

/// Samples of each bootstrap.
const TIMES: usize = 1000;

type Intervals = BTreeMap<Metric, [f64; 2]>;

/// The intervals of all settings of T2 and T4.
pub(super) fn of(index: &Index) -> BTreeMap<Setting, Intervals> {
    let mut found = BTreeMap::new();
    let mut asked: Option<(&Setting, Asked)> = None;
    // AUROC is the same for all limits of a detector, which follow one another.
    let mut last: Option<(Setting, Option<[f64; 2]>)> = None;
    for setting in index.settings().filter(|s| matches!(s.task, Task::T2 | Task::T4)) {
        let same = |other: &Setting| other.category == setting.category && other.task == setting.task;
        let (_, asked) = match asked.take().filter(|(other, _)| same(other)) {
            Some(known) => asked.insert(known),
            None => asked.insert((setting, Asked::of(index, setting))),
        };
        let mut intervals = asked.calls(index, setting);
        let any_limit = Setting { limit: None, ..setting.clone() };
        let auroc = match &last {
            Some((other, auroc)) if *other == any_limit => *auroc,
            _ => asked.auroc(index, setting),
        };
        last = Some((any_limit, auroc));
        intervals.extend(auroc.map(|auroc| (Metric::Auroc, auroc)));
        found.insert(setting.clone(), intervals);
    }
    found
}

/// The pictures that any draw of a task asks about.
struct Asked<'r> {
    /// Of each its number among those of its kind.
    numbers: BTreeMap<&'r str, usize>,
    /// How many are good, and how many defective.
    counts: [usize; 2],
    /// How often a resample holds each: good ones, then defective ones.
    resamples: Resamples,
}

impl<'r> Asked<'r> {
    fn of(index: &Index<'r>, setting: &Setting) -> Asked<'r> {
        let results = index.results;
        let own = |d: &&Draw| d.category == setting.category && d.task == setting.task;
        let (mut numbers, mut counts) = (BTreeMap::new(), [0; 2]);
        for query in results.draws.iter().filter(own).flat_map(|d| &d.queries) {
            let [good, bad] = &mut counts;
            let count = if query.label == GOOD { good } else { bad };
            numbers.entry(query.path.as_str()).or_insert_with(|| {
                *count += 1;
                *count - 1
            });
        }
        let groups = [vec![0; counts[0]], vec![1; counts[1]]].concat();
        let name = format!("bootstrap|{}|{}|{}", results.facts.seed, setting.category, setting.task);
        Asked { numbers, counts, resamples: Resamples::new(&groups, TIMES, &mut Stream::new(name)) }
    }

    /// The number of each query of a draw among the pictures of its kind, and whether it is defective.
    fn places(&self, draw: &Draw) -> Vec<(usize, bool)> {
        let place =
            |q: &crate::study::Query| (self.numbers.get(q.path.as_str()).copied().unwrap_or_default(), q.label != GOOD);
        draw.queries.iter().map(place).collect()
    }

    /// Intervals of accuracy and balanced accuracy.
    fn calls(&self, index: &Index, setting: &Setting) -> Intervals {
        // Of each picture how often it was asked about, and how often it was called what it is.
        let mut seen = vec![[0.0; 2]; self.counts.iter().sum()];
        for one in index.outcomes(setting) {
            let Some(said) = one.called() else { return BTreeMap::new() };
            for ((query, said), (number, bad)) in one.draw.queries.iter().zip(said.iter()).zip(self.places(one.draw)) {
                let at = number + if bad { self.counts[0] } else { 0 };
                seen.get_mut(at).into_iter().for_each(|[asked, right]| {
                    *asked += 1.0;
                    *right += f64::from(u8::from(query.class == *said));
                });
            }
        }
        let (good, bad) = seen.split_at(self.counts[0]);
        let sums = |counts: &[f64], seen: &[[f64; 2]]| {
            let add =
                |[asked, right]: [f64; 2], (n, seen): (&f64, &[f64; 2])| [asked + n * seen[0], right + n * seen[1]];
            counts.iter().zip(seen).fold([0.0; 2], add)
        };
        let both = |counts: &[f64]| {
            let (of_good, of_bad) = counts.split_at_checked(self.counts[0])?;
            Some((sums(of_good, good), sums(of_bad, bad)))
        };
        let finite = |v: f64| Some(v).filter(|v| v.is_finite());
        let acc = self.resamples.interval(&mut |counts| {
            let (good, bad) = both(counts)?;
            finite((good[1] + bad[1]) / (good[0] + bad[0]))
        });
        let balanced = self.resamples.interval(&mut |counts| {
            let (good, bad) = both(counts)?;
            finite((good[1] / good[0] + bad[1] / bad[0]) / 2.0)
        });
        let all = [(Metric::Acc, acc), (Metric::BalAcc, balanced)];
        all.into_iter().filter_map(|(metric, ends)| Some((metric, ends?))).collect()
    }

    /// The interval of AUROC: of pairs of a defective and a good picture that were asked about together, the share in the right order.
    fn auroc(&self, index: &Index, setting: &Setting) -> Option<[f64; 2]> {
        let [good, bad] = self.counts;
        // Of each pair how often it was asked about, and how often it was in the right order, a tie being half of it.
        let (mut asked, mut right) = (vec![0.0; good * bad], vec![0.0; good * bad]);
        for one in index.outcomes(setting) {
            self.add_pairs(&one, &mut asked, &mut right)?;
        }
        if good == 0 {
            return None;
        }
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        self.resamples.interval(&mut |counts| {
            let (of_good, of_bad) = counts.split_at_checked(good)?;
            let (mut all, mut sum) = (0.0, 0.0);
            let rows = asked.chunks_exact(good).zip(right.chunks_exact(good));
            for (n, (asked, right)) in of_bad.iter().zip(rows).filter(|(n, _)| **n > 0.0) {
                all += n * dot(asked, of_good);
                sum += n * dot(right, of_good);
            }
            (all > 0.0).then_some(sum / all)
        })
    }

    /// Adds the pairs of one outcome; `None` without scores of both kinds.
    fn add_pairs(&self, one: &Seen, asked: &mut [f64], right: &mut [f64]) -> Option<()> {
        let (scores, places) = (one.scored(), self.places(one.draw));
        let of = |bad: bool| -> Vec<(usize, f64)> {
            let kind = scores.iter().zip(&places).filter(move |(_, place)| place.1 == bad);
            kind.map(|(score, place)| (place.0, score.0)).collect()
        };
        let (bad, good) = (of(true), of(false));
        if bad.is_empty() || good.is_empty() {
            return None;
        }
        let width = self.counts[0];
        for (i, defective) in bad {
            let from = i * width;
            let (asked, right) = (asked.get_mut(from..from + width)?, right.get_mut(from..from + width)?);
            for (j, score) in &good {
                *asked.get_mut(*j)? += 1.0;
                let above = u8::from(defective > *score) + u8::from(defective >= *score);
                *right.get_mut(*j)? += f64::from(above) / 2.0;
            }
        }
        Some(())
    }
}
