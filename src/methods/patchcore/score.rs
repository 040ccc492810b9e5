//! Scores: nearest rows of the bank for every place of a picture, the anomaly map, and the picture's score.

use super::select::{parts, rows_at_once};
use super::{Config, Grid};
use crate::engine::{Caps, Gpu, Graph, Options, Plan, Store, Var};
use crate::error::{Error, Result};
use crate::ops::coreset::rows_of;
use crate::tensor::Tensor;
use std::sync::Arc;

/// What is found in one picture.
#[derive(Clone, Debug)]
pub struct PatchScores {
    /// The picture's score.
    pub score: f64,
    /// Distance and row of the nearest rows of every place, `[places, neighbors, 2]`.
    pub nearest: Tensor,
    /// Anomaly map at the size of the network's input, `[size, size]`.
    pub map: Tensor,
}

/// A memory bank and how it scores.
#[derive(Clone, Debug)]
pub struct Bank {
    config: Config,
    geometry: Grid,
    rows: Arc<Tensor>,
}

impl Bank {
    /// The bank `rows` `[m, d]`.
    pub fn new(config: &Config, geometry: Grid, rows: Arc<Tensor>) -> Bank {
        Bank { config: config.clone(), geometry, rows }
    }

    /// Its rows in parts that such a device can bind at once.
    pub fn parts(&self, caps: &Caps) -> Vec<Arc<Tensor>> {
        let most = rows_at_once(caps, self.geometry.dim);
        if self.rows.shape.dim(0) <= most { vec![self.rows.clone()] } else { parts(&self.rows, most) }
    }

    /// Whether all its numbers are finite.
    ///
    /// # Errors
    /// [`Error::Numeric`] with the first row that contains another number.
    pub fn check(&self) -> Result<()> {
        match self.rows.data.iter().position(|v| !v.is_finite()) {
            Some(at) => Err(Error::Numeric(format!(
                "row {} of the memory bank contains a number that is not finite; fit again",
                at / self.rows.shape.last().max(1)
            ))),
            None => Ok(()),
        }
    }

    /// Neighbours of a place, as far as there are rows.
    fn neighbors(&self) -> usize {
        self.config.neighbors.min(self.rows.shape.dim(0))
    }

    /// Rows of the neighbourhood that re-weights a picture's score; 1 if nothing is re-weighted.
    fn reweight(&self) -> usize {
        self.config.reweight.min(self.rows.shape.dim(0))
    }

    /// From patch vectors `rows` `[n * places, d]` of `n` pictures to the outputs that [`Bank::scored`] reads: distance and row of the nearest
    /// rows `[n * places, k, 2]`, maps `[n, size, size, 1]`, and, if scores are re-weighted, of every picture's highest place: value
    /// and place `[n, 2]`, patch vector `[n, d]`, and the neighbourhood of its nearest row `[n, b, 2]`. Rows of the bank in the range
    /// `skip` `[n * places, 2]`, first and one past the last, are left out. `parts` are those of [`Bank::parts`].
    pub fn outputs<'g>(&self, parts: &[Arc<Tensor>], rows: Var<'g>, n: usize, skip: Option<Var<'g>>) -> Vec<Var<'g>> {
        let (graph, places, k) = (rows.graph(), self.geometry.places(), self.neighbors());
        let part = |(i, part): (usize, &Arc<Tensor>)| graph.weight(&format!("bank.{i}"), part.clone());
        let bank: Vec<Var> = parts.iter().enumerate().map(part).collect();
        let nearest = rows.knn(&bank, k, self.config.metric(), skip);
        let scores = nearest.slice(2, 0, 1).reshape([n * places, k]).mean();
        let mut outputs = vec![nearest, self.config.map(scores, n, self.geometry.grid)];
        let b = self.reweight();
        if b > 1 {
            let highest = scores.reshape([n, places]).arg_max();
            let first = Tensor::from_fn([n, 2], |i| if i % 2 == 1 { (i / 2 * places) as f32 } else { 0.0 });
            let pick = highest + graph.weight("first places", Arc::new(first));
            let found = rows_of(&[nearest.reshape([n * places, 2 * k])], pick);
            let row = found.map(|f| rows_of(&bank, f.slice(1, 0, 2)));
            let skip = skip.map(|s| s.slice(0, 0, n));
            let around = row.flatten().map(|row| row.knn(&bank, b, self.config.metric(), skip));
            outputs.extend([Some(highest), rows_of(&[rows], pick), around].into_iter().flatten());
        }
        outputs
    }

