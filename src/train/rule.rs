//! Which optimiser, and its numbers.

use crate::engine::Var;
use crate::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// An optimiser.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Adam (Kingma and Ba 2015).
    Adam {
        /// Of the mean of the gradient, and of that of its square.
        betas: [f64; 2],
        /// Added to the root of the latter.
        eps: f64,
        /// Weight decay.
        decay: f64,
        /// Whether decay is AdamW's (Loshchilov and Hutter 2019) instead of being added to the gradient.
        decoupled: bool,
    },
    /// Gradient descent with momentum.
    Sgd {
        /// Share of the last velocity that is kept.
        momentum: f64,
        /// Weight decay, added to the gradient.
        decay: f64,
    },
}

impl Rule {
    /// Adam with PyTorch's numbers and this decay, added to the gradient.
    pub fn adam(decay: f64) -> Rule {
        Rule::Adam { betas: [0.9, 0.999], eps: 1e-8, decay, decoupled: false }
    }

    /// Elements that it keeps of each weight.
    pub fn slots(self) -> usize {
        match self {
            Rule::Adam { .. } => 2,
            Rule::Sgd { .. } => 1,
        }
    }

    /// How many numbers it takes at every step.
    pub(super) fn numbers(self) -> usize {
        match self {
            Rule::Adam { .. } => 8,
            Rule::Sgd { .. } => 4,
        }
    }

    /// The numbers of step `step`, counted from 0, at this rate; the last is the scale of the gradient.
    pub(super) fn hyper(self, step: u64, rate: f64) -> Tensor {
        let all = match self {
            Rule::Adam { betas: [b1, b2], eps, decay, .. } => {
                let t = step as f64 + 1.0;
                vec![rate, b1, b2, eps, decay, 1.0 - b1.powf(t), (1.0 - b2.powf(t)).sqrt(), 1.0]
            }
            Rule::Sgd { momentum, decay } => vec![rate, momentum, decay, 1.0],
        };
        Tensor::new([all.len()], all.into_iter().map(|v| v as f32).collect())
    }

    /// Appends the update of a state by its gradient.
    pub(super) fn update<'g>(self, state: Var<'g>, gradient: Var<'g>, hyper: Var<'g>) -> Var<'g> {
        match self {
            Rule::Adam { decoupled, .. } => state.adam(gradient, hyper, decoupled),
            Rule::Sgd { .. } => state.sgd(gradient, hyper),
        }
    }
}
