//! Fine-tuning of P>M>F (Hu et al. 2022, arXiv 2204.07305, section 3.3): the backbone learns to tell augmented pictures of the support by the
//! prototypes of the support itself.
//!
//! A step: the prototypes of the pictures as they are, with gradient; the cosines of one augmented copy of each with them; the mean of the
//! cross-entropies; Adam on all weights of the backbone. Scale and bias stay, and so do the statistics of batch norms. Where a step's plan would not
//! fit, its pictures go in batches (`micro.rs`), which gives the same gradients for one more forward pass.

use super::head::{Head, Prototypes};
use super::micro::Micro;
use crate::engine::{Gpu, Graph, Named, Options, Parameters, Plan, Scope, Store, Var};
use crate::error::{Error, Result};
use crate::methods::augment::{Draws, USUAL};
use crate::methods::labelled::softmax;
use crate::methods::vector;
use crate::models::Network;
use crate::random::Stream;
use crate::tensor::{Shape, Tensor};
use crate::train::{Goal, Job, Learning, Rate, Rule, Trainer, forward};
use crate::watch::Watch;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How a backbone is fine-tuned.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finetune {
    /// Steps of Adam.
    pub steps: u64,
    /// Its learning rate.
    pub rate: f64,
    /// Whether all classes weigh the same, however many pictures they have; the authors weigh all pictures the same.
    pub balance: bool,
    /// Whether a window of half the rows and columns of every augmented copy becomes zero.
    #[serde(default)]
    pub cutout: bool,
    /// Seed of the augmentation.
    pub seed: u64,
}

/// Pictures `[n, h, w, 3]` of which the class of each is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Classes {
    /// The class of each, a whole number from 0.
    pub labels: Vec<usize>,
    /// Rows and columns of each.
    pub size: [usize; 2],
}

/// A backbone, as it is tuned: weights with their own batch norms, the place of vectors, the head.
#[derive(Clone, Copy, Debug)]
pub struct Backbone<'a> {
    /// The network.
    pub network: &'a Network,
    /// Its weights, batch norms not folded.
    pub weights: &'a Named,
    /// The place that vectors are taken from.
    pub place: &'a str,
    /// The head, of cosines.
    pub head: Head,
}

impl Backbone<'_> {
    /// The vectors `[n, d]` of pictures `[n, h, w, 3]`.
    ///
    /// # Errors
    /// As [`vector::at`].
    pub(super) fn vectors<'g>(&self, pictures: Var<'g>, trained: &Parameters) -> Result<Var<'g>> {
        vector::at(self.network, self.place, pictures, &Scope::new(pictures.graph(), self.weights).training(trained))
    }

    /// Every weight that vectors depend on and that is no statistic of a batch norm, with room for what an optimiser keeps.
    fn parameters(&self, size: [usize; 2], slots: usize) -> Result<Parameters> {
        let graph = Graph::new();
        let vectors = self.vectors(graph.input("picture", [1, size[0], size[1], 3]), &Parameters::default())?;
        vector::trainable(vectors, self.weights, slots)
    }
}

impl Classes {
    /// How many pictures there are.
    pub(super) fn len(&self) -> usize {
        self.labels.len()
    }

    fn classes(&self) -> usize {
        self.labels.iter().max().map_or(0, |most| most + 1)
    }

    /// How many pictures each class has.
    fn counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes()];
        self.labels.iter().filter_map(|l| counts.get_mut(*l).map(|c| *c += 1)).for_each(drop);
        counts
    }

    /// `[classes, n]`: what makes the means of the classes of vectors.
    fn means(&self) -> Tensor {
        let (n, counts) = (self.len(), self.counts());
        let share = |class: usize| counts.get(class).map_or(0.0, |c| 1.0 / *c as f32);
        let at = |i: usize| if self.labels.get(i % n) == Some(&(i / n)) { share(i / n) } else { 0.0 };
        Tensor::from_fn([self.classes(), n], at)
    }

    /// What every picture's loss weighs; together one.
    fn weights(&self, balance: bool) -> Tensor {
        let (n, counts) = (self.len(), self.counts());
        let of = |label: usize| counts.get(label).map_or(0.0, |c| 1.0 / (self.classes() * c) as f32);
        let weigh = |i: usize| self.labels.get(i).map_or(0.0, |l| if balance { of(*l) } else { 1.0 / n as f32 });
        Tensor::from_fn([1, n], weigh)
    }

    /// The prototypes of their vectors.
    ///
    /// # Errors
    /// As [`Prototypes::new`].
    pub(super) fn prototypes(&self, vectors: &[&[f32]], head: &Head) -> Result<Prototypes> {
        let of = |class: usize| self.labels.iter().zip(vectors).filter(|l| *l.0 == class).map(|l| *l.1).collect();
        Prototypes::new(head, &(0..self.classes()).map(of).collect::<Vec<_>>())
    }

    /// Shape of so many of the pictures.
    pub(super) fn pictures(&self, n: usize) -> Shape {
        Shape::from([n, self.size[0], self.size[1], 3])
    }
}

