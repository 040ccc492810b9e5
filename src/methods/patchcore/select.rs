//! Greedy k-centre selection of the bank's rows, on the device, several steps per round: between rounds it can report and be stopped.

use super::{Config, Preset, projection};
use crate::engine::{Caps, Gpu, Graph, Options, Plan, Store, Var};
use crate::error::{Error, Result};
use crate::methods::fitted::{Stage, boxed};
use crate::ops::coreset::{k_center_round, lowered};
use crate::tensor::Tensor;
use std::sync::Arc;

/// Candidates of a round. Patch vectors of hazelnuts, 21,952 x 128: the first rounds are sure of 8, 15, 20, 32, 50, 81, 95 and 125
/// picks, all later ones of more than 128. With 1024 candidates it is 13, 21, 25, 56, 98, 133, at four times the distances.
const CANDIDATES: usize = 512;

/// Maximum number of steps of a round; a longer one would be cut short too often.
const STEPS: usize = 256;

/// Maximum number of differences of a round: a fifth of a second on two cores, so that it responds within half a second on a busy machine.
const WORK: usize = 4_000_000_000;

/// Steps of a round over `n` rows of `d`: whole groups of centres, or few.
fn steps(n: usize, d: usize) -> usize {
    let most = (WORK / (n * d).max(1)).min(STEPS);
    if most >= 32 { most / 32 * 32 } else { 8 }
}

/// Starting points of the official approximate selection.
const STARTS: usize = 10;

/// A selection in progress.
#[derive(Clone, Debug)]
pub struct Selector {
    parts: Vec<Arc<Tensor>>,
    /// Distance of every row to its nearest pick, part by part.
    anchors: Vec<Tensor>,
    /// Rows picked, in order.
    pub picks: Vec<usize>,
    wanted: usize,
    options: Options,
    /// Whether every row that is left equals a pick, so that the bank is smaller than asked for.
    pub exhausted: bool,
}

/// Rows of one part of a matrix with rows of `d` that a device binds at once and keeps in one image.
pub fn rows_at_once(caps: &Caps, d: usize) -> usize {
    let bytes = caps.binding_bytes as usize / (4 * d.max(1));
    let texels = caps.image_side as usize * 1024 / d.div_ceil(4).max(1);
    (bytes.min(texels) / 64 * 64).max(64)
}

/// A matrix `[n, d]` cut into parts of at most so many rows.
pub fn parts(rows: &Tensor, most: usize) -> Vec<Arc<Tensor>> {
    let d = rows.shape.last().max(1);
    rows.data.chunks(most * d).map(|c| Arc::new(Tensor::new([c.len() / d, d], c.to_vec()))).collect()
}

/// The `kept` rows with the largest anchors (NaN is larger than all, ties go to the lowest number) by number: `[kept, 2]`, anchor and
/// number. And the best of the others: its anchor, and how many of the kept have a lower number; without others, a value below all.
fn candidates_of(anchors: &[Tensor], kept: usize) -> (Tensor, Tensor) {
    // The order of pairs as the order of integers: -0 + 0 is 0, and non-negative floats are ordered as their bits are.
    let bits = |v: f32| if v.is_nan() { u32::MAX } else { (v + 0.0).to_bits() };
    let all = anchors.iter().flat_map(|a| &a.data).zip(0u32..);
    let mut keys: Vec<u64> = all.map(|(&v, i)| u64::from(!bits(v)) << 32 | u64::from(i)).collect();
    let pair = |key: u64| (f32::from_bits(!((key >> 32) as u32)), key as u32);
    let last = (kept < keys.len()).then(|| pair(*keys.select_nth_unstable(kept).1));
    let mut best: Vec<(f32, u32)> = keys[..kept].iter().map(|&k| pair(k)).collect();
    best.sort_unstable_by_key(|b| b.1);
    let last = last.map_or([-1.0, 0.0], |l| [l.0, best.partition_point(|b| b.1 < l.1) as f32]);
    let pairs = best.iter().flat_map(|&(v, i)| [v, i as f32]).collect();
    (Tensor::new([kept, 2], pairs), Tensor::new([1, 2], last.to_vec()))
}

impl Selector {
    /// To select `wanted` of the (projected) `rows` `[n, d]`.
    pub fn new(caps: &Caps, rows: Tensor, wanted: usize, options: Options) -> Selector {
        let parts = parts(&rows, rows_at_once(caps, rows.shape.last()));
        let anchors =
            parts.iter().map(|p| Tensor::new([p.shape.dim(0)], vec![f32::INFINITY; p.shape.dim(0)])).collect();
        Selector { parts, anchors, picks: vec![], wanted, options, exhausted: false }
    }

