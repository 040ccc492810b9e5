//! PatchCore (Roth et al. 2022, arXiv 2106.08265): patch vectors of good pictures, thinned by greedy k-centre selection into a memory
//! bank; the score of a place is its distance to the nearest vector there. In the two ways that people compare against.

pub mod import;
pub mod model;
pub mod random;
pub mod score;
pub mod select;

use crate::data::{Preprocess, Resampling, Scaling};
use crate::engine::{Asked, Gpu, Graph, Scope, Var};
use crate::error::{Error, Result};
use crate::methods::embed::{EmbedOptions, Embedder};
use crate::models::Model;
use crate::models::resnet::Stages;
use crate::ops::blur::Border;
use crate::ops::knn::Metric;
use crate::tensor::Tensor;
use crate::weights::Weights;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Patch vectors of a fit at most: kernels number them in f32.
pub const MAX_ROWS: usize = 1 << 24;

/// Whose PatchCore.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// amazon-science/patchcore-inspection: squared distances, the largest is the score.
    Official,
    /// anomalib: Euclidean distances, the score re-weighted by the neighbourhood (the paper's formula 7).
    Anomalib,
}

/// Every choice that a fit depends on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// Whose geometry, embedding, selection and scoring.
    pub preset: Preset,
    /// Stages of the backbone, 1 to 4, rising; all are brought to the grid of the first.
    pub layers: Vec<usize>,
    /// Edge of the neighbourhood of a place, odd.
    pub patch: usize,
    /// Values of one stage's patch vector (`official`).
    pub pretrain_dim: usize,
    /// Values of a patch vector (`official`).
    pub target_dim: usize,
    /// Shorter edge after resizing, before the crop.
    pub resize: usize,
    /// Edge of the network's input.
    pub size: usize,
    /// Whether the centre is cut out; else the whole picture is resized to a square.
    pub crop: bool,
    /// Share of the patch vectors that the bank keeps; 1 keeps all.
    pub ratio: f64,
    /// Where all random draws come from.
    pub seed: u64,
    /// Nearest rows whose mean distance is the score of a place.
    pub neighbors: usize,
    /// Rows of the neighbourhood that re-weights the picture's score; 1 leaves it alone.
    pub reweight: usize,
}

impl Config {
    /// The preset's published values.
    pub fn new(preset: Preset) -> Config {
        let official = preset == Preset::Official;
        Config {
            preset,
            layers: vec![2, 3],
            patch: 3,
            pretrain_dim: 1024,
            target_dim: 1024,
            resize: 256,
            size: if official { 224 } else { 256 },
            crop: official,
            ratio: 0.1,
            seed: 0,
            neighbors: 1,
            reweight: if official { 1 } else { 9 },
        }
    }

    /// What is wrong with it, if anything.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the value and what is allowed.
    pub fn check(&self) -> Result<()> {
        let wrong = |what: String| Err(Error::Usage(what));
        if self.layers.is_empty()
            || !self.layers.is_sorted_by(|a, b| a < b)
            || self.layers.iter().any(|l| !(1..=4).contains(l))
        {
            return wrong(format!("layers {:?}: stages 1 to 4 are wanted, each once, rising", self.layers));
        }
        if !(self.ratio > 0.0 && self.ratio <= 1.0) {
            return wrong(format!("ratio {}: more than 0 and at most 1 is wanted", self.ratio));
        }
        if !(32..=4096).contains(&self.size) {
            return wrong(format!("size {}: 32 to 4096 is wanted", self.size));
        }
        if self.crop && !(self.size..=8192).contains(&self.resize) {
            return wrong(format!(
                "resize {}: at least the size, {}, and at most 8192 is wanted",
                self.resize, self.size
            ));
        }
        if self.neighbors == 0 || self.reweight == 0 {
            return wrong("neighbors and reweight: at least 1 is wanted".into());
        }
        if self.patch.is_multiple_of(2) || self.patch > 15 {
            return wrong(format!("patch {}: an odd number up to 15 is wanted", self.patch));
        }
        Ok(())
    }

    /// The choices that patch vectors depend on, the others as in the preset.
    pub fn for_features(&self) -> Config {
        let Config { ratio, neighbors, reweight, .. } = Config::new(self.preset);
        Config { ratio, neighbors, reweight, ..self.clone() }
    }