/// Pictures, and behind them their augmented copies of a step: `[2 n, h, w, 3]`.
fn augmented(pictures: &Tensor, tuning: &Finetune, step: u64) -> Result<Tensor> {
    let [n, h, w, c] = pictures.shape.nhwc();
    let mut stream = Stream::new(format!("pmf.augment.{}.{step}", tuning.seed));
    let copies = match Draws::drawn(&mut stream, (n, [h, w]), USUAL, tuning.cutout) {
        Some(draws) => draws.applied(pictures)?.data,
        None => pictures.data.clone(),
    };
    Ok(Tensor::new([2 * n, h, w, c], pictures.data.iter().copied().chain(copies).collect()))
}

/// The loss of vectors `[2 n, d]`, of the support and of its augmented copies: one element.
pub fn loss<'g>(vectors: Var<'g>, support: &Classes, head: &Head, balance: bool) -> Var<'g> {
    let (graph, n) = (vectors.graph(), support.len());
    let weight = |name: &str, tensor: Tensor| graph.weight(name, Arc::new(tensor));
    let (own, copies) = (vectors.slice(0, 0, n), vectors.slice(0, n, 2 * n));
    let prototypes = weight("means", support.means()).matmul(own);
    let cosines = copies.normalised().matmul_t(prototypes.normalised());
    let logits = cosines.affine(head.scale as f32, (head.scale * head.bias) as f32);
    let labels = weight("labels", Tensor::from_fn([n], |i| support.labels.get(i).map_or(f32::NAN, |l| *l as f32)));
    let losses = logits.cross_entropy(labels).reshape([1, n]);
    (losses * weight("shares", support.weights(balance))).sum()
}

/// The optimiser: Adam as PyTorch has it, at one rate.
pub(super) fn learning(tuning: &Finetune) -> Learning {
    Learning { rule: Rule::adam(0.0), rate: Rate::Constant(tuning.rate), clip: None }
}

/// What a tuner works on: weights that change, and where they lie.
#[derive(Debug)]
pub struct Ground {
    pub(super) store: Store,
    pub(super) parameters: Parameters,
}

impl Ground {
    /// The weights that vectors of a backbone depend on, for pictures of these rows and columns.
    ///
    /// # Errors
    /// [`Error::Usage`] for a place that the network does not offer, or without a vector.
    pub fn new(backbone: &Backbone<'_>, size: [usize; 2], tuning: &Finetune) -> Result<Ground> {
        let parameters = backbone.parameters(size, learning(tuning).rule.slots())?;
        Ok(Ground { store: Store::new(), parameters })
    }
}

/// A step: all pictures in one plan, or a few at a time.
enum Steps<'a> {
    Whole(Box<Trainer<'a>>),
    Few(Box<Micro<'a>>),
}

/// A backbone that is fine-tuned to one support after the other, each time from its own weights.
pub struct Tuner<'a> {
    gpu: &'a Gpu,
    ground: &'a Ground,
    tuning: Finetune,
    support: Classes,
    steps: Steps<'a>,
    forward: Plan<'a>,
    /// Pictures of a run of `forward`.
    batch: usize,
}

/// Hears of a step and its losses.
pub type Heard<'h> = dyn FnMut(u64, &[f32]) + 'h;

/// Pictures whose vectors are computed at a time, at most.
const BATCH: usize = 8;

impl<'a> Tuner<'a> {
    /// Plans everything. `few`: pictures at a time, where all together are not to be; otherwise as many as fit.
    ///
    /// # Errors
    /// [`Error::Memory`] where not even one picture fits; otherwise as [`Plan::new`].
    pub async fn new(
        gpu: &'a Gpu,
        (backbone, support): (&Backbone<'_>, &Classes),
        tuning: &Finetune,
        ground: &'a Ground,
        (options, few): (&Options, Option<usize>),
    ) -> Result<Tuner<'a>> {
        let whole = match few {
            Some(_) => None,
            None => whole(gpu, (backbone, support), tuning, ground, options).await?,
        };
        let (steps, batch) = match whole {
            Some(trainer) => (Steps::Whole(Box::new(trainer)), BATCH.min(2 * support.len())),
            None => {
                let most = few.unwrap_or(2 * support.len());
                let micro = Micro::new(gpu, (backbone, support), tuning, ground, (options, most)).await?;
                let batch = micro.few().min(BATCH);
                (Steps::Few(Box::new(micro)), batch)
            }
        };
        let graph = Graph::new();
        let vectors = backbone.vectors(graph.input("pictures", support.pictures(batch)), &ground.parameters)?;
        let forward = Plan::new(gpu, &graph, &[vectors], &ground.store, options.clone()).await?;
        let (tuning, support) = (*tuning, support.clone());
        Ok(Tuner { gpu, ground, tuning, support, steps, forward, batch })
    }