    fn rows(&self) -> usize {
        self.parts.iter().map(|p| p.shape.dim(0)).sum()
    }

    /// Whether all rows asked for are picked.
    pub fn done(&self) -> bool {
        self.exhausted || self.picks.len() >= self.wanted
    }

    /// Selects until done. `progress` is told how many rows are picked and says whether to go on.
    ///
    /// # Errors
    /// [`Error::Interrupted`] when `progress` says so; [`Error::Numeric`] for rows with NaN.
    pub async fn run(&mut self, gpu: &Gpu, config: &Config, progress: &mut dyn FnMut(usize) -> bool) -> Result<()> {
        let store = Store::new();
        if self.picks.is_empty() {
            self.start(gpu, config, &store).await?;
        }
        let kept = CANDIDATES.min(self.rows());
        let plan = self.round(gpu, &store, kept).await?;
        while !self.done() {
            if !progress(self.picks.len()) {
                return Err(Error::Interrupted(format!("{} of {} rows were selected", self.picks.len(), self.wanted)));
            }
            let (candidates, last) = candidates_of(&self.anchors, kept);
            let inputs: Vec<&Tensor> = self.anchors.iter().chain([&candidates, &last]).collect();
            let mut found = plan.run(&inputs).await?;
            self.anchors = found.split_off(1);
            for pick in found[0].data.chunks(2).take_while(|p| p[0] != -1.0) {
                self.take(pick[0], candidates.data[2 * pick[1] as usize + 1])?;
            }
        }
        progress(self.picks.len());
        Ok(())
    }

    async fn round<'g>(&self, gpu: &'g Gpu, store: &Store, kept: usize) -> Result<Plan<'g>> {
        let graph = Graph::new();
        Plan::new(gpu, &graph, &self.round_graph(&graph, kept), store, self.options.clone()).await
    }

    /// Picks among so many candidates, then every row's new anchor.
    fn round_graph<'g>(&self, graph: &'g Graph, kept: usize) -> Vec<Var<'g>> {
        let (parts, anchors) = self.vars(graph);
        let (candidates, last) = (graph.input("candidates", [kept, 2]), graph.input("last", [1, 2]));
        let steps = steps(self.rows(), self.parts.first().map_or(1, |p| p.shape.last()));
        let state = k_center_round(&parts, &anchors, candidates, last, steps);
        state.picks.into_iter().chain(state.anchors).collect()
    }

    fn take(&mut self, anchor: f32, row: f32) -> Result<()> {
        if self.done() {
            return Ok(());
        }
        if !anchor.is_finite() {
            return Err(Error::Numeric(format!(
                "patch vector {row} contains NaN or is infinitely far from the others"
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
        let plan = Plan::new(gpu, &graph, &distances, store, self.options.clone()).await?;
        let far = self.anchors.clone();
        let official = config.preset == Preset::Official;
        let starts = projection::starts(config.seed, if official { STARTS } else { 1 }, self.rows());
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

/// The selection's round as a stage of its own, on rows of `bank` as they are projected for it: what is measured and checked if the
/// `fitted_on` patch vectors of the fit are no longer available.
pub(super) fn stand_in<'m>(config: &Config, bank: &Tensor, fitted_on: usize, caps: &Caps) -> Stage<'m> {
    let (n, d) = (bank.shape.dim(0), bank.shape.last());
    let rows = match projection::projection(config, fitted_on, d) {
        Some(p) => projected(bank, &p),
        None => bank.clone(),
    };
    let mut selector = Selector::new(caps, rows, n, Options::default());
    for (part, anchors) in selector.parts.iter().zip(&mut selector.anchors) {
        anchors.data = part.data.chunks(part.shape.last().max(1)).map(|row| row.iter().map(|v| v * v).sum()).collect();
    }
    let kept = CANDIDATES.min(n);
    let (candidates, last) = candidates_of(&selector.anchors, kept);
    let inputs = selector.anchors.iter().cloned().chain([candidates, last]).collect();
    let build = boxed(move |graph| selector.round_graph(graph, kept));
    Stage { name: "coreset", inputs, build }
}

/// `rows x p^T`.
fn projected(rows: &Tensor, p: &Tensor) -> Tensor {
    let (d, k) = (rows.shape.last().max(1), p.shape.dim(0));
    let dot = |row: &[f32], column: &[f32]| row.iter().zip(column).map(|(a, b)| a * b).sum::<f32>();
    let values = rows.data.chunks(d).flat_map(|row| p.data.chunks(d).map(move |column| dot(row, column)));
    Tensor::new([rows.data.len() / d, k], values.collect())
}
