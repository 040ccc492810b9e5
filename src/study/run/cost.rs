//! What a study will take, from short measurements on the device that is to run it.

use super::learn::drawn;
use super::open::{Found, Opened, Opener, Resolve};
use super::study::{Study, Unit};
use super::work::{Work, milliseconds, seconds};
use crate::error::Result;
use crate::methods::episodes::Learner;
use crate::methods::prototype::{Adaptation, TRIALS};
use crate::methods::vector::Source;
use crate::study::draw::Shots;
use crate::study::grid::Participant;
use crate::study::{Category, LeftOut};
use serde::Serialize;
use std::collections::BTreeSet;
use std::time::Instant;

/// What one participant takes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Cost {
    /// Its name.
    pub name: String,
    /// Pictures that its network looks at, those not counted of which vectors are kept from earlier runs.
    pub pictures: usize,
    /// Episodes: a draw with one number of shots each.
    pub episodes: usize,
    /// Steps of training.
    pub steps: u64,
    /// Seconds.
    pub seconds: f64,
    /// What was measured, in words.
    pub measured: String,
}

/// What a whole study takes.
#[derive(Clone, Debug, Serialize)]
pub struct Estimate {
    /// Of each participant.
    pub costs: Vec<Cost>,
    /// Seconds of all.
    pub seconds: f64,
    /// The data sets.
    pub categories: Vec<Category>,
    /// Who does not take part.
    pub left_out: Vec<LeftOut>,
}

/// Good pictures that a detector is fitted on to learn how long it takes, and pictures that it then scores: few and some more, as the
/// difference is what more of them cost. The first time kernels are compiled, so it does not count.
const PROBES: [[usize; 2]; 3] = [[2, 2], [2, 2], [4, 6]];

/// Steps of training that are timed likewise.
const STEPS: [u64; 3] = [2, 2, 8];

/// How many times a forward pass a step of fine-tuning takes: forward and backward, and the support's own vectors.
const STEP: f64 = 3.0;

