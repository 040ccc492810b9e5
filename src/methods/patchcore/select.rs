//! Greedy k-centre selection of the bank's rows, on the device, some steps a run: between runs it can be shown, stopped and kept.

use super::{Config, Preset, random};
use crate::engine::{Gpu, Graph, Options, Plan, Store, Var};
use crate::error::{Error, Result};
use crate::ops::coreset::{k_center, lowered};
use crate::tensor::Tensor;
use std::sync::Arc;

/// Steps of one run: long enough that uploading and reading the anchors is lost in it, short enough to answer within a second.
const STEPS: usize = 16;

/// Starting points of the official approximate selection.
const STARTS: usize = 10;

/// A selection under way.
#[derive(Clone, Debug)]
pub struct Selector {
    parts: Vec<Arc<Tensor>>,
    /// Distance of every row to its nearest pick, part by part.
    anchors: Vec<Tensor>,
    /// Rows picked, in order.
    pub picks: Vec<usize>,
    wanted: usize,
    limit_memory: Option<u64>,
    /// Whether every row that is left equals a pick, so that the bank is smaller than wanted.
    pub exhausted: bool,
}

/// Rows of one part of a matrix with rows of `d` that a device binds at once and keeps in one image.
pub fn rows_per_part(gpu: &Gpu, d: usize) -> usize {
    let bytes = gpu.caps.binding_bytes.min(gpu.info.buffer_bytes) as usize / (4 * d.max(1));
    let texels = gpu.caps.image_side as usize * 1024 / d.div_ceil(4).max(1);
    (bytes.min(texels) / 64 * 64).max(64)
}

/// A matrix `[n, d]` cut into parts of at most so many rows.
pub fn parts(rows: &Tensor, most: usize) -> Vec<Arc<Tensor>> {
    let d = rows.shape.last().max(1);
    rows.data.chunks(most * d).map(|c| Arc::new(Tensor::new([c.len() / d, d], c.to_vec()))).collect()
}

impl Selector {
    /// To select `wanted` of the (projected) `rows` `[n, d]`.
    pub fn new(gpu: &Gpu, rows: Tensor, wanted: usize, limit_memory: Option<u64>) -> Selector {
        let parts = parts(&rows, rows_per_part(gpu, rows.shape.last()));
        let anchors =
            parts.iter().map(|p| Tensor::new([p.shape.dim(0)], vec![f32::INFINITY; p.shape.dim(0)])).collect();
        Selector { parts, anchors, picks: vec![], wanted, limit_memory, exhausted: false }
    }

    fn rows(&self) -> usize {
        self.parts.iter().map(|p| p.shape.dim(0)).sum()
    }

    /// Whether all wanted rows are picked.
    pub fn done(&self) -> bool {
        self.exhausted || self.picks.len() >= self.wanted
    }

    /// Selects until done. `progress` is told how many rows are picked and says whether to go on.
    ///
    /// # Errors
    /// [`Error::Interrupted`] when `progress` says so; [`Error::Numeric`] for rows that are not numbers.
    pub async fn run(&mut self, gpu: &Gpu, config: &Config, progress: &mut dyn FnMut(usize) -> bool) -> Result<()> {
        let store = Store::new();
        if self.picks.is_empty() {
            self.start(gpu, config, &store).await?;
        }
        let graph = Graph::new();
        let (parts, anchors) = self.vars(&graph);
        let state = k_center(&parts, &anchors, STEPS);
        let outputs = [state.picks, state.anchors].concat();
        let options = Options { limit_memory: self.limit_memory };
        let plan = Plan::new(gpu, &graph, &outputs, &store, options).await?;
        while !self.done() {
            if !progress(self.picks.len()) {
                return Err(Error::Interrupted(format!("{} of {} rows were selected", self.picks.len(), self.wanted)));
            }
            let mut found = plan.run(&self.anchors.iter().collect::<Vec<_>>()).await?;
            self.anchors = found.split_off(STEPS);
            for pick in found {
                self.take(pick.data[0], pick.data[1])?;
            }
        }
        progress(self.picks.len());
        Ok(())
    }

    fn take(&mut self, anchor: f32, row: f32) -> Result<()> {
        if self.done() {
            return Ok(());
        }
        if !anchor.is_finite() {
            return Err(Error::Numeric(format!(
                "patch vector {row} is not a number or infinitely far from the others"
            )));
        }
        if anchor == 0.0 {
            self.exhausted = true;
        } else {
            self.picks.push(row as usize);
        }
        Ok(())
    }

    fn vars<'g>(&self, graph: &'g Graph) -> (Vec<Var<'g>>, Vec<Var<'g>>) {
        let part = |(i, p): (usize, &Arc<Tensor>)| graph.weight(&format!("rows.{i}"), p.clone());
        let anchor = |a: &Tensor| graph.input("anchor", a.shape);
        (self.parts.iter().enumerate().map(part).collect(), self.anchors.iter().map(anchor).collect())
    }

    /// The first anchors. `official`: the mean distance to ten random rows, which steers the first picks. `anomalib`: the distance
    /// to one random row, which is the first pick.
    async fn start(&mut self, gpu: &Gpu, config: &Config, store: &Store) -> Result<()> {
        let graph = Graph::new();
        let (parts, anchors) = self.vars(&graph);
        let distances = lowered(&parts, &anchors, graph.input("pick", [1, 2]));
        let plan = Plan::new(gpu, &graph, &distances, store, Options { limit_memory: self.limit_memory }).await?;
        let far = self.anchors.clone();
        let official = config.preset == Preset::Official;
        let starts = random::rows(config.seed, if official { STARTS } else { 1 }, self.rows());
        let mut sums: Vec<Vec<f64>> = far.iter().map(|a| vec![0.0; a.data.len()]).collect();
        for &row in &starts {
            let pick = Tensor::new([1, 2], vec![0.0, row as f32]);
            let inputs: Vec<&Tensor> = far.iter().chain([&pick]).collect();
            for (sum, distance) in sums.iter_mut().zip(plan.run(&inputs).await?) {
                sum.iter_mut().zip(distance.data).for_each(|(s, d)| *s += f64::from(d));
            }
        }
        for (anchor, sum) in self.anchors.iter_mut().zip(sums) {
            anchor.data = sum.iter().map(|s| (s / starts.len() as f64) as f32).collect();
        }
        if !official {
            self.picks = starts;
        }
        Ok(())
    }
}
