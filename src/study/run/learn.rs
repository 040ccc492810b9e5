//! Learners on draws: from vectors or pictures to what is said of the queries.

use super::open::Opened;
use super::study::{Member, Study, Unit, head_can};
use super::work::{Said, Within, Work, seconds};
use crate::engine::Gpu;
use crate::error::{Error, Result};
use crate::methods::caml::Start;
use crate::methods::episodes::Learner as Learns;
use crate::methods::labelled::{best, log_odds_against};
use crate::methods::prototype::finetune::{Backbone, Classes, Ground, Tuner};
use crate::methods::prototype::head::{Distance, Head, Prototypes};
use crate::methods::prototype::{Adaptation, Config, Pictures, decoded, with_rate};
use crate::methods::vector::Source;
use crate::study::draw::{Drawn, Shots};
use crate::study::grid::Participant;
use crate::study::{Answer, Task};
use crate::tensor::Tensor;
use std::time::Instant;

/// What a network said of all pictures of a data set.
pub(super) struct Known {
    /// The vector of each picture.
    pub vectors: Vec<Vec<f32>>,
    /// Milliseconds of the network for a picture.
    pub ms: f64,
}

impl Known {
    fn of(&self, pictures: &[usize]) -> Vec<&[f32]> {
        pictures.iter().filter_map(|p| self.vectors.get(*p)).map(Vec::as_slice).collect()
    }

    fn support(&self, drawn: &Drawn, shots: Shots) -> Vec<Vec<&[f32]>> {
        drawn.support(shots).into_iter().map(|class| self.of(class)).collect()
    }

    fn queries(&self, drawn: &Drawn) -> Vec<&[f32]> {
        self.of(&drawn.queries.iter().map(|q| q.1).collect::<Vec<_>>())
    }
}

/// What logits say of the queries of a draw.
///
/// # Errors
/// [`Error::Numeric`] for logits that are no numbers.
pub(super) fn answer(drawn: &Drawn, logits: &[Vec<f64>]) -> Result<Answer> {
    if logits.iter().flatten().any(|l| l.is_nan()) {
        return Err(Error::Numeric(format!("{}: a logit is not a number", drawn.text)));
    }
    let said = logits.iter().map(|l| best(l).map_or(0, |b| b.0)).collect();
    let scores = drawn.good().map_or(vec![], |good| logits.iter().filter_map(|l| log_odds_against(l, good)).collect());
    Ok(Answer { said, scores, limits: vec![], lengths: vec![] })
}

/// Number, draw and shots of a setting of which something is said.
#[derive(Clone, Copy)]
struct Setting<'s> {
    line: usize,
    draw: (usize, &'s Drawn),
    shots: Shots,
}

impl Setting<'_> {
    /// What was said, after `adapt` seconds of learning and `asked` seconds for all queries, a network's `ms` for each picture on top.
    fn said(self, logits: &[Vec<f64>], (adapt, asked, ms): (f64, f64, f64)) -> Result<Said> {
        let Setting { line, draw: (draw, drawn), shots } = self;
        let support: usize = drawn.support(shots).iter().map(|class| class.len()).sum();
        let n = drawn.queries.len().max(1) as f64;
        Ok(Said {
            line,
            draw,
            shots,
            all: false,
            answer: answer(drawn, logits)?,
            adapt_s: adapt + ms / 1e3 * support as f64,
            infer_ms: ms + 1e3 * asked / n,
        })
    }
}

/// Prototypes by each head that can learn from so many shots.
pub(super) fn by_heads(
    configs: &[Config],
    known: &Known,
    (draw, drawn): (usize, &Drawn),
    shots: &[Shots],
) -> Result<Vec<Said>> {
    let (mut all, queries) = (vec![], known.queries(drawn));
    for (line, config) in configs.iter().enumerate() {
        for shots in shots.iter().filter(|s| head_can(config, **s)) {
            let begin = Instant::now();
            let prototypes = Prototypes::new(&config.head, &known.support(drawn, *shots))?;
            let adapt = seconds(begin);
            let begin = Instant::now();
            let logits: Vec<Vec<f64>> = queries.iter().map(|q| prototypes.logits(q)).collect();
            let setting = Setting { line, draw: (draw, drawn), shots: *shots };
            let mut said = setting.said(&logits, (adapt, seconds(begin), known.ms))?;
            if config.head.distance != Distance::Cosine && !config.head.center {
                said.answer.lengths = prototypes.lengths();
            }
            all.push(said);
        }
    }
    Ok(all)
}

