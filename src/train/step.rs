//! What a step of training is: a loss, its gradients, and updates, appended to a graph.

use super::rate::Rate;
use super::rule::Rule;
use crate::engine::{Graph, Trained, Var, gradients_in};
use crate::error::Result;
use crate::tensor::Tensor;
use std::sync::Arc;

/// How weights follow their gradients.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Learning {
    /// The optimiser.
    pub rule: Rule,
    /// The learning rate of every step.
    pub rate: Rate,
    /// The Euclidean norm of all gradients together that they are scaled down to, where they pass it.
    pub clip: Option<f32>,
}

impl Learning {
    /// The numbers of the optimiser at a step: the last input of a graph that [`learn`] or [`update`] has worked on.
    pub fn numbers(&self, step: u64) -> Tensor {
        self.rule.hyper(step, self.rate.at(step))
    }
}

/// Appends what makes a graph a step of training: gradients of `loss` by every parameter that the graph has, and their updates. The numbers
/// of the optimiser become the graph's last input.
pub fn learn(loss: Var<'_>, learning: &Learning) {
    learn_in(loss, learning, 1);
}

/// As [`learn`], with gradients as of [`gradients_in`] so many segments.
pub fn learn_in(loss: Var<'_>, learning: &Learning, segments: usize) {
    let trained = loss.graph().trained();
    let values: Vec<Var<'_>> = trained.iter().map(|t| t.value).collect();
    let gradients = gradients_in(loss, &values, segments);
    update(&trained, &gradients, learning);
}

/// What a step learns from, and what is told of it.
#[derive(Clone, Debug)]
pub struct Goal<'g> {
    /// The loss that gradients are of: one element.
    pub loss: Var<'g>,
    /// Losses of one element each, by name.
    pub told: Vec<(&'static str, Var<'g>)>,
}

/// What appends the forward pass of a step to a graph.
pub type Forward<'f> = dyn for<'g> Fn(&'g Graph) -> Result<Goal<'g>> + 'f;

/// A closure as such a one: its lifetimes are understood only where they are asked for.
pub fn forward<'f>(append: impl for<'g> Fn(&'g Graph) -> Result<Goal<'g>> + 'f) -> Box<Forward<'f>> {
    Box::new(append)
}

/// Appends the update of every parameter by its gradient.
pub fn update<'g>(trained: &[Trained<'g>], gradients: &[Var<'g>], learning: &Learning) {
    let Some(first) = trained.first() else { return };
    let numbers = learning.rule.numbers();
    let hyper = first.value.graph().input("optimiser", [numbers]);
    let scale = learning.clip.and_then(|most| scale(gradients, most));
    let hyper = scale.map_or(hyper, |scale| hyper.slice(0, 0, numbers - 1).concat(scale, 0));
    for (t, gradient) in trained.iter().zip(gradients) {
        learning.rule.update(t.state, *gradient, hyper);
    }
}

/// What gradients are multiplied by so that their norm is `most` at the most, as PyTorch's clip_grad_norm_ has it: `[1]`.
fn scale<'g>(gradients: &[Var<'g>], most: f32) -> Option<Var<'g>> {
    let square = |g: &Var<'g>| g.reshape([1, g.shape().len()]).square().sum();
    let squares = gradients.iter().map(square).reduce(|sum, s| sum + s)?;
    let number = |name: &str, v: f32| squares.graph().weight(name, Arc::new(Tensor::new([1], vec![v])));
    // min(1, a) = -max(-1, -a)
    let share = number("clip", most) / squares.sqrt().affine(1.0, 1e-6);
    Some(share.negated().maximum(number("minus one", -1.0)).negated())
}
