//! The training: epochs of steps and, after each, what the pictures that were kept say of it.

use super::examples::{Example, Examples};
use super::file::Figures;
use super::{Config, Step};
use crate::engine::{Gpu, Graph, Named, Options, Parameters, Plan, Store};
use crate::error::{Error, Result};
use crate::methods::labelled::{self, softmax};
use crate::methods::metrics::Confusion;
use crate::tensor::{Shape, Tensor};
use crate::train::{Ahead, Goal, Job, Keeping, Told, Trainer, ahead, forward};
use crate::watch::Watch;
use serde_json::{Map, Value};

/// What the work is called while it goes on.
const STAGE: &str = "training";

/// Name of what was said after epochs, which lies in checkpoints beside the states.
const CHECKS: &str = "checks";

/// What the kept pictures said after an epoch.
#[derive(Clone, Debug, PartialEq)]
struct Check {
    /// Epochs that were done.
    epoch: u64,
    /// The mean loss of the pictures; of balanced classes the mean of their means. A checkpoint has as many digits.
    loss: f32,
    /// How many pictures of each class were called what they are.
    right: Vec<usize>,
}

impl Check {
    fn row(&self) -> Vec<f32> {
        [self.epoch as f32, self.loss].into_iter().chain(self.right.iter().map(|n| *n as f32)).collect()
    }

    fn of(row: &[f32]) -> Option<Check> {
        let (&[epoch, loss], right) = row.split_first_chunk()?;
        Some(Check { epoch: epoch as u64, loss, right: right.iter().map(|n| *n as usize).collect() })
    }

    /// In shares of so many pictures of each class.
    fn figures(&self, pictures: &[usize]) -> Figures {
        // What is wrong counts as a class behind all others, which has no picture.
        let none = pictures.len();
        let mut confusion = Confusion::new(none + 1);
        for (class, (right, all)) in self.right.iter().zip(pictures).enumerate() {
            (0..*all).for_each(|i| confusion.add(class, if i < *right { class } else { none }));
        }
        Figures {
            epoch: self.epoch,
            loss: f64::from(self.loss),
            accuracy: confusion.accuracy().unwrap_or_default(),
            balanced_accuracy: confusion.balanced_accuracy().unwrap_or_default(),
            majority: confusion.majority().unwrap_or_default(),
        }
    }
}

/// The one of the lowest loss, the first of several.
fn best(checks: &[Check]) -> Option<&Check> {
    checks.iter().reduce(|best, one| if one.loss < best.loss { one } else { best })
}

/// What a training gave.
#[derive(Clone, Debug)]
pub struct Trained {
    /// The weights: of the best epoch, or of the last where none was compared.
    pub weights: Named,
    /// The mean loss of the steps of every epoch.
    pub losses: Vec<f32>,
    /// What the kept pictures said after each; none without such pictures.
    pub checks: Vec<Figures>,
    /// The one of the weights.
    pub best: Option<Figures>,
    /// Steps that were done.
    pub steps: u64,
}

