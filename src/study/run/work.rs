//! What all participants work with: the device, what is known already, and where results go.

use super::journal::Journal;
use super::learn::Known;
use super::study::{Member, Study, Unit};
use crate::data::load::Loading;
use crate::engine::Gpu;
use crate::error::{Error, Result};
use crate::methods::RunOptions;
use crate::methods::kept::Kept;
use crate::methods::vector::{Source, Vectors};
use crate::study::draw::Shots;
use crate::study::{Answer, Outcome, Timing};
use crate::watch::{Quiet, Watch};
use std::cell::RefCell;
use std::path::PathBuf;
use std::time::Instant;

/// What a unit found out in one setting.
pub(super) struct Said {
    /// Which line of the member.
    pub line: usize,
    /// The number of the draw.
    pub draw: usize,
    /// What was learned from.
    pub shots: Shots,
    /// Whether `good` was asked for as `all`.
    pub all: bool,
    /// What was said.
    pub answer: Answer,
    /// Seconds of learning.
    pub adapt_s: f64,
    /// Milliseconds for a query.
    pub infer_ms: f64,
}

/// The share of a study that one process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Which one, from 1.
    pub number: usize,
    /// Of how many.
    pub of: usize,
}

impl Shard {
    /// All of it.
    pub const WHOLE: Shard = Shard { number: 1, of: 1 };

    /// Whether unit `number` is its.
    pub fn has(self, number: usize) -> bool {
        number % self.of.max(1) + 1 == self.number
    }

    /// How many of so many units are its.
    pub fn units(self, all: usize) -> usize {
        (all + self.of.max(1) - self.number) / self.of.max(1)
    }
}

/// How a study works.
pub struct Work<'w> {
    /// The device.
    pub gpu: &'w Gpu,
    /// How plans are made, and pictures per run.
    pub options: RunOptions,
    /// How pictures are loaded.
    pub loading: Loading,
    /// Bytes of memory that a bank may take.
    pub limit_ram: Option<u64>,
    /// Where what networks say of pictures is kept.
    pub kept: Kept,
    /// The folder of the study.
    pub folder: PathBuf,
    /// Which units are done here.
    pub shard: Shard,
    /// What is done already.
    pub journal: RefCell<Journal>,
    /// Who watches.
    pub watch: &'w dyn Watch,
}

/// Seconds since then.
pub(super) fn seconds(begin: Instant) -> f64 {
    begin.elapsed().as_secs_f64()
}

impl Work<'_> {
    /// The units of a member on a data set that are to be done here and are not done yet, with their numbers.
    pub(super) fn open_units<'s>(&self, study: &'s Study, (member, set): (usize, usize)) -> Vec<(usize, &'s Unit)> {
        let journal = self.journal.borrow();
        let open = |(number, unit): &(usize, &Unit)| {
            unit.member == member && unit.set == set && self.shard.has(*number) && !journal.has(*number)
        };
        study.units.iter().enumerate().filter(open).collect()
    }

    /// Writes down what a unit found out.
    pub(super) fn done(
        &self,
        study: &Study,
        (number, member, repeat): (usize, &Member, usize),
        said: Vec<Said>,
    ) -> Result<()> {
        let draw = |d: usize| study.draw_of(d);
        let (mut outcomes, mut timing) = (vec![], vec![]);
        for s in said {
            let method = member.first + s.line;
            let line = study.methods.get(method).zip(draw(s.draw));
            let (line, (set, task, _)) = line.ok_or_else(|| Error::Internal(format!("unit {number} has no draw")))?;
            timing.push(Timing {
                method: line.name.clone(),
                category: study.sets.get(set).map_or(String::new(), |p| p.name.clone()),
                task,
                good: s.shots.good,
                repeat,
                adapt_s: s.adapt_s,
                infer_ms: s.infer_ms,
            });
            let (good, bad) = (s.shots.good, s.shots.bad);
            outcomes.push(Outcome { method, draw: s.draw, good, bad, all: s.all, answer: s.answer });
        }
        let mut journal = self.journal.borrow_mut();
        journal.add(number, &outcomes, &timing)?;
        // Of this method alone: units of another one take another time.
        let own: Vec<usize> = member.units.clone().filter(|n| self.shard.has(*n)).collect();
        self.watch.progress("episodes", own.iter().filter(|n| journal.has(**n)).count(), own.len());
        self.watch.go_on()
    }

    /// The vectors of all pictures of a data set: kept ones, and those that the device computes.
    pub(super) async fn known(&self, study: &Study, (set, name): (usize, &str), source: Source<'_>) -> Result<Known> {
        let Some(pictures) = study.sets.get(set) else { return Ok(Known { vectors: vec![], ms: 0.0 }) };
        let mut found = self.kept.look_up(source, &pictures.samples, self.watch)?;
        let missing = found.missing().len();
        if missing > 0 {
            let (of, set) = (pictures.samples.len(), &pictures.name);
            self.watch.say(&format!("vectors   {name} on {set}: {missing} of {of} pictures"));
            found.compute(self.gpu, &self.options, &self.loading, self.watch).await?;
        }
        let vectors = found.vectors.into_iter().map(|v| v.map_or(vec![], |(vector, _)| vector)).collect();
        Ok(Known { vectors, ms: milliseconds(self, study, (set, source)).await? })
    }
}

/// Pictures that are looked at to learn how long one takes.
const PROBED: usize = 4;

/// Milliseconds of a network for a picture: the median of a few, one after the other.
pub(super) async fn milliseconds(work: &Work<'_>, study: &Study, (set, source): (usize, Source<'_>)) -> Result<f64> {
    let samples =
        study.sets.get(set).map_or(&[][..], |p| p.samples.get(..PROBED.min(p.samples.len())).unwrap_or_default());
    let options = RunOptions { batch: 1, ..work.options.clone() };
    let mut vectors = Vectors::new(work.gpu, source, &options).await?;
    let mut times = vec![];
    let mut take = |looked: crate::methods::Looked, _: Vec<f32>| {
        times.push(looked.milliseconds[1]);
        Ok(())
    };
    vectors.each(samples, &work.loading, &Quiet(work.watch), &mut take).await?;
    times.sort_unstable_by(f64::total_cmp);
    Ok(times.get(times.len() / 2).copied().unwrap_or_default())
}

/// The watcher of a study as its many fits see it: what each of them says goes to the log, or nobody could read what the study says.
pub(super) struct Within<'w>(pub &'w dyn Watch);

impl Watch for Within<'_> {
    fn say(&self, text: &str) {
        log::info!("{text}");
    }

    fn progress(&self, stage: &'static str, done: usize, of: usize) {
        self.0.progress(stage, done, of);
    }

    fn go_on(&self) -> Result<()> {
        self.0.go_on()
    }

    fn left_by_interrupt(&self, _: &str) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_share_all_units() {
        for (of, all) in (1..6).flat_map(|of| (0..20).map(move |all| (of, all))) {
            let counts = (1..=of).map(|number| {
                let shard = Shard { number, of };
                assert_eq!(shard.units(all), (0..all).filter(|n| shard.has(*n)).count(), "{number}/{of} of {all}");
                shard.units(all)
            });
            assert_eq!(counts.sum::<usize>(), all);
        }
    }
}
