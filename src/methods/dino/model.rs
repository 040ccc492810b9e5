//! A fitted AnomalyDINO or SubspaceAD, ready to use.

use super::learned::Comparison;
use super::{ANOMALY_DINO, Config, Detector, ModelFile, SUBSPACE_AD};
use crate::data::Preprocess;
use crate::engine::{Caps, Graph, Scope, Var};
use crate::error::{Error, Result};
use crate::files::write;
use crate::methods::batched::part;
use crate::methods::fitted::{Answer, Finding, Fitted, Known};
use crate::methods::limit::{LimitRule, Trained};
use crate::models::Network;
use crate::tensor::Tensor;
use crate::weights::{Weights, WeightsFile};
use serde_json::{Map, Value, json};
use std::path::Path;

/// The content of its file, its network with the file's position rule, and the network's weights.
#[derive(Debug)]
pub struct Dino {
    /// The content of its file.
    pub file: ModelFile,
    network: Network,
    weights: Weights,
    scale: [f32; 2],
    comparison: Comparison,
}

/// Reads a file; its backbone's weights come from it, or from `weights` if they are the same.
///
/// # Errors
/// [`Error::Weights`] for a damaged model or other weights.
pub(super) fn open(bytes: &[u8], origin: &str, weights: Option<&WeightsFile>) -> Result<Box<dyn Fitted>> {
    Ok(Box::new(Dino::new(ModelFile::from_bytes(bytes, origin)?, origin, weights)?))
}

impl Detector {
    /// The method's name.
    pub fn method(self) -> &'static str {
        match self {
            Detector::Neighbors { .. } => ANOMALY_DINO.name,
            Detector::Subspace { .. } => SUBSPACE_AD.name,
        }
    }
}

impl Dino {
    /// A file's content with its network's weights, from the file itself or from a weights file; `origin` is what messages call it.
    ///
    /// # Errors
    /// [`Error::Weights`] for an unknown network, other weights, or sizes that do not follow from its choices.
    pub fn new(file: ModelFile, origin: &str, weights: Option<&WeightsFile>) -> Result<Dino> {
        let fail = |what: String| Error::Weights(vec![format!("{origin}: {what}")]);
        let (network, weights) = file.backbone.open(origin, weights)?;
        file.config.check(network).map_err(|e| fail(e.to_string()))?;
        let dim = file.config.dim(network, &weights).map_err(|e| fail(e.to_string()))?;
        if dim != file.learned.dim() {
            return Err(fail(format!(
                "holds tokens of {} values, but those of {} have {dim}",
                file.learned.dim(),
                network.name
            )));
        }
        Ok(Dino::fitted(file, network, weights))
    }

    /// A file's content with its network and the network's weights.
    pub(super) fn fitted(file: ModelFile, network: &Network, weights: Weights) -> Dino {
        // Twice what a good picture reaches: a place barely above the limit looks different from one far above it.
        let scale = [0.0, file.map_limit().map_or_else(|| file.learned.reach(), |l| 2.0 * l) as f32];
        let (network, comparison) = (file.config.adapted(network), Comparison::new(file.learned.clone()));
        Dino { file, network, weights, scale, comparison }
    }

    /// Writes its file, whole or not at all.
    ///
    /// # Errors
    /// [`Error::Output`] if it cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        write(path.as_ref(), &self.file.to_bytes()?)
    }

    fn config(&self) -> &Config {
        &self.file.config
    }
}

/// Distances of the patches of picture `i` of `n`, `[h, w]`, from comparisons `[n, h, w, …]`: the mean of each one's nearest.
pub(super) fn distances(compared: &Tensor, i: usize, n: usize) -> Tensor {
    let own = part(compared, i, n);
    let (grid, values) = ([own.shape.dim(1), own.shape.dim(2)], own.shape.dim(3));
    // Of a bank, distance and row in turns.
    let mean = |v: &[f32]| v.iter().step_by(2).map(|&d| f64::from(d)).sum::<f64>() / v.len().div_ceil(2) as f64;
    Tensor::new(grid, own.data.chunks(values).map(|v| mean(v) as f32).collect())
}