impl Work<'_> {
    /// What is left to do of this share of a study.
    ///
    /// # Errors
    /// Those of the methods.
    pub async fn estimate(&self, study: &Study, resolve: &Resolve<'_>) -> Result<Estimate> {
        let opener = Opener { grid: &study.grid, resolve };
        let mut costs = vec![];
        for (number, member) in study.members.iter().enumerate() {
            self.watch.go_on()?;
            self.watch.progress("measuring", number, study.members.len());
            let Some(participant) = study.participant(member) else { continue };
            let Found::Opened(opened) = opener.open(participant)? else { continue };
            let units: Vec<&Unit> =
                (0..study.sets.len()).flat_map(|set| self.open_units(study, (number, set))).map(|u| u.1).collect();
            let cost = match units.is_empty() {
                true => Cost { measured: "nothing left to do".into(), ..Cost::default() },
                false => self.cost(study, (participant, &opened), &units).await?,
            };
            costs.push(Cost { name: participant.name.clone(), ..cost });
        }
        self.watch.progress("measuring", study.members.len(), study.members.len());
        let seconds = costs.iter().map(|c| c.seconds).sum();
        let categories = study.sets.iter().map(crate::study::pictures::Pictures::category).collect();
        Ok(Estimate { costs, seconds, categories, left_out: study.left_out.clone() })
    }

    async fn cost(
        &self,
        study: &Study,
        (participant, opened): (&Participant, &Opened),
        units: &[&Unit],
    ) -> Result<Cost> {
        match opened {
            Opened::Vectors { network, weights, configs } => {
                let Some(first) = configs.first() else { return Ok(Cost::default()) };
                let source = Source { network, weights, place: &first.place, preprocess: first.preprocess(network) };
                self.of_vectors(study, (participant, opened), (source, configs.len()), units).await
            }
            Opened::Caml(start) => {
                let cost = self.of_vectors(study, (participant, opened), (start.source(), 1), units).await?;
                self.of_caml(study, start, (participant, opened), (units, cost)).await
            }
            Opened::Tuned { network, weights, config, tunings } => {
                let source = Source { network, weights, place: &config.place, preprocess: config.preprocess(network) };
                let ms = milliseconds(
                    self,
                    study,
                    (0, Source { weights: &weights.clone().fold_batch_norm(&network.norms)?, ..source }),
                )
                .await?;
                let mut cost = Cost { measured: format!("{ms:.1} ms a picture"), ..Cost::default() };
                for (unit, _, support, queries) in settings(study, (participant, opened), units) {
                    let classes = drawn(study, unit).map_or(0, |d| d.1.classes.len());
                    for Adaptation { tuning, auto, .. } in tunings {
                        let (trials, few) = if *auto { (TRIALS, classes) } else { (0, 0) };
                        cost.episodes += 1;
                        cost.steps += tuning.steps + trials;
                        let of_support = tuning.steps as f64 * support as f64;
                        let steps = STEP * 2.0 * (of_support + trials as f64 * few as f64);
                        cost.pictures += support + queries;
                        cost.seconds += ms / 1e3 * (steps + (support + queries) as f64);
                    }
                }
                Ok(cost)
            }
            Opened::Chain => {
                let episodes = settings(study, (participant, opened), units).len();
                Ok(Cost { episodes, measured: "its detector's and its learner's work".into(), ..Cost::default() })
            }
            _ => self.of_detector(study, (participant, opened), units).await,
        }
    }

    async fn of_vectors(
        &self,
        study: &Study,
        playing: (&Participant, &Opened),
        (source, heads): (Source<'_>, usize),
        units: &[&Unit],
    ) -> Result<Cost> {
        let (mut pictures, sets) = (0, units.iter().map(|u| u.set).collect::<BTreeSet<usize>>());
        for set in sets {
            let samples = study.sets.get(set).map_or(&[][..], |s| s.samples.as_slice());
            pictures += self.kept.look_up(source, samples, self.watch)?.missing().len();
        }
        let ms = milliseconds(self, study, (0, source)).await?;
        let episodes = heads * settings(study, playing, units).len();
        let seconds = ms / 1e3 * pictures as f64;
        Ok(Cost { pictures, episodes, seconds, measured: format!("{ms:.1} ms a picture"), ..Cost::default() })
    }

    /// CAML's transformer: one support is asked about all queries, and others take as long for each of their pictures.
    async fn of_caml(
        &self,
        study: &Study,
        start: &crate::methods::caml::Start,
        playing: (&Participant, &Opened),
        (units, cost): (&[&Unit], Cost),
    ) -> Result<Cost> {
        let all = settings(study, playing, units);
        let Some((unit, shots, support, queries)) = all.iter().min_by_key(|s| s.2) else { return Ok(cost) };
        let Some((_, drawn)) = drawn(study, unit) else { return Ok(cost) };
        let counts: Vec<usize> = drawn.support(*shots).iter().map(|class| class.len()).collect();
        let wanted = (&[counts.clone()][..], (*queries).min(8));
        let (mut learner, _) = start.learner(self.gpu, &drawn.classes, wanted, &self.options.planning()).await?;
        let vector = vec![0.5; start.source().dim()?];
        let rows: Vec<Vec<&[f32]>> = counts.iter().map(|n| vec![vector.as_slice(); *n]).collect();
        let begin = Instant::now();
        learner.logits(&rows, &vec![vector.as_slice(); wanted.1])?;
        let each = seconds(begin) / wanted.1.max(1) as f64 / (support + 1) as f64;
        let asked: f64 = all.iter().map(|s| each * s.3 as f64 * (s.2 + 1) as f64).sum();
        let measured =
            format!("{}, {:.1} ms a query beside {support} pictures", cost.measured, 1e3 * each * (support + 1) as f64);
        Ok(Cost { seconds: cost.seconds + asked, measured, ..cost })
    }

    async fn of_detector(
        &self,
        study: &Study,
        (participant, opened): (&Participant, &Opened),
        units: &[&Unit],
    ) -> Result<Cost> {
        let probe = self.probed(study, opened).await?;
        let mut cost = Cost { measured: probe.words(opened), ..Cost::default() };
        for unit in units {
            let Some(pictures) = study.sets.get(unit.set) else { continue };
            let tests = pictures.good.len() + pictures.defects.iter().map(|d| d.1.len()).sum::<usize>();
            let amounts: Vec<usize> = match unit.repeat {
                None => vec![pictures.train.len()],
                Some(_) => {
                    let amounts = self.amounts(study, (participant, opened), unit.task, pictures);
                    amounts.into_iter().map(|amount| amount.0.good).collect()
                }
            };
            for good in amounts {
                cost.episodes += 1;
                cost.pictures += good + tests;
                cost.steps += probe.steps;
                cost.seconds += probe.fixed + probe.good * good as f64 + probe.asked * tests as f64;
            }
        }
        Ok(cost)
    }

    /// Fits a detector on few pictures, and once more on some more.
    async fn probed(&self, study: &Study, opened: &Opened) -> Result<Probe> {
        let Some(pictures) = study.sets.first() else { return Ok(Probe::default()) };
        let some = |n: usize| pictures.train.get(..n.min(pictures.train.len())).unwrap_or_default();
        let mut times = vec![];
        for ([fit, asked], steps) in PROBES.into_iter().zip(STEPS) {
            let asked = some(asked);
            let taken = match opened {
                Opened::EfficientAd { teacher, config, penalty, contents } => {
                    let config = crate::methods::efficientad::Config { steps, patience: None, ..config.clone() };
                    let (penalty, contents) = (penalty.clone(), contents.clone());
                    let few = Opened::EfficientAd { teacher: teacher.clone(), config, penalty, contents };
                    self.timed(pictures, &few, (some(PROBES[0][0]), asked.to_vec())).await?
                }
                _ => self.timed(pictures, opened, (some(fit), asked.to_vec())).await?,
            };
            times.push((taken, [some(fit).len(), asked.len()], steps));
        }
        let [_, (less, few, first), (more, many, last)] = times.as_slice() else { return Ok(Probe::default()) };
        let slope = |i: usize, by: usize| {
            (more.get(i).zip(less.get(i)).map_or(0.0, |(m, l)| m - l) / by.max(1) as f64).max(0.0)
        };
        let asked = slope(1, many[1].saturating_sub(few[1]));
        let ready = (less[1] - asked * few[1] as f64).max(0.0);
        Ok(match opened {
            Opened::EfficientAd { config, .. } => {
                let step = slope(0, (last - first) as usize);
                let begin = (less[0] - step * *first as f64).max(0.0);
                Probe { fixed: ready + begin + step * config.steps as f64, good: 0.0, asked, steps: config.steps, step }
            }
            _ => {
                let good = slope(0, many[0].saturating_sub(few[0]));
                let begin = (less[0] - good * few[0] as f64).max(0.0);
                Probe { fixed: ready + begin, good, asked, steps: 0, step: 0.0 }
            }
        })
    }
}

