//! Detectors on draws: fitted on good pictures, they score the queries; limits follow without looking at the answers, but for one that says
//! how good a limit could be.

use super::learn::{Known, drawn, kinds};
use super::limits::{apart, held_out, limits};
use super::open::{Found, Opened, Opener};
use super::study::{Member, Study, Unit};
use super::work::{Said, Within, Work, seconds};
use crate::data::dataset::Dataset;
use crate::error::{Error, Result};
use crate::files::sha256;
use crate::methods::kept::{Entry, Kept};
use crate::methods::vector::Source;
use crate::methods::{Fitted, LimitRule, dino, efficientad, patchcore, predict};
use crate::study::draw::{Drawn, Shots};
use crate::study::grid::{Kind, Participant};
use crate::study::pictures::Pictures;
use crate::study::{Answer, Pool, Task};
use crate::train::Keeping;
use std::collections::BTreeMap;
use std::time::Instant;

/// A fitted detector, and what it says of good pictures that it has not seen, or as if it had not.
struct Fit {
    fitted: Box<dyn Fitted>,
    /// Scores of the pictures that it was fitted on, by the others'.
    own: Vec<f64>,
    seconds: f64,
}

/// What a detector on all good pictures says of a data set.
pub(super) struct All {
    /// Scores by picture: of all to test with, and of those kept apart.
    scores: BTreeMap<usize, f64>,
    apart: Vec<f64>,
    /// How many it was fitted on.
    good: usize,
    adapt_s: f64,
    infer_ms: f64,
}

/// Scores as they are kept: floats of 32 bits, so that what is kept and what is computed is the same.
fn rounded(score: f64) -> f64 {
    f64::from(score as f32)
}