    /// What it takes, in words.
    pub fn words(&self) -> String {
        let needs = match &self.steps {
            Steps::Whole(trainer) => trainer.needs(),
            Steps::Few(micro) => {
                format!("{} at a time; {:.0} MB of device memory", micro.few(), micro.bytes() as f64 / 1e6)
            }
        };
        format!("{} pictures a step, {needs}", 2 * self.support.len())
    }

    /// Fine-tunes to the pictures of a support, `[n, h, w, 3]`; the loss of every step, on augmented pictures, which `heard` is told as well.
    ///
    /// # Errors
    /// [`Error::Numeric`] for a loss that is no number; the watcher's interrupt; what the device reports.
    pub fn tune(&mut self, pictures: &Tensor, (heard, watch): (&mut Heard<'_>, &dyn Watch)) -> Result<Vec<f32>> {
        let (tuning, steps) = (self.tuning, self.tuning.steps);
        let mut inputs = |step| Ok(vec![augmented(pictures, &tuning, step)?]);
        self.ground.parameters.restart(self.gpu, &self.ground.store)?;
        match &mut self.steps {
            Steps::Few(micro) => micro.run(&mut inputs, (heard, watch)),
            Steps::Whole(trainer) => {
                trainer.restart();
                let watch = (watch, STAGE);
                let mut heard = |step: u64, losses: &[f32]| {
                    heard(step, losses);
                    Ok(())
                };
                trainer.run(Job { steps, inputs: &mut inputs, heard: &mut heard, watch, saving: None })?;
                Ok(trainer.losses().data)
            }
        }
    }

    /// The vectors `[n, d]` of pictures, by the weights as they are now.
    ///
    /// # Errors
    /// What the device reports.
    pub fn vectors(&self, pictures: &Tensor) -> Result<Tensor> {
        let (mut vectors, n) = (vec![], pictures.shape.dim(0));
        for (batch, real) in batches(pictures, self.batch) {
            let found = self.forward.collect(self.forward.submit(&[&batch])?)?;
            let found = found.first().map_or(&[][..], |t| t.data.get(..real * t.shape.last()).unwrap_or_default());
            vectors.extend_from_slice(found);
        }
        Ok(Tensor::new([n, vectors.len() / n.max(1)], vectors))
    }

    /// The mean loss of the support as it is, not augmented, by the weights as they are now.
    ///
    /// # Errors
    /// What the device reports.
    pub fn loss(&self, pictures: &Tensor, head: &Head) -> Result<f64> {
        let vectors = self.vectors(pictures)?;
        let rows: Vec<&[f32]> = vectors.data.chunks_exact(vectors.shape.last()).collect();
        let prototypes = self.support.prototypes(&rows, head)?;
        let loss =
            |(label, row): (&usize, &&[f32])| softmax(&prototypes.logits(row)).get(*label).map_or(0.0, |p| -p.ln());
        Ok(self.support.labels.iter().zip(&rows).map(loss).sum::<f64>() / self.support.len().max(1) as f64)
    }

    /// The weights as they are now: those that were tuned.
    ///
    /// # Errors
    /// What the device reports.
    pub fn weights(&self) -> Result<Named> {
        self.ground.parameters.weights(self.gpu, &self.ground.store)
    }
}

/// What the work is called while it goes on.
pub(super) const STAGE: &str = "fine-tuning";

/// Rows `few` at a time, zeros behind the last, and how many are there.
pub(super) fn batches(rows: &Tensor, few: usize) -> Vec<(Tensor, usize)> {
    let each = rows.data.len() / rows.shape.dim(0).max(1);
    let mut dims = rows.shape.dims().to_vec();
    if let Some(first) = dims.first_mut() {
        *first = few;
    }
    let batch = |data: &[f32]| {
        let mut padded = data.to_vec();
        padded.resize(few * each, 0.0);
        (Tensor::new(Shape::new(&dims), padded), data.len() / each.max(1))
    };
    rows.data.chunks((few * each).max(1)).map(batch).collect()
}

/// The forward pass of a whole step.
fn goal<'g>(
    (backbone, support): (&Backbone<'_>, &Classes),
    graph: &'g Graph,
    (tuning, parameters): (&Finetune, &Parameters),
) -> Result<Goal<'g>> {
    let pictures = graph.input("pictures", support.pictures(2 * support.len()));
    let loss = loss(backbone.vectors(pictures, parameters)?, support, &backbone.head, tuning.balance);
    Ok(Goal { loss, told: vec![("loss", loss)] })
}

/// The plan of a whole step, if it fits.
async fn whole<'a>(
    gpu: &'a Gpu,
    (backbone, support): (&Backbone<'_>, &Classes),
    tuning: &Finetune,
    ground: &'a Ground,
    options: &Options,
) -> Result<Option<Trainer<'a>>> {
    let parameters = &ground.parameters;
    let forward = forward(|graph| goal((backbone, support), graph, (tuning, parameters)));
    let ground = (&ground.store, parameters);
    match Trainer::fitting(gpu, &forward, ground, learning(tuning), options).await {
        Ok(planned) => Ok(Some(planned)),
        Err(Error::Memory { .. }) => Ok(None),
        Err(e) => Err(e),
    }
}