/// What a detector takes.
#[derive(Default)]
struct Probe {
    /// Seconds of a fit, however many pictures.
    fixed: f64,
    /// Seconds of a fit for each good picture.
    good: f64,
    /// Seconds for a picture that is scored.
    asked: f64,
    steps: u64,
    step: f64,
}

impl Probe {
    fn words(&self, opened: &Opened) -> String {
        let asked = 1e3 * self.asked;
        match opened {
            Opened::EfficientAd { .. } => format!("{:.2} s a step, {asked:.0} ms a picture", self.step),
            _ => format!(
                "{:.1} s a fit, {:.0} ms more for each good picture, {asked:.0} ms for one that is scored",
                self.fixed,
                1e3 * self.good
            ),
        }
    }
}

/// Every setting of units with a repeat: the unit, the shots, and how many pictures support and queries are.
fn settings<'u>(
    study: &Study,
    (participant, opened): (&Participant, &Opened),
    units: &[&'u Unit],
) -> Vec<(&'u Unit, Shots, usize, usize)> {
    let of = |unit: &&'u Unit| {
        let unit = *unit;
        let shots = drawn(study, unit).map(|_| study.shots(participant, opened, unit.task)).unwrap_or_default();
        let sized = |s: Shots| {
            let drawn = drawn(study, unit).map(|d| d.1)?;
            Some((unit, s, drawn.support(s).iter().map(|c| c.len()).sum(), drawn.queries.len()))
        };
        shots.into_iter().filter_map(sized).collect::<Vec<_>>()
    };
    units.iter().flat_map(of).collect()
}
