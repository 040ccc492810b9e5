//! Scores: nearest rows of the bank for every place of a picture, the anomaly map, and the picture's score.

use super::select::{parts, rows_per_part};
use super::{Config, Geometry};
use crate::engine::{Gpu, Graph, Options, Plan, Store, Var};
use crate::error::{Error, Result};
use crate::tensor::Tensor;
use std::sync::Arc;

/// A bank on a device, ready to score the patch vectors of one picture at a time.
#[derive(Debug)]
pub struct Scorer<'g> {
    config: Config,
    bank: Arc<Tensor>,
    plan: Plan<'g>,
    neighbourhood: Option<Plan<'g>>,
}

/// What is found in one picture.
#[derive(Clone, Debug)]
pub struct Scored {
    /// The picture's score.
    pub score: f64,
    /// Distance and row of the nearest rows of every place, `[places, neighbors, 2]`.
    pub nearest: Tensor,
    /// Anomaly map at the size of the network's input, `[size, size]`.
    pub map: Tensor,
}

impl<'g> Scorer<'g> {
    /// Plans scoring against `bank` `[m, d]`.
    ///
    /// # Errors
    /// [`Error::Numeric`] for a bank with a number that is not finite; [`Error::Memory`].
    pub async fn new(
        gpu: &'g Gpu,
        config: &Config,
        geometry: &Geometry,
        bank: Arc<Tensor>,
        limit_memory: Option<u64>,
    ) -> Result<Scorer<'g>> {
        if let Some(at) = bank.data.iter().position(|v| !v.is_finite()) {
            let row = at / bank.shape.last().max(1);
            return Err(Error::Numeric(format!(
                "row {row} of the memory bank holds a number that is not finite; fit again"
            )));
        }
        let store = Store::new();
        let chunks = parts(&bank, rows_per_part(gpu, geometry.dim));
        let rows = bank.shape.dim(0);
        let options = Options { limit_memory, ..Options::default() };
        let plan = {
            let graph = Graph::new();
            let queries = graph.input("queries", [geometry.places(), geometry.dim]);
            let skip = graph.input("skip", [geometry.places(), 2]);
            let k = config.neighbors.min(rows);
            let nearest = queries.knn(&weights(&graph, &chunks), k, config.metric(), Some(skip));
            let scores = nearest.slice(2, 0, 1).reshape([geometry.places(), k]).mean();
            let map = config.map(scores, geometry.grid);
            Plan::new(gpu, &graph, &[nearest, map], &store, options.clone()).await?
        };
        let neighbourhood = match config.reweight.min(rows) {
            1 => None,
            b => {
                let graph = Graph::new();
                let (row, skip) = (graph.input("row", [1, geometry.dim]), graph.input("skip", [1, 2]));
                let nearest = row.knn(&weights(&graph, &chunks), b, config.metric(), Some(skip));
                Some(Plan::new(gpu, &graph, &[nearest], &store, options).await?)
            }
        };
        Ok(Scorer { config: config.clone(), bank, plan, neighbourhood })
    }

    /// Scores patch vectors `[places, d]`; rows `skip.0..skip.1` of the bank are left out.
    ///
    /// # Errors
    /// [`Error::Numeric`] where a score is not a number: never a verdict.
    pub async fn run(&self, queries: &Tensor, skip: (usize, usize)) -> Result<Scored> {
        let range = [skip.0 as f32, skip.1 as f32];
        let places = queries.shape.dim(0);
        let skips = Tensor::new([places, 2], range.repeat(places));
        let mut outputs = self.plan.run(&[queries, &skips]).await?;
        let (map, nearest) = (outputs.pop(), outputs.pop());
        let (Some(map), Some(nearest)) = (map, nearest) else { return Err(Error::Gpu("a plan gave no output".into())) };
        if map.data.iter().chain(&nearest.data).any(|v| !v.is_finite()) {
            return Err(Error::Numeric("a score is not a finite number: no verdict".into()));
        }
        let scores = place_scores(&nearest);
        let (at, highest) = largest(&scores);
        let score = match &self.neighbourhood {
            Some(plan) => {
                let row = nearest.data[2 * at * self.config.neighbors.min(self.bank.shape.dim(0)) + 1] as usize;
                let found = plan.run(&[&self.row(row), &Tensor::new([1, 2], range.to_vec())]).await?;
                self.reweighted(queries, at, highest, &found[0])
            }
            None => highest,
        };
        let [_, h, w, _] = map.shape.nhwc();
        Ok(Scored { score, nearest, map: map.reshape([h, w]) })
    }

    /// The plan that scores the places of a picture.
    pub fn plan(&self) -> &Plan<'g> {
        &self.plan
    }

    /// Inputs of [`Scorer::plan`] for patch vectors `[places, d]`, no row of the bank left out.
    pub fn inputs(&self, queries: &Tensor) -> Vec<Tensor> {
        vec![queries.clone(), Tensor::zeros([queries.shape.dim(0), 2])]
    }

    fn row(&self, i: usize) -> Tensor {
        let d = self.bank.shape.last();
        Tensor::new([1, d], self.bank.data[i * d..][..d].to_vec())
    }

    /// The paper's formula (7): place `at`'s score times 1 - softmax, over the neighbourhood of its nearest row (that row first),
    /// of the distances to the place.
    fn reweighted(&self, queries: &Tensor, at: usize, score: f64, neighbourhood: &Tensor) -> f64 {
        let d = self.bank.shape.last();
        let query = &queries.data[at * d..][..d];
        let distance = |row: usize| {
            let row = &self.bank.data[row * d..][..d];
            let squares = query.iter().zip(row).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2));
            squares.sum::<f64>().sqrt()
        };
        let found = neighbourhood.data.chunks(2).filter(|p| p[0].is_finite());
        let distances: Vec<f64> = found.map(|p| distance(p[1] as usize)).collect();
        weight(&distances) * score
    }
}

fn weights<'g>(graph: &'g Graph, chunks: &[Arc<Tensor>]) -> Vec<Var<'g>> {
    chunks.iter().enumerate().map(|(i, c)| graph.weight(&format!("bank.{i}"), c.clone())).collect()
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

/// 1 - softmax of the first of these distances, the largest subtracted first; 1 where there is one distance only.
pub fn weight(distances: &[f64]) -> f64 {
    let [first, _, ..] = distances else { return 1.0 };
    let highest = distances.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = distances.iter().map(|d| (d - highest).exp()).sum();
    1.0 - (first - highest).exp() / sum
}
