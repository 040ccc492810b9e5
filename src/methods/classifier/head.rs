//! The last layer, and the graph of a step: from vectors, or from pictures by way of the network, to logits and their loss.

use crate::engine::{Graph, Named, Parameters, Scope, Var};
use crate::error::{Error, Result};
use crate::methods::vector;
use crate::models::{self, Network, classifier};
use crate::tensor::{Shape, Tensor};
use std::sync::Arc;

/// Where the last layer's weights are; no network has a part of that name.
pub(super) const HEAD: &str = "classes";

/// Where the network's weights are, if they are trained.
pub(super) const BODY: &str = "backbone";

/// The last layer before its training, `classes.weight` `[classes, values]` and `classes.bias` `[classes]`: as PyTorch draws a linear layer.
pub fn initial(classes: usize, values: usize, seed: u64) -> Named {
    let asked = [("weight", Shape::from([classes, values])), ("bias", Shape::from([classes]))];
    let asked = asked.map(|(name, shape)| (format!("{HEAD}.{name}"), shape));
    models::initial(&asked, &format!("classifier.initial.{seed}"))
}

/// The logits `[n, classes]` of vectors `[n, values]`.
///
/// # Errors
/// [`Error::Weights`] for a last layer that is none of such vectors.
pub(super) fn logits<'g>(vectors: Var<'g>, weights: &Scope<'g, '_>) -> Result<Var<'g>> {
    let wrong = || Error::Weights(vec![format!("the last layer does not take vectors of {} values", vectors.dim(1))]);
    classifier(vectors, &weights.at(HEAD)).ok_or_else(wrong)
}

/// A network that is trained: its weights are below `backbone`.
#[derive(Clone, Copy, Debug)]
pub struct Body<'a> {
    /// The network.
    pub network: &'a Network,
    /// The place that vectors are taken from.
    pub place: &'a str,
    /// Edge length of its input.
    pub size: usize,
}

/// What is trained.
#[derive(Clone, Debug)]
pub struct Step<'a> {
    /// The network, where it is trained too; otherwise vectors come in, not pictures.
    pub body: Option<Body<'a>>,
    /// Values of a vector.
    pub values: usize,
    /// The weights before the training.
    pub named: Named,
}

impl<'a> Step<'a> {
    /// Of these classes: the last layer alone, or a body with its weights, batch norms not folded.
    pub fn new(body: Option<(Body<'a>, &Named)>, [classes, values]: [usize; 2], seed: u64) -> Step<'a> {
        let mut named = initial(classes, values, seed);
        let below = |(name, tensor): (&String, &Arc<Tensor>)| (format!("{BODY}.{name}"), tensor.clone());
        named.extend(body.iter().flat_map(|(_, weights)| weights.iter().map(below)));
        Step { body: body.map(|b| b.0), values, named }
    }

    /// The same with weights that were trained.
    pub fn with(&self, trained: &Named) -> Step<'a> {
        let mut all = self.clone();
        all.named.extend(trained.iter().map(|(name, tensor)| (name.clone(), tensor.clone())));
        all
    }

    /// Shape of `n` examples.
    pub fn shape(&self, n: usize) -> Shape {
        match self.body {
            Some(Body { size, .. }) => Shape::from([n, size, size, 3]),
            None => Shape::from([n, self.values]),
        }
    }

    /// The input of `n` examples, and their logits `[n, classes]`.
    ///
    /// # Errors
    /// As [`vector::at`].
    pub fn logits<'g>(&self, graph: &'g Graph, n: usize, trained: &Parameters) -> Result<Var<'g>> {
        let weights = Scope::new(graph, &self.named).training(trained);
        let input = graph.input("examples", self.shape(n));
        let vectors = match &self.body {
            Some(body) => vector::at(body.network, body.place, input, &weights.at(BODY))?,
            None => input,
        };
        logits(vectors, &weights)
    }

    /// The weights that are trained, with `slots` elements for each of theirs.
    ///
    /// # Errors
    /// As [`Step::logits`].
    pub fn parameters(&self, slots: usize) -> Result<Parameters> {
        let graph = Graph::new();
        vector::trainable(self.logits(&graph, 1, &Parameters::default())?, &self.named, slots)
    }

    /// The loss of a step: inputs are `n` examples, their labels `[n]` and what the loss of each counts `[1, n]`.
    ///
    /// # Errors
    /// As [`Step::logits`].
    pub fn loss<'g>(&self, graph: &'g Graph, n: usize, trained: &Parameters) -> Result<Var<'g>> {
        let logits = self.logits(graph, n, trained)?;
        let (labels, shares) = (graph.input("labels", [n]), graph.input("shares", [1, n]));
        Ok((logits.cross_entropy(labels).reshape([1, n]) * shares).sum())
    }
}