/// Trains from [`Step::named`] or from a checkpoint.
///
/// # Errors
/// [`Error::Usage`] for a checkpoint of another training; [`Error::Numeric`] for a loss that is no number; [`Error::Input`] for a picture that
/// cannot be read any more; the watcher's interrupt, once a checkpoint is written; [`Error::Memory`] for steps that do not fit, before any
/// is done; what device and disk report.
pub async fn train(
    gpu: &Gpu,
    (step, examples, config): (&Step<'_>, &Examples, &Config),
    (options, keeping, choices): (&Options, &Keeping, Map<String, Value>),
    watch: &dyn Watch,
) -> Result<Trained> {
    let (learning, batch) = (config.learning(), config.batch.min(examples.trained()));
    let (store, parameters) = (Store::new(), step.parameters(learning.rule.slots())?);
    let forward = forward(|graph| {
        let loss = step.loss(graph, batch, &parameters)?;
        Ok(Goal { loss, told: vec![("loss", loss)] })
    });
    let mut trainer = Trainer::fitting(gpu, &forward, (&store, &parameters), learning, options).await?;
    let asked = Asked::new(gpu, step, examples, (batch, &parameters, &store), options).await?;
    let memory = (trainer.plan().bytes() + asked.as_ref().map_or(0, |a| a.plan.bytes())) as f64 / 1e6;
    keeping.resume(&mut trainer, &choices, (&gpu.info.describe(), watch))?;
    let all = config.steps(config.epochs, examples.trained());
    watch.say(&format!(
        "training  up to {} epochs, {all} steps of {batch}, {memory:.0} MB of device memory",
        config.epochs
    ));
    let mut work = Work { trainer, asked, step, examples, config, batch, watch };
    let checks = work.run((keeping, choices))?;
    work.trained(checks)
}

/// A training under way.
struct Work<'a, 'w> {
    trainer: Trainer<'a>,
    asked: Option<Asked<'a>>,
    step: &'w Step<'w>,
    examples: &'w Examples,
    config: &'w Config,
    batch: usize,
    watch: &'w dyn Watch,
}

impl Work<'_, '_> {
    /// Runs what is left; what was said after each epoch.
    fn run(&mut self, (keeping, choices): (&Keeping, Map<String, Value>)) -> Result<Vec<Check>> {
        let (step, examples, batch, watch) = (self.step, self.examples, self.batch as u64, self.watch);
        let (steps, first) = (self.config.steps(self.config.epochs, examples.trained()), self.trainer.step());
        let mut told = Told::new(first, steps);
        ahead(
            |k| examples.at(k),
            first * batch..steps * batch,
            |ahead| {
                let mut inputs = |_| inputs(ahead, (step, examples), batch as usize);
                let mut heard = |step: u64, losses: &[f32]| {
                    told.heard(step, losses, watch);
                    Ok(())
                };
                let (watch, saving) = ((watch, STAGE), keeping.saving(choices));
                self.epochs(&mut Job { steps, inputs: &mut inputs, heard: &mut heard, watch, saving })
            },
        )
    }

    fn epochs(&mut self, job: &mut Job<'_>) -> Result<Vec<Check>> {
        let rows = self.trainer.kept().get(CHECKS).map_or(&[][..], |t| &t.data);
        let mut checks: Vec<Check> = rows.chunks(2 + self.examples.classes()).filter_map(Check::of).collect();
        for epoch in 1..=self.config.epochs {
            let until = self.config.steps(epoch, self.examples.trained());
            self.trainer.run_to(until, job)?;
            if self.trainer.step() == until && checks.last().is_none_or(|last| last.epoch < epoch) {
                self.check(epoch, &mut checks, job)?;
            }
            if ended(&checks, epoch, self.config.patience) {
                break;
            }
        }
        Ok(checks)
    }

    /// Asks the kept pictures, if there are any, and keeps the weights if these are the best so far.
    fn check(&mut self, epoch: u64, checks: &mut Vec<Check>, job: &Job<'_>) -> Result<()> {
        let Some(asked) = &self.asked else { return Ok(()) };
        let check = match asked.check(epoch, self.examples, (self.config.balance, self.watch)) {
            Err(stopped @ Error::Interrupted(_)) => return self.trainer.unless(Err(stopped), job),
            found => found?,
        };
        if best(checks).is_none_or(|best| check.loss < best.loss) {
            self.trainer.keep_best()?;
        }
        let Figures { loss, accuracy, .. } = check.figures(&self.examples.kept_by_class());
        checks.push(check);
        let rows: Vec<f32> = checks.iter().flat_map(Check::row).collect();
        self.trainer.keep(CHECKS, Tensor::new([checks.len(), 2 + self.examples.classes()], rows));
        if epoch.is_multiple_of(self.config.epochs.div_ceil(10)) || epoch == self.config.epochs {
            let share = 100.0 * accuracy;
            self.watch.say(&format!("epoch{epoch:>6}  kept pictures: loss {loss:.4}, {share:.1} % right"));
        }
        Ok(())
    }

    fn trained(self, checks: Vec<Check>) -> Result<Trained> {
        let (n, steps) = (self.examples.trained(), self.trainer.step());
        let weights = self.trainer.weights()?;
        let all = self.trainer.losses().data;
        let ends = (0..=self.config.epochs).map(|e| self.config.steps(e, n) as usize).filter(|e| *e <= all.len());
        let ends: Vec<usize> = ends.collect();
        let mean = |part: &[f32]| part.iter().sum::<f32>() / part.len().max(1) as f32;
        let losses: Vec<f32> = ends.windows(2).map(|w| mean(all.get(w[0]..w[1]).unwrap_or_default())).collect();
        let pictures = self.examples.kept_by_class();
        let best = best(&checks).map(|check| check.figures(&pictures));
        let checks = checks.iter().map(|check| check.figures(&pictures)).collect();
        Ok(Trained { weights, losses, checks, best, steps })
    }
}

/// Whether so many epochs have passed without a lower loss.
fn ended(checks: &[Check], epoch: u64, patience: u64) -> bool {
    patience > 0 && best(checks).is_some_and(|best| epoch >= best.epoch + patience)
}

/// The inputs of a step.
fn inputs(ahead: &mut Ahead<Example>, (step, examples): (&Step<'_>, &Examples), batch: usize) -> Result<Vec<Tensor>> {
    let (mut values, mut labels, mut shares) = (vec![], vec![], vec![]);
    for _ in 0..batch {
        let example = ahead.take()?;
        values.extend(example.values);
        labels.push(example.class as f32);
        shares.push((examples.weight(example.class) / batch as f64) as f32);
    }
    Ok(vec![Tensor::new(step.shape(batch), values), Tensor::new([batch], labels), Tensor::new([1, batch], shares)])
}

/// What the kept pictures are asked with.
struct Asked<'a> {
    plan: Plan<'a>,
    batch: usize,
    shape: Shape,
}

impl<'a> Asked<'a> {
    /// Plans it, if there are such pictures.
    async fn new(
        gpu: &'a Gpu,
        step: &Step<'_>,
        examples: &Examples,
        (batch, parameters, store): (usize, &Parameters, &Store),
        options: &Options,
    ) -> Result<Option<Asked<'a>>> {
        if examples.kept() == 0 {
            return Ok(None);
        }
        let (graph, batch) = (Graph::new(), batch.min(examples.kept()));
        let logits = step.logits(&graph, batch, parameters)?;
        let plan = Plan::new(gpu, &graph, &[logits], store, options.clone()).await?;
        Ok(Some(Asked { plan, batch, shape: step.shape(batch) }))
    }

    /// Their losses and labels by the weights as they are now.
    fn check(&self, epoch: u64, examples: &Examples, (balance, watch): (bool, &dyn Watch)) -> Result<Check> {
        let (classes, n) = (examples.classes(), examples.kept());
        let (mut right, mut sums) = (vec![0; classes], vec![0.0; classes]);
        let mut add = |class: usize, logits: &[f32]| {
            let logits: Vec<f64> = logits.iter().map(|l| f64::from(*l)).collect();
            let is = labelled::best(&logits).is_some_and(|b| b.0 == class);
            let loss = -softmax(&logits).get(class).map_or(f64::NAN, |p| p.max(f64::MIN_POSITIVE).ln());
            right.iter_mut().skip(class).take(1).for_each(|n| *n += usize::from(is));
            sums.iter_mut().skip(class).take(1).for_each(|sum| *sum += loss);
        };
        ahead(
            |i| examples.kept_at(i),
            0..n as u64,
            |ahead| {
                for from in (0..n).step_by(self.batch) {
                    watch.go_on()?;
                    self.ask(ahead, self.batch.min(n - from), &mut add)?;
                }
                Ok(())
            },
        )?;
        let counts = examples.kept_by_class();
        let means = sums.iter().zip(&counts).filter(|s| *s.1 > 0).map(|(sum, count)| sum / *count as f64);
        let loss = match balance {
            true => means.clone().sum::<f64>() / means.count().max(1) as f64,
            false => sums.iter().sum::<f64>() / n as f64,
        };
        match loss.is_finite() {
            true => Ok(Check { epoch, loss: loss as f32, right }),
            false => Err(Error::Numeric(format!(
                "epoch {epoch}: the loss of the kept pictures is {loss}; a smaller learning rate may help"
            ))),
        }
    }

    /// Asks about the next `n`.
    fn ask(&self, ahead: &mut Ahead<Example>, n: usize, add: &mut dyn FnMut(usize, &[f32])) -> Result<()> {
        let examples = (0..n).map(|_| ahead.take()).collect::<Result<Vec<Example>>>()?;
        let mut values: Vec<f32> = examples.iter().flat_map(|e| e.values.iter().copied()).collect();
        values.resize(self.shape.len(), 0.0);
        let outputs = self.plan.collect(self.plan.submit(&[&Tensor::new(self.shape, values)])?)?;
        let rows = outputs.first().map_or(&[][..], |t| &t.data);
        let rows = rows.chunks_exact(rows.len() / self.batch.max(1));
        examples.iter().zip(rows).for_each(|(e, row)| add(e.class, row));
        Ok(())
    }
}