impl Fitted for Dino {
    fn method(&self) -> &'static str {
        self.config().detector.method()
    }

    fn preprocess(&self) -> Preprocess {
        self.network.preprocess
    }

    fn input_size(&self) -> [usize; 2] {
        self.file.grid.map(|n| n * self.network.multiple)
    }

    fn limit(&self) -> Option<f64> {
        self.file.limit()
    }

    fn map_limit(&self) -> Option<f64> {
        self.file.map_limit()
    }

    fn limit_rule(&self) -> Option<LimitRule> {
        self.file.limit().map(|_| self.file.limit_rule)
    }

    fn training(&self) -> Vec<Trained<'_>> {
        let ModelFile { pictures, scores, peaks, .. } = &self.file;
        let all = pictures.iter().zip(scores).zip(peaks);
        all.map(|((seen, &score), &peak)| Trained { name: &seen.name, score, peak }).collect()
    }

    fn with_limit(&self, rule: LimitRule) -> Result<Vec<u8>> {
        self.file.with_limit(rule)?.to_bytes()
    }

    fn scale(&self) -> [f32; 2] {
        self.scale
    }

    fn localises(&self) -> bool {
        true
    }

    fn map_view(&self) -> Preprocess {
        Preprocess { cut: None, ..self.network.preprocess }
    }

    fn whole_map(&self, map: &Tensor, size: [usize; 2]) -> Option<Tensor> {
        self.config().whole_maps().then(|| self.config().raise().map(map, size))
    }

    fn nearest_masks(&self) -> bool {
        true
    }

    fn known(&self) -> Known<'_> {
        let ModelFile { pictures, left_out, .. } = &self.file;
        Known::Fitted { on: pictures, left_out, held_out: &[] }
    }

    fn answer<'g>(&self, graph: &'g Graph, pictures: Var<'g>, caps: &Caps) -> Answer<'g> {
        let scope = Scope::new(graph, self.weights.tensors());
        // The layers are places of the network: that was checked when it was opened.
        let Some(tokens) = self.config().tokens(&self.network, pictures, &scope) else { return Answer::default() };
        let [n, h, w, d] = tokens.shape().nhwc();
        let rows = tokens.reshape([n * h * w, d]);
        let compared = self.comparison.compared(rows, self.config().neighbors(), caps, None);
        let each = compared.shape().len() / (n * h * w).max(1);
        let masked = self.config().mask().map(|_| tokens);
        let outputs = std::iter::once(compared.reshape([n, h, w, each])).chain(masked).collect();
        Answer { outputs, features: Some(tokens.reshape([n, h * w, d])) }
    }

    fn check(&self) -> Result<()> {
        self.file.learned.check()
    }

    fn findings(&self, outputs: &[Tensor], n: usize) -> Vec<Result<Finding>> {
        let finding = |i| {
            let [compared, tokens @ ..] = outputs else { return Err(Error::Gpu("a plan gave no output".into())) };
            let tokens = tokens.first().map(|all| {
                let own = part(all, i, n);
                let [_, h, w, d] = own.shape.nhwc();
                own.reshape([h, w, d])
            });
            self.config().finding(distances(compared, i, n), tokens.as_ref())
        };
        (0..n).map(finding).collect()
    }

    fn notes(&self) -> &[String] {
        self.weights.notes()
    }

    fn facts(&self) -> Map<String, Value> {
        let ModelFile { backbone, config, .. } = &self.file;
        Map::from_iter([
            ("backbone".to_string(), json!(backbone.name)),
            ("backbone_sha256".into(), json!(backbone.sha256)),
            ("config".into(), json!(config)),
        ])
    }
}
