//! Fine-tuning of P>M>F (Hu et al. 2022, arXiv 2204.07305, section 3.3): the backbone learns to tell augmented pictures of the support by the
//! prototypes of the support itself.
//!
//! A step: the prototypes of the pictures as they are, with gradient; the cosines of one augmented copy of each with them; the mean of the
//! cross-entropies; Adam on all weights of the backbone. Scale and bias stay, and so do the statistics of batch norms. Where a step's plan would not
//! fit, its pictures go in batches (`micro.rs`), which gives the same gradients for one more forward pass.

use super::head::Head;
use super::micro::Micro;
use crate::data::augment::{Draws, diff_augment};
use crate::engine::graph::live;
use crate::engine::{Gpu, Graph, Named, Options, Parameters, Scope, Store, Var};
use crate::error::{Error, Result};
use crate::methods::vector;
use crate::models::Network;
use crate::tensor::Tensor;
use crate::train::{Job, Learning, Rate, Rule, Trainer, learn};
use crate::watch::Watch;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
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
    /// Seed of the augmentation.
    pub seed: u64,
}

/// The pictures that a backbone is fine-tuned to.
#[derive(Clone, Debug)]
pub struct Support {
    /// `[n, h, w, 3]`, as the network takes them.
    pub pictures: Tensor,
    /// The class of each.
    pub labels: Vec<usize>,
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

/// What fine-tuning gave.
#[derive(Clone, Debug)]
pub struct Tuned {
    /// The weights, all of them.
    pub weights: Named,
    /// The loss of every step, on augmented pictures.
    pub losses: Vec<f32>,
}

impl Backbone<'_> {
    /// The vectors `[n, d]` of pictures `[n, h, w, 3]`.
    ///
    /// # Errors
    /// [`Error::Usage`] for a place that the network does not offer, or without a vector.
    pub(super) fn vectors<'g>(&self, pictures: Var<'g>, trained: &Parameters) -> Result<Var<'g>> {
        let scope = Scope::new(pictures.graph(), self.weights).training(trained);
        let place = self.network.build(pictures, &scope).find(self.place)?;
        vector::of(place).ok_or_else(|| Error::Usage(format!("place {}: is no vector of the picture", self.place)))
    }

    /// Every weight that vectors depend on and that is no statistic of a batch norm, with room for what an optimiser keeps.
    fn parameters(&self, size: [usize; 2], slots: usize) -> Result<Parameters> {
        let graph = Graph::new();
        let vectors = self.vectors(graph.input("picture", [1, size[0], size[1], 3]), &Parameters::default())?;
        let nodes = graph.nodes()?;
        let read = nodes.iter().zip(live(&nodes, &[vectors.id()])).filter(|n| n.1).map(|n| n.0.label.as_str());
        let read: BTreeSet<&str> = read.collect();
        let statistic = |name: &str| name.ends_with("running_mean") || name.ends_with("running_var");
        Ok(Parameters::new(self.weights, slots, |name| read.contains(name) && !statistic(name)))
    }
}

impl Support {
    /// How many pictures there are.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
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

    /// The pictures, and behind them their augmented copies of a step: `[2 n, h, w, 3]`.
    pub(super) fn augmented(&self, tuning: &Finetune, step: u64) -> Tensor {
        let copies = diff_augment(&self.pictures, &Draws::of(tuning.seed, step, &self.pictures.shape));
        let [_, h, w, c] = self.pictures.shape.nhwc();
        let data = self.pictures.data.iter().chain(&copies.data).copied().collect();
        Tensor::new([2 * self.len(), h, w, c], data)
    }
}

/// The loss of vectors `[2 n, d]`, of the support and of its augmented copies: one element.
pub(super) fn loss<'g>(vectors: Var<'g>, support: &Support, head: &Head, balance: bool) -> Var<'g> {
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

/// Fine-tunes a backbone to a support. `micro`: pictures at a time where all together are not to be; otherwise as many as fit.
///
/// # Errors
/// [`Error::Numeric`] for a loss that is no number; [`Error::Memory`] where not even one picture fits; the watcher's interrupt.
pub async fn finetune(
    gpu: &Gpu,
    (backbone, support): (&Backbone<'_>, &Support),
    tuning: &Finetune,
    (options, micro): (&Options, Option<usize>),
    watch: &dyn Watch,
) -> Result<Tuned> {
    let (store, learning) = (Store::new(), learning(tuning));
    let [_, h, w, _] = support.pictures.shape.nhwc();
    let parameters = backbone.parameters([h, w], learning.rule.slots())?;
    let whole = match micro {
        Some(_) => None,
        None => whole(gpu, (backbone, support), tuning, (&store, &parameters), options).await?,
    };
    let mut inputs = |step| Ok(vec![support.augmented(tuning, step)]);
    let losses = match whole {
        Some(mut trainer) => {
            let watch = (watch, "fine-tuning");
            let steps = tuning.steps;
            trainer.run(Job { steps, inputs: &mut inputs, heard: &mut |_, _| Ok(()), watch, saving: None })?;
            trainer.losses().data
        }
        None => {
            let pictures = micro.unwrap_or(2 * support.len());
            let mut micro = Micro::new(gpu, (backbone, support), tuning, (&store, &parameters), (options, pictures)).await?;
            micro.run(&mut inputs, watch)?
        }
    };
    let mut weights = backbone.weights.clone();
    weights.extend(parameters.weights(gpu, &store)?);
    Ok(Tuned { weights, losses })
}

/// The plan of a whole step, if it fits.
async fn whole<'a>(
    gpu: &'a Gpu,
    (backbone, support): (&Backbone<'_>, &Support),
    tuning: &Finetune,
    (store, parameters): (&'a Store, &'a Parameters),
    options: &Options,
) -> Result<Option<Trainer<'a>>> {
    let (graph, learning) = (Graph::new(), learning(tuning));
    let [_, h, w, c] = support.pictures.shape.nhwc();
    let pictures = graph.input("pictures", [2 * support.len(), h, w, c]);
    let loss = loss(backbone.vectors(pictures, parameters)?, support, &backbone.head, tuning.balance);
    learn(loss, &learning);
    match Trainer::new(gpu, (&graph, &[("loss", loss)]), (store, parameters), learning, options.clone()).await {
        Ok(trainer) => Ok(Some(trainer)),
        Err(Error::Memory { .. }) => Ok(None),
        Err(e) => Err(e),
    }
}