    /// What [`Bank::outputs`] of `n` pictures say of picture `i`.
    ///
    /// # Errors
    /// [`Error::Numeric`] if a score is not a number: there is no verdict then.
    pub fn scored(&self, outputs: &[Tensor], i: usize, n: usize) -> Result<PatchScores> {
        let (places, k, size) = (self.geometry.places(), self.neighbors(), self.config.size);
        let cut = |t: &Tensor| t.data.iter().skip(i * (t.data.len() / n)).take(t.data.len() / n).copied().collect();
        let [nearest, map, rest @ ..] = outputs else { return Err(Error::Gpu("a plan gave no output".into())) };
        let nearest = Tensor::new([places, k, 2], cut(nearest));
        let map = Tensor::new([size, size], cut(map));
        if map.data.iter().chain(&nearest.data).any(|v| !v.is_finite()) {
            return Err(Error::Numeric(
                "a score is not a finite number, so there is no verdict; are these the right weights?".into(),
            ));
        }
        let scores = place_scores(&nearest);
        let score = match rest {
            [highest, query, around] => {
                let (highest, query, around): (Vec<f32>, Vec<f32>, Vec<f32>) = (cut(highest), cut(query), cut(around));
                let at = highest.get(1).map_or(0, |place| *place as usize);
                self.reweighted(&query, &around) * scores.get(at).copied().unwrap_or(f64::NAN)
            }
            _ => largest(&scores).1,
        };
        Ok(PatchScores { score, nearest, map })
    }

    /// The paper's formula (7) without the score itself: 1 - softmax, over the neighbourhood of the nearest row (that row first), of the
    /// distances to the place.
    fn reweighted(&self, query: &[f32], around: &[f32]) -> f64 {
        let d = self.rows.shape.last();
        let distance = |row: usize| {
            let row = &self.rows.data[row * d..][..d];
            let squares = query.iter().zip(row).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2));
            squares.sum::<f64>().sqrt()
        };
        let found = around.chunks(2).filter(|p| p[0].is_finite());
        weight(&found.map(|p| distance(p[1] as usize)).collect::<Vec<f64>>())
    }
}

/// A bank on a device, ready to score the patch vectors of one picture at a time, some of the bank's rows left out.
#[derive(Debug)]
pub struct PlaceScorer<'g> {
    bank: Bank,
    plan: Plan<'g>,
}

impl<'g> PlaceScorer<'g> {
    /// Plans scoring against `bank`.
    ///
    /// # Errors
    /// [`Error::Numeric`] for a bank with a number that is not finite; [`Error::Memory`].
    pub async fn new(gpu: &'g Gpu, bank: Bank, options: Options) -> Result<PlaceScorer<'g>> {
        bank.check()?;
        let graph = Graph::new();
        let queries = graph.input("queries", [bank.geometry.places(), bank.geometry.dim]);
        let skip = graph.input("skip", [bank.geometry.places(), 2]);
        let outputs = bank.outputs(&bank.parts(&gpu.caps), queries, 1, Some(skip));
        let plan = Plan::new(gpu, &graph, &outputs, &Store::new(), options).await?;
        Ok(PlaceScorer { bank, plan })
    }

    /// Scores patch vectors `[places, d]`; rows `skip.0..skip.1` of the bank are left out.
    ///
    /// # Errors
    /// [`Error::Numeric`] if a score is not a number: there is no verdict then.
    pub async fn run(&self, queries: &Tensor, skip: (usize, usize)) -> Result<PatchScores> {
        let places = queries.shape.dim(0);
        let skips = Tensor::new([places, 2], [skip.0 as f32, skip.1 as f32].repeat(places));
        let outputs = self.plan.run(&[queries, &skips]).await?;
        self.bank.scored(&outputs, 0, 1)
    }
}

/// Mean distance of every place to its nearest rows; `nearest` is `[places, k, 2]`.
pub fn place_scores(nearest: &Tensor) -> Vec<f64> {
    let k = nearest.shape.dim(1).max(1);
    let mean = |p: &[f32]| p.chunks(2).map(|c| f64::from(c[0])).sum::<f64>() / k as f64;
    nearest.data.chunks(2 * k).map(mean).collect()
}

/// Place and value of the largest score; the first of equal ones.
pub fn largest(scores: &[f64]) -> (usize, f64) {
    let better = |best: (usize, f64), (i, &v): (usize, &f64)| if v > best.1 { (i, v) } else { best };
    scores.iter().enumerate().fold((0, f64::NEG_INFINITY), better)
}

/// 1 - softmax of the first of these distances, the largest subtracted first; 1 if there is only one distance.
pub fn weight(distances: &[f64]) -> f64 {
    let [first, _, ..] = distances else { return 1.0 };
    let highest = distances.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = distances.iter().map(|d| (d - highest).exp()).sum();
    1.0 - (first - highest).exp() / sum
}