impl Work<'_> {
    /// A detector, one data set after the other.
    pub(super) async fn detector(
        &self,
        study: &Study,
        member: (usize, &Member),
        (participant, opened): (&Participant, &Opened),
    ) -> Result<()> {
        for set in 0..study.sets.len() {
            for (number, unit) in self.open_units(study, (member.0, set)) {
                let Some(pictures) = study.sets.get(set) else { continue };
                let said = match unit.repeat {
                    None => self.on_all(study, (number, unit), member.1, (participant, opened)).await?,
                    Some(_) => self.on_draw(study, (number, unit), pictures, (participant, opened)).await?,
                };
                let repeat = unit.repeat.unwrap_or_default();
                self.done(study, (number, member.1, repeat), said)?;
            }
        }
        Ok(())
    }

    async fn on_draw(
        &self,
        study: &Study,
        (number, unit): (usize, &Unit),
        pictures: &Pictures,
        (participant, opened): (&Participant, &Opened),
    ) -> Result<Vec<Said>> {
        let Some((draw, drawn)) = drawn(study, unit) else { return Ok(vec![]) };
        let list = drawn.good().and_then(|good| drawn.lists.get(good)).map_or(&[][..], Vec::as_slice);
        // What is asked about gives no limit either.
        let own = if study.grid.rule.pool == Pool::Author { study.grid.most(unit.task).good } else { list.len() };
        let list = list.get(..own).unwrap_or(list);
        let queries: Vec<usize> = drawn.queries.iter().map(|q| q.1).collect();
        let defective: Vec<bool> = drawn.queries.iter().map(|q| Some(q.0) != drawn.good()).collect();
        let mut all = vec![];
        for (shots, of_task) in self.amounts(study, (participant, opened), unit.task, pictures) {
            let bad: Vec<usize> = if of_task { bad_shots(drawn, shots) } else { vec![] };
            let kept = apart(list.len(), shots.good);
            let train = list.get(..shots.good).unwrap_or_default();
            let tail = list.get(list.len() - kept..).unwrap_or_default();
            let asked = (train, [tail, &bad[..], &queries[..]].concat());
            let name = format!("unit-{number}-{}", shots.good);
            let (fit, scores, ms) = self.fitted(pictures, opened, asked, &name).await?;
            let (tail, rest) = scores.split_at_checked(tail.len()).unwrap_or_default();
            let (bad, queries) = rest.split_at_checked(bad.len()).unwrap_or_default();
            let limits = limits((tail, &fit.own, bad), (queries, &defective))?;
            all.push(Said {
                line: 0,
                draw,
                shots: Shots { good: train.len(), bad: 0 },
                all: false,
                answer: Answer { said: vec![], scores: queries.to_vec(), limits, lengths: vec![] },
                adapt_s: fit.seconds,
                infer_ms: ms,
            });
        }
        Ok(all)
    }

    /// Numbers of good pictures of a task: its own, and of T2 those that were asked for besides, with whether they are its own.
    pub(super) fn amounts(
        &self,
        study: &Study,
        (participant, opened): (&Participant, &Opened),
        task: Task,
        pictures: &Pictures,
    ) -> Vec<(Shots, bool)> {
        let mut all: BTreeMap<usize, (Shots, bool)> =
            study.shots(participant, opened, task).into_iter().map(|s| (s.good, (s, true))).collect();
        if task == Task::T2 {
            let least = if matches!(opened, Opened::EfficientAd { .. }) { 2 } else { 1 };
            for good in participant.kind.numbers().filter(|good| (least..=pictures.train.len()).contains(good)) {
                all.entry(good).or_insert((Shots { good, bad: 0 }, false));
            }
        }
        all.into_values().collect()
    }

    /// A detector on all good pictures but those kept apart, for every repeat of T2.
    async fn on_all(
        &self,
        study: &Study,
        (_, unit): (usize, &Unit),
        member: &Member,
        (participant, opened): (&Participant, &Opened),
    ) -> Result<Vec<Said>> {
        let all = self.all(study, (member, unit.set), opened).await?;
        let mut said = vec![];
        for repeat in 0..participant.repeats {
            let Some((draw, drawn)) = study.drawn(unit.set, Task::T2, repeat) else { continue };
            let queries = all.of(drawn)?;
            let defective: Vec<bool> = drawn.queries.iter().map(|q| Some(q.0) != drawn.good()).collect();
            said.push(Said {
                line: 0,
                draw,
                shots: Shots { good: all.good, bad: 0 },
                all: true,
                answer: Answer {
                    said: vec![],
                    limits: limits((&all.apart, &[], &[]), (&queries, &defective))?,
                    scores: queries,
                    lengths: vec![],
                },
                adapt_s: all.adapt_s,
                infer_ms: all.infer_ms,
            });
        }
        Ok(said)
    }

    /// What a detector on all good pictures says of a data set: kept, or found out now.
    async fn all(&self, study: &Study, (member, set): (&Member, usize), opened: &Opened) -> Result<All> {
        let (pictures, method) = study
            .sets
            .get(set)
            .zip(study.methods.get(member.first))
            .ok_or_else(|| Error::Internal("a detector has no data set".into()))?;
        let list = study.grid.rule.all_good(pictures);
        let kept = apart(list.len(), 1);
        let (train, tail) = list.split_at_checked(list.len() - kept).unwrap_or_default();
        let defects = pictures.defects.iter().flat_map(|d| &d.1);
        let tests: Vec<usize> = pictures.good.iter().chain(defects).copied().collect();
        let asked = [tail, &tests[..]].concat();
        let hashes: Vec<&str> = train.iter().filter_map(|p| pictures.hashes.get(*p)).map(String::as_str).collect();
        let recipe = Kept::recipe(&["all good", &method.settings, &sha256(hashes.join(" ").as_bytes())]);
        let known = |p: &usize| match self.kept.read(&recipe, pictures.hashes.get(*p)?, 3) {
            Entry::Whole(values) => Some(values.to_vec()),
            Entry::Damaged | Entry::None => None,
        };
        let found: Option<Vec<Vec<f32>>> = asked.iter().map(known).collect();
        let rows = match found {
            Some(rows) => rows,
            None => {
                let name = format!("all-{}-{set}", method.settings);
                let (fit, scores, ms) = self.fitted(pictures, opened, (train, asked.clone()), &name).await?;
                let row = |score: &f64| vec![*score as f32, fit.seconds as f32, ms as f32];
                let rows: Vec<Vec<f32>> = scores.iter().map(row).collect();
                let mut unkept = None;
                for (picture, row) in asked.iter().zip(&rows) {
                    let hash = pictures.hashes.get(*picture).map_or("", String::as_str);
                    unkept = unkept.or_else(|| self.kept.write(&recipe, hash, row).err());
                }
                self.kept.tidy("scores", unkept, self.watch);
                rows
            }
        };
        let at = |row: Option<&Vec<f32>>, i: usize| f64::from(row.and_then(|r| r.get(i)).copied().unwrap_or_default());
        let scores: Vec<f64> = rows.iter().map(|row| at(Some(row), 0)).collect();
        Ok(All {
            apart: scores.get(..kept).unwrap_or_default().to_vec(),
            scores: asked.into_iter().zip(scores).collect(),
            good: train.len(),
            adapt_s: at(rows.first(), 1),
            infer_ms: at(rows.first(), 2),
        })
    }

    /// A chain: what a detector on all good pictures calls defective is named by a learner.
    pub(super) async fn chain(
        &self,
        study: &Study,
        member: (usize, &Member),
        participant: &Participant,
        opener: &Opener<'_>,
    ) -> Result<()> {
        let Kind::Chain { detector, learner } = &participant.kind else { return Ok(()) };
        let find = |name: &String| {
            study.members.iter().find_map(|m| Some((m, study.participant(m).filter(|p| p.name == *name)?)))
        };
        let Some((detector, learner)) = find(detector).zip(find(learner)) else { return Ok(()) };
        let waiting = (0..study.sets.len()).any(|set| !self.open_units(study, (member.0, set)).is_empty());
        if !waiting {
            return Ok(());
        }
        let open = |p: &Participant| match opener.open(p)? {
            Found::Opened(opened) => Ok(opened),
            Found::LeftOut(left) => Err(Error::Input(format!("{}: {}", left.what, left.why))),
        };
        let (gate, naming) = (open(detector.1)?, open(learner.1)?);
        let Opened::Vectors { network, weights, configs } = &naming else { return Ok(()) };
        let Some(config) = configs.first() else { return Ok(()) };
        let source = Source { network, weights, place: &config.place, preprocess: config.preprocess(network) };
        for set in 0..study.sets.len() {
            let units = self.open_units(study, (member.0, set));
            if units.is_empty() {
                continue;
            }
            let all = self.all(study, (detector.0, set), &gate).await?;
            let known = self.known(study, (set, &participant.name), source).await?;
            for (number, unit) in units {
                let (Some(repeat), Some((draw, drawn))) = (unit.repeat, drawn(study, unit)) else { continue };
                let mut said = vec![];
                for shots in study.shots(learner.1, &naming, unit.task) {
                    said.push(chained((&all, &known), (draw, drawn), &config.head, shots)?);
                }
                self.done(study, (number, member.1, repeat), said)?;
            }
        }
        Ok(())
    }

    /// Fits a detector on pictures of a data set, and scores others: the fit, the scores, and milliseconds for each of them.
    async fn fitted(
        &self,
        pictures: &Pictures,
        opened: &Opened,
        (train, asked): (&[usize], Vec<usize>),
        name: &str,
    ) -> Result<(Fit, Vec<f64>, f64)> {
        let begin = Instant::now();
        let set = of(pictures, train);
        let keeping = Keeping { path: Some(self.folder.join(format!("{name}.training"))), every: 500, fresh: false };
        let fitted = self.fit(opened, &set, keeping).await?;
        let fit =
            Fit { own: fitted.training().iter().map(|t| rounded(t.score)).collect(), fitted, seconds: seconds(begin) };
        let begin = Instant::now();
        let found = self.scores(fit.fitted.as_ref(), pictures, &asked).await?;
        let ms = 1e3 * seconds(begin) / asked.len().max(1) as f64;
        Ok((fit, found.into_iter().map(rounded).collect(), ms))
    }

    /// Seconds to fit a detector on these pictures, and to score the others.
    pub(super) async fn timed(
        &self,
        pictures: &Pictures,
        opened: &Opened,
        (train, asked): (&[usize], Vec<usize>),
    ) -> Result<[f64; 2]> {
        let begin = Instant::now();
        let fitted = self.fit(opened, &of(pictures, train), Keeping::default()).await?;
        let fit = seconds(begin);
        let begin = Instant::now();
        self.scores(fitted.as_ref(), pictures, &asked).await?;
        Ok([fit, seconds(begin)])
    }

    async fn scores(&self, fitted: &dyn Fitted, pictures: &Pictures, asked: &[usize]) -> Result<Vec<f64>> {
        let samples: Vec<_> = asked.iter().filter_map(|p| pictures.samples.get(*p)).cloned().collect();
        let (options, loading, watch) = (self.options.clone(), self.loading.clone(), &Within(self.watch));
        let work = predict::Work { gpu: self.gpu, fitted, options, loading, features: false, watch };
        predict::scores(&work, &samples).await
    }

    async fn fit(&self, opened: &Opened, set: &Dataset, keeping: Keeping) -> Result<Box<dyn Fitted>> {
        let (run, watch) = (self.options.clone(), &Within(self.watch));
        let (loading, limit_ram) = (self.loading.clone(), self.limit_ram);
        Ok(match opened {
            Opened::PatchCore { network, weights, config } => {
                let good = patchcore::Good { set, network, weights };
                let options = patchcore::FitOptions { run, loading, limit_ram, ..patchcore::FitOptions::default() };
                Box::new(patchcore::fit(self.gpu, good, config, &options, watch).await?.0)
            }
            Opened::Dino { network, weights, config } => {
                let good = dino::Good { set, network, weights };
                let (no_embed_backbone, limit_rule) = (false, LimitRule::default());
                let options = dino::FitOptions { run, loading, limit_ram, no_embed_backbone, limit_rule };
                Box::new(dino::fit(self.gpu, good, config, &options, watch).await?.0)
            }
            Opened::EfficientAd { teacher, config, penalty, .. } => {
                let good = efficientad::Good { set, teacher, penalty };
                let path = keeping.path.clone();
                let options = efficientad::FitOptions {
                    run,
                    loading,
                    no_embed_teacher: false,
                    limit_rule: LimitRule::default(),
                    kept: self.kept.clone(),
                    keeping,
                };
                let (fitted, _) = efficientad::fit(self.gpu, good, config, &options, watch).await?;
                if let Some(Err(e)) = path.map(std::fs::remove_file) {
                    log::info!("a checkpoint is of no use any more, and cannot be removed: {e}");
                }
                Box::new(fitted)
            }
            _ => return Err(Error::Internal("no detector".into())),
        })
    }
}

