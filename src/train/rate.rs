//! Learning rates over the steps of a training.

use serde::{Deserialize, Serialize};

/// The learning rate of every step; steps count from 0.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rate {
    /// The same for all.
    Constant(f64),
    /// `rate` up to step `at`, from there on `factor` times as much (PyTorch's StepLR with one drop).
    Drop {
        /// Before.
        rate: f64,
        /// The first step after.
        at: u64,
        /// How much of it is left.
        factor: f64,
    },
    /// Rises in a line from `low` to `rate` over the first `warm` steps, then falls along half a cosine to `low` at step `of`.
    Cosine {
        /// The highest.
        rate: f64,
        /// The lowest.
        low: f64,
        /// Steps that it rises.
        warm: u64,
        /// All steps.
        of: u64,
    },
}

impl Rate {
    /// The rate of step `step`.
    pub fn at(self, step: u64) -> f64 {
        match self {
            Rate::Constant(rate) => rate,
            Rate::Drop { rate, at, factor } => {
                if step < at {
                    rate
                } else {
                    rate * factor
                }
            }
            Rate::Cosine { rate, low, warm, .. } if step < warm => low + (rate - low) * step as f64 / warm as f64,
            Rate::Cosine { rate, low, warm, of } => {
                let share = (step - warm) as f64 / of.saturating_sub(warm).max(1) as f64;
                low + (rate - low) * 0.5 * (1.0 + (share.min(1.0) * std::f64::consts::PI).cos())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_by_hand() {
        assert_eq!(Rate::Constant(0.5).at(1000), 0.5);
        let drop = Rate::Drop { rate: 1.0, at: 10, factor: 0.1 };
        assert_eq!([9, 10, 11].map(|s| drop.at(s)), [1.0, 0.1, 0.1]);
        let cosine = Rate::Cosine { rate: 1.0, low: 0.0, warm: 4, of: 8 };
        let close = |a: f64, b: f64| (a - b).abs() < 1e-12;
        for (step, want) in [(0, 0.0), (2, 0.5), (4, 1.0), (6, 0.5), (8, 0.0), (20, 0.0)] {
            assert!(close(cosine.at(step), want), "step {step}: {}", cosine.at(step));
        }
    }
}