/// The number of the class that each query is called by prototypes of all classes but `good`: of the classes of the draw.
pub(super) fn kinds(head: &Head, known: &Known, drawn: &Drawn, shots: Shots) -> Result<Vec<usize>> {
    let classes: Vec<usize> = (0..drawn.classes.len()).filter(|c| Some(*c) != drawn.good()).collect();
    let support = known.support(drawn, shots);
    let own: Vec<Vec<&[f32]>> = classes.iter().filter_map(|c| support.get(*c).cloned()).collect();
    let prototypes = Prototypes::new(head, &own)?;
    let called = |q: &&[f32]| best(&prototypes.logits(q)).and_then(|b| classes.get(b.0).copied()).unwrap_or_default();
    Ok(known.queries(drawn).iter().map(called).collect())
}

impl Work<'_> {
    /// Prototypes, one data set after the other.
    pub(super) async fn prototypes(
        &self,
        study: &Study,
        member: (usize, &Member),
        (participant, opened): (&Participant, &Opened),
    ) -> Result<()> {
        let Opened::Vectors { network, weights, configs } = opened else { return Ok(()) };
        let Some(first) = configs.first() else { return Ok(()) };
        let source = Source { network, weights, place: &first.place, preprocess: first.preprocess(network) };
        for set in 0..study.sets.len() {
            let units = self.open_units(study, (member.0, set));
            if units.is_empty() {
                continue;
            }
            let known = self.known(study, (set, &participant.name), source).await?;
            for (number, unit) in units {
                let (Some(repeat), Some(draw)) = (unit.repeat, drawn(study, unit)) else { continue };
                let shots = study.shots(participant, opened, unit.task);
                self.done(study, (number, member.1, repeat), by_heads(configs, &known, draw, &shots)?)?;
            }
        }
        Ok(())
    }

    /// CAML, which is planned once for each task of a data set.
    pub(super) async fn caml(
        &self,
        study: &Study,
        member: (usize, &Member),
        (participant, opened): (&Participant, &Opened),
    ) -> Result<()> {
        let Opened::Caml(start) = opened else { return Ok(()) };
        start.notes().iter().for_each(|note| self.watch.say(&format!("note: {note}")));
        for set in 0..study.sets.len() {
            let units = self.open_units(study, (member.0, set));
            if units.is_empty() {
                continue;
            }
            let known = self.known(study, (set, &participant.name), start.source()).await?;
            for task in Task::ALL {
                let of: Vec<(usize, &Unit)> = units.iter().filter(|u| u.1.task == task).copied().collect();
                let shots = study.shots(participant, opened, task);
                self.caml_on(study, (start, &known), (member.1, &of), &shots).await?;
            }
        }
        Ok(())
    }

    async fn caml_on(
        &self,
        study: &Study,
        (start, known): (&Start, &Known),
        (member, units): (&Member, &[(usize, &Unit)]),
        shots: &[Shots],
    ) -> Result<()> {
        let Some((_, drawn)) = units.first().and_then(|u| self::drawn(study, u.1)) else { return Ok(()) };
        let supports: Vec<Vec<usize>> =
            shots.iter().map(|s| drawn.support(*s).iter().map(|class| class.len()).collect()).collect();
        let (gpu, options) = (self.gpu, self.options.planning());
        let wanted = (&supports[..], drawn.queries.len());
        let (mut learner, verdict) = start.learner(gpu, &drawn.classes, wanted, &options).await?;
        verdict.warning().iter().for_each(|text| self.watch.say(text));
        for (number, unit) in units {
            let (Some(repeat), Some((draw, drawn))) = (unit.repeat, self::drawn(study, unit)) else { continue };
            let (mut said, queries) = (vec![], known.queries(drawn));
            for shots in shots {
                let begin = Instant::now();
                let logits = learner.logits(&known.support(drawn, *shots), &queries)?;
                let setting = Setting { line: 0, draw: (draw, drawn), shots: *shots };
                said.push(setting.said(&logits, (0.0, seconds(begin), known.ms))?);
            }
            self.done(study, (*number, member, repeat), said)?;
        }
        Ok(())
    }

    /// P>M>F's fine-tuning, which begins anew for every support: what is known of pictures is their pixels.
    pub(super) async fn tuned(
        &self,
        study: &Study,
        member: (usize, &Member),
        (participant, opened): (&Participant, &Opened),
    ) -> Result<()> {
        let Opened::Tuned { network, weights, config, tunings } = opened else { return Ok(()) };
        let place = config.place.as_str();
        let source = Source { network, weights, place, preprocess: config.preprocess(network) };
        let backbone = Backbone { network, weights: weights.tensors(), place, head: config.head };
        for set in 0..study.sets.len() {
            let units = self.open_units(study, (member.0, set));
            let Some(pictures) = study.sets.get(set).filter(|_| !units.is_empty()) else { continue };
            let (found, _) = decoded(&pictures.samples, &source.preprocess, &self.loading, self.watch)?;
            let pixels: Vec<Vec<f32>> = found.into_iter().map(|p| p.map_or(vec![], |(t, _)| t.data)).collect();
            for (number, unit) in units {
                let (Some(repeat), Some((draw, drawn))) = (unit.repeat, self::drawn(study, unit)) else { continue };
                let mut said = vec![];
                for (line, asked) in tunings.iter().enumerate() {
                    for shots in study.shots(participant, opened, unit.task) {
                        let setting = Setting { line, draw: (draw, drawn), shots };
                        said.push(self.tune((&backbone, source.size()), asked, &pixels, setting).await?);
                    }
                }
                self.done(study, (number, member.1, repeat), said)?;
            }
        }
        Ok(())
    }

    async fn tune(
        &self,
        (backbone, size): (&Backbone<'_>, [usize; 2]),
        asked: &Adaptation,
        pixels: &[Vec<f32>],
        setting: Setting<'_>,
    ) -> Result<Said> {
        let (gpu, drawn): (&Gpu, &Drawn) = (self.gpu, setting.draw.1);
        let rows = |list: &[usize]| -> Tensor {
            let data: Vec<f32> = list.iter().filter_map(|p| pixels.get(*p)).flatten().copied().collect();
            Tensor::new([list.len(), size[0], size[1], 3], data)
        };
        let support = drawn.support(setting.shots);
        let labels = support.iter().enumerate().flat_map(|(class, list)| std::iter::repeat_n(class, list.len()));
        let classes = Classes { labels: labels.collect(), size };
        let own = Pictures { tensor: rows(&support.concat()), classes };
        let queries = rows(&drawn.queries.iter().map(|q| q.1).collect::<Vec<_>>());
        let (begin, options, watch) = (Instant::now(), self.options.planning(), Within(self.watch));
        let (tuning, _) = with_rate(gpu, backbone, &own, asked, &options, &watch).await?;
        let ground = Ground::new(backbone, size, &tuning)?;
        let mut tuner = Tuner::new(gpu, (backbone, &own.classes), &tuning, &ground, (&options, None)).await?;
        if tuning.rate > 0.0 {
            tuner.tune(&own.tensor, (&mut |_, _| (), &watch))?;
        }
        let vectors = tuner.vectors(&own.tensor)?;
        let each = vectors.shape.last().max(1);
        let mut of_support = vectors.data.chunks_exact(each);
        let by_class: Vec<Vec<&[f32]>> =
            support.iter().map(|class| of_support.by_ref().take(class.len()).collect()).collect();
        let prototypes = Prototypes::new(&backbone.head, &by_class)?;
        let adapt = seconds(begin);
        let begin = Instant::now();
        let asked = tuner.vectors(&queries)?;
        let logits: Vec<Vec<f64>> = asked.data.chunks_exact(each).map(|q| prototypes.logits(q)).collect();
        setting.said(&logits, (adapt, seconds(begin), 0.0))
    }
}

/// The draw of a unit, and its number.
pub(super) fn drawn<'s>(study: &'s Study, unit: &Unit) -> Option<(usize, &'s Drawn)> {
    study.drawn(unit.set, unit.task, unit.repeat?)
}