impl All {
    /// Scores of the queries of a draw.
    fn of(&self, drawn: &Drawn) -> Result<Vec<f64>> {
        let score = |(_, picture): &(usize, usize)| self.scores.get(picture).copied();
        let all: Option<Vec<f64>> = drawn.queries.iter().map(score).collect();
        all.ok_or_else(|| Error::Internal(format!("{}: a query has no score", drawn.text)))
    }
}

/// What a chain says of the queries of a draw.
fn chained(
    (all, known): (&All, &Known),
    (draw, drawn): (usize, &Drawn),
    head: &crate::methods::prototype::head::Head,
    shots: Shots,
) -> Result<Said> {
    let begin = Instant::now();
    let named = kinds(head, known, drawn, shots)?;
    let limit = held_out(&all.apart).unwrap_or(f64::INFINITY);
    let good = drawn.good().unwrap_or_default();
    let said = all.of(drawn)?.into_iter().zip(named).map(|(score, kind)| if score >= limit { kind } else { good });
    let answer = Answer { said: said.collect(), scores: vec![], limits: vec![], lengths: vec![] };
    let ms = 1e3 * seconds(begin) / drawn.queries.len().max(1) as f64;
    let support: usize = drawn.support(shots).iter().map(|class| class.len()).sum();
    let adapt_s = all.adapt_s + known.ms / 1e3 * support as f64;
    Ok(Said { line: 0, draw, shots, all: false, answer, adapt_s, infer_ms: all.infer_ms + known.ms + ms })
}

/// Pictures of a data set to fit on.
fn of(pictures: &Pictures, train: &[usize]) -> Dataset {
    let samples = train.iter().filter_map(|p| pictures.samples.get(*p)).cloned().collect();
    Dataset::of_good(&pictures.root, samples)
}

/// The pictures of a draw that show a learner what is defective.
fn bad_shots(drawn: &Drawn, shots: Shots) -> Vec<usize> {
    let support = drawn.support(shots);
    let of = support.iter().enumerate().filter(|(class, _)| Some(*class) != drawn.good());
    of.flat_map(|(_, list)| list.iter().copied()).collect()
}