    /// What pictures go through before `model` sees them.
    pub fn preprocess(&self, model: &Model) -> Preprocess {
        let (scaling, crop) = match self.crop {
            true => (Scaling::ShortEdge(self.resize), Some([self.size; 2])),
            false => (Scaling::Square(self.size), None),
        };
        let resampling = match self.preset {
            Preset::Official => Resampling::Pillow,
            Preset::Anomalib => Resampling::Float,
        };
        Preprocess { scaling: Some(scaling), crop, resampling, ..model.preprocess }
    }

    /// Distance between patch vectors.
    pub fn metric(&self) -> Metric {
        if self.preset == Preset::Official { Metric::SquaredL2 } else { Metric::L2 }
    }

    /// Rows of a bank fitted on `n` patch vectors.
    pub fn bank_rows(&self, n: usize) -> usize {
        ((n as f64 * self.ratio) as usize).clamp(1, n.max(1))
    }

    /// Patch vectors `[n, h*w, d]` of a batch of pictures.
    pub fn embed<'g>(&self, stages: &Stages<'g>) -> Var<'g> {
        let maps = self.layers.iter().map(|l| stages.layers[l - 1]);
        let [n, h, w] = maps.clone().next().map_or([1; 3], |m| [m.dim(0), m.dim(1), m.dim(2)]);
        let official = self.preset == Preset::Official;
        let pooled = maps.map(|map| {
            let pooled = match official {
                true => map.patch_pool(self.patch, self.pretrain_dim),
                false => map.avg_pool(self.patch, 1, self.patch / 2, true),
            };
            // Averages and resizing are linear, so the order of the two is free; the smaller map is resized.
            if [map.dim(1), map.dim(2)] == [h, w] { pooled } else { pooled.resize_bilinear(h, w) }
        });
        let all = pooled.reduce(|a, b| a.concat(b, 3)).unwrap_or(stages.feature);
        let all = if official { all.channel_pool(self.target_dim) } else { all };
        all.reshape([n, h * w, all.shape().last()])
    }

    /// Scores of places `[h*w]` as an anomaly map `[1, size, size, 1]`.
    pub fn map<'g>(&self, scores: Var<'g>, [h, w]: [usize; 2]) -> Var<'g> {
        const SIGMA: f64 = 4.0;
        let grid = scores.reshape([1, h, w, 1]);
        match self.preset {
            Preset::Official => grid.resize_bilinear(self.size, self.size).gaussian_blur(SIGMA, Border::Symmetric),
            Preset::Anomalib => grid.resize_nearest(self.size, self.size).gaussian_blur(SIGMA, Border::Reflect),
        }
    }

    /// Rows and columns of the grid of places, and values of a patch vector.
    ///
    /// # Errors
    /// [`Error::Shape`] if the pieces do not fit: a bug.
    pub fn geometry(&self, model: &Model, weights: &Weights) -> Result<Geometry> {
        let (graph, asked) = (Graph::new(), Asked::default());
        let root = Scope::new(&graph, weights.tensors(), &asked);
        let stages = model.net.features(graph.input("picture", [1, self.size, self.size, 3]), &root);
        let first = stages.layers[self.layers[0] - 1];
        let rows = self.embed(&stages);
        graph.nodes()?;
        Ok(Geometry { grid: [first.dim(1), first.dim(2)], dim: rows.dim(2) })
    }
}

/// The backbone up to patch vectors `[1, places, d]` of every picture and, where a projection `[k, d]` is given, projected ones
/// `[1, places, k]`.
///
/// # Errors
/// As [`Embedder::with_head`].
pub async fn extractor<'g>(
    gpu: &'g Gpu,
    (model, weights): (&Model, &Weights),
    config: &Config,
    projection: Option<Arc<Tensor>>,
    options: &EmbedOptions,
) -> Result<Embedder<'g>> {
    Embedder::with_head(gpu, model, weights, [config.size; 2], options, &|graph, stages| {
        let rows = config.embed(stages);
        let Some(p) = &projection else { return vec![rows] };
        let [n, places, d] = [rows.dim(0), rows.dim(1), rows.dim(2)];
        let projected = rows.reshape([n * places, d]).matmul_t(graph.weight("projection", p.clone()));
        vec![rows, projected.reshape([n, places, p.shape.dim(0)])]
    })
    .await
}

/// Sizes that follow from a configuration and a backbone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Geometry {
    /// Rows and columns of the grid of places.
    pub grid: [usize; 2],
    /// Values of a patch vector.
    pub dim: usize,
}

impl Geometry {
    /// Patch vectors of one picture.
    pub fn places(&self) -> usize {
        self.grid[0] * self.grid[1]
    }
}
