//! What is learned of references: their tokens as a bank, or the subspace that these lie in; and the graphs that compare tokens with it.

use super::spectrum::Subspace;
use crate::engine::{Caps, Graph, Var};
use crate::error::{Error, Result};
use crate::lock::lock;
use crate::methods::patchcore::select::{parts, rows_at_once};
use crate::ops::knn::Metric;
use crate::tensor::Tensor;
use std::sync::{Arc, Mutex};

/// What is learned of references.
#[derive(Clone, Debug)]
pub enum Learned {
    /// Tokens of length one `[m, d]`, those of a reference together, and how many are of each.
    Bank {
        /// The tokens.
        rows: Arc<Tensor>,
        /// Tokens of each reference.
        counts: Vec<usize>,
    },
    /// Where most of the variance of the tokens lies.
    Subspace(Subspace),
}

impl Learned {
    /// Values of a token.
    pub fn dim(&self) -> usize {
        match self {
            Learned::Bank { rows, .. } => rows.shape.last(),
            Learned::Subspace(subspace) => subspace.mean.len(),
        }
    }

    /// Whether all its numbers are finite.
    ///
    /// # Errors
    /// [`Error::Numeric`] if one is not.
    pub fn check(&self) -> Result<()> {
        let finite = match self {
            Learned::Bank { rows, .. } => rows.data.iter().all(|v| v.is_finite()),
            Learned::Subspace(s) => {
                s.components.data.iter().all(|v| v.is_finite()) && s.mean.iter().all(|v| v.is_finite())
            }
        };
        if finite {
            Ok(())
        } else {
            Err(Error::Numeric("the model contains a number that is not finite; fit again".into()))
        }
    }

    /// A distance that good and defective parts are both below and above of: half the median distance between tokens of the bank, and
    /// twenty times what is left of the references' tokens: a scale where no limit is known.
    pub fn reach(&self) -> f64 {
        const PAIRS: usize = 101;
        let typical = match self {
            Learned::Bank { rows, .. } => {
                let (n, d) = rows.shape.rows();
                let row = |i: usize| rows.data.chunks_exact(d.max(1)).nth(i % n.max(1)).unwrap_or_default();
                let pair = |i: usize| {
                    let (a, b) = (row(i * n / PAIRS), row(i * n / PAIRS + n / 2 + 1));
                    1.0 - a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>()
                };
                let mut apart: Vec<f64> = (0..PAIRS).map(pair).collect();
                apart.sort_unstable_by(f64::total_cmp);
                apart.get(PAIRS / 2).copied().unwrap_or_default() / 2.0
            }
            Learned::Subspace(s) => 20.0 * s.eigenvalues.iter().skip(s.components.shape.dim(0)).sum::<f64>(),
        };
        if typical > 0.0 { typical } else { 1.0 }
    }
}

/// What is learned, in parts that a device can bind: cut once, however often a graph is built.
#[derive(Debug)]
pub struct Comparison {
    learned: Learned,
    /// The bank's parts for the device that was asked for last, by the number of rows that it binds at once.
    parts: Mutex<Option<(usize, Vec<Arc<Tensor>>)>>,
}

impl Comparison {
    /// With what was learned.
    pub fn new(learned: Learned) -> Comparison {
        Comparison { learned, parts: Mutex::default() }
    }

    /// Tokens `[q, d]` compared. With a bank: distance and row of each one's `neighbors` nearest, `[q, neighbors, 2]`; rows in the range
    /// `skip` `[q, 2]`, first and one past the last, are left out. With a subspace: the squared length of what lies outside, `[q]`.
    pub fn compared<'g>(&self, tokens: Var<'g>, neighbors: usize, caps: &Caps, skip: Option<Var<'g>>) -> Var<'g> {
        match &self.learned {
            Learned::Bank { rows, .. } => {
                let part = |(i, part): (usize, Arc<Tensor>)| tokens.graph().weight(&format!("bank.{i}"), part);
                let bank: Vec<Var> = self.parts(rows, caps).into_iter().enumerate().map(part).collect();
                tokens.knn(&bank, neighbors.min(rows.shape.dim(0)), Metric::Cosine, skip)
            }
            Learned::Subspace(subspace) => outside(tokens.graph(), tokens, subspace),
        }
    }

    fn parts(&self, rows: &Arc<Tensor>, caps: &Caps) -> Vec<Arc<Tensor>> {
        let most = rows_at_once(caps, rows.shape.last());
        if rows.shape.dim(0) <= most {
            return vec![rows.clone()];
        }
        let mut known = lock(&self.parts);
        match &*known {
            Some((rows, parts)) if *rows == most => parts.clone(),
            _ => known.insert((most, parts(rows, most))).1.clone(),
        }
    }
}

/// The squared length of each token without its mean and what lies in the subspace: the difference itself, not one of squared lengths,
/// which would cancel.
fn outside<'g>(graph: &'g Graph, tokens: Var<'g>, subspace: &Subspace) -> Var<'g> {
    let minus: Vec<f32> = subspace.mean.iter().map(|&v| -v as f32).collect();
    let centred = tokens + graph.weight("minus mean", Arc::new(Tensor::new([minus.len()], minus)));
    let components = graph.weight("components", Arc::new(subspace.components.clone()));
    let inside = centred.matmul_t(components).matmul(components);
    (centred - inside).square().sum()
}
