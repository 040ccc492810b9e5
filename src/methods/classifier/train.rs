//! The training: steps and, after every few epochs, what the pictures that were kept say of it.

use super::asked::Asked;
use super::examples::{Example, Examples};
use super::{Config, Figures, Step};
use crate::engine::{Gpu, Named, Options, Parameters, Store};
use crate::error::Result;
use crate::tensor::Tensor;
use crate::train::{Course, End, Goal, Held, Keeping, Patience, Trainer, forward};
use crate::watch::Watch;
use serde_json::{Map, Value};

/// What a training gave.
#[derive(Clone, Debug)]
pub struct Trained {
    /// The weights: those of the best check, or the last ones where nothing was kept.
    pub weights: Named,
    /// How it ended.
    pub end: End,
    /// The mean loss of the steps up to each check, or of each such part where nothing was kept.
    pub losses: Vec<f32>,
    /// What the kept pictures say of the weights.
    pub figures: Option<Figures>,
}

/// Trains from [`Step::named`] or from a checkpoint.
///
/// # Errors
/// As [`Course::run`]; [`Error::Memory`](crate::Error::Memory) for steps that do not fit, before any is done.
pub async fn train(
    gpu: &Gpu,
    (step, examples, config): (&Step<'_>, &Examples, &Config),
    (options, keeping, choices): (&Options, &Keeping, Map<String, Value>),
    watch: &dyn Watch,
) -> Result<Trained> {
    let (learning, batch) = (config.learning(), config.step(examples.trained()));
    let (store, parameters) = (Store::new(), step.parameters(learning.rule.slots())?);
    let forward = forward(|graph| {
        let loss = step.loss(graph, batch, &parameters)?;
        Ok(Goal { loss, told: vec![("loss", loss)] })
    });
    let mut trainer = Trainer::fitting(gpu, &forward, (&store, &parameters), learning, options).await?;
    let asked = Asked::new(gpu, (step, &parameters, &store), examples, batch, options).await?;
    let mut said =
        || asked.as_ref().map_or(Ok(f64::NAN), |asked| Ok(asked.said(examples, watch)?.loss(config.balance)));
    let every = config.every(examples.trained());
    let checks = if config.patience == 0 { u64::MAX } else { config.patience };
    let held = asked.is_some().then_some(Held { patience: Patience { checks, every }, loss: &mut said });
    let inputs = |_, all: Vec<Example>| Ok(inputs(all, step, examples));
    let make = |k| examples.at(k);
    let steps = config.steps(examples.trained());
    let course = Course { steps, each: batch as u64, make: &make, inputs: &inputs, stage: "training" };
    let end = course.run(&mut trainer, held, (keeping, choices), watch)?;
    let mean = |part: &[f32]| part.iter().sum::<f32>() / part.len().max(1) as f32;
    let losses = trainer.losses().data.chunks(every as usize).map(mean).collect();
    let weights = trainer.weights()?;
    drop((trainer, asked));
    let figures = figures(gpu, (&step.with(&weights), examples, batch), (config, &end), options, watch).await?;
    Ok(Trained { weights, end, losses, figures })
}

/// What the kept pictures say of the weights of a step, if there are any.
async fn figures(
    gpu: &Gpu,
    (step, examples, batch): (&Step<'_>, &Examples, usize),
    (config, end): (&Config, &End),
    options: &Options,
    watch: &dyn Watch,
) -> Result<Option<Figures>> {
    let (none, store) = (Parameters::default(), Store::new());
    let asked = Asked::new(gpu, (step, &none, &store), examples, batch, options).await?;
    let Some(asked) = asked else { return Ok(None) };
    let said = asked.said(examples, watch)?;
    let share = |share: Option<f64>| share.unwrap_or_default();
    Ok(Some(Figures {
        step: end.checks.best().map_or(end.step, |best| best.0),
        loss: said.loss(config.balance),
        accuracy: share(said.confusion.accuracy()),
        balanced_accuracy: share(said.confusion.balanced_accuracy()),
        majority: share(said.confusion.majority()),
    }))
}

/// The inputs of a step.
fn inputs(all: Vec<Example>, step: &Step<'_>, examples: &Examples) -> Vec<Tensor> {
    let n = all.len();
    let labels = all.iter().map(|e| e.class as f32).collect();
    let shares = all.iter().map(|e| (examples.weight(e.class) / n as f64) as f32).collect();
    let values = all.into_iter().flat_map(|e| e.values).collect();
    vec![Tensor::new(step.shape(n), values), Tensor::new([n], labels), Tensor::new([1, n], shares)]
}
