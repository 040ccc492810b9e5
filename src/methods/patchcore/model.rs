//! A fitted PatchCore, ready to use.

use super::score::Bank;
use super::select::{rows_at_once, stand_in};
use super::{METHOD, ModelFile};
use crate::data::Preprocess;
use crate::engine::{Caps, Graph, Scope, Var};
use crate::error::{Error, Result};
use crate::files::write;
use crate::lock::lock;
use crate::methods::fitted::{Answer, Finding, Fitted, Known, Stage};
use crate::methods::limit::{LimitRule, Trained};
use crate::models::Network;
use crate::tensor::Tensor;
use crate::weights::{Weights, WeightsFile};
use serde_json::{Map, Value, json};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// The content of its file, its network, and the network's weights.
#[derive(Debug)]
pub struct PatchCore {
    /// The content of its file.
    pub file: ModelFile,
    network: &'static Network,
    weights: Weights,
    scale: [f32; 2],
    bank: Bank,
    /// The bank's parts for the device that was asked for last, by the number of rows that it binds at once.
    parts: Mutex<Option<(usize, Vec<Arc<Tensor>>)>>,
}

/// Reads a file; its backbone's weights come from it, or from `weights` if they are the same.
///
/// # Errors
/// [`Error::Weights`] for a damaged model or other weights.
pub(super) fn open(bytes: &[u8], origin: &str, weights: Option<&WeightsFile>) -> Result<Box<dyn Fitted>> {
    Ok(Box::new(PatchCore::new(ModelFile::from_bytes(bytes, origin)?, origin, weights)?))
}

impl PatchCore {
    /// A file's content with its network's weights, from the file itself or from a weights file; `origin` is what messages call it.
    ///
    /// # Errors
    /// [`Error::Weights`] for an unknown network, other weights, or sizes that do not follow from its choices.
    pub fn new(file: ModelFile, origin: &str, weights: Option<&WeightsFile>) -> Result<PatchCore> {
        let fail = |what: String| Error::Weights(vec![format!("{origin}: {what}")]);
        let (network, weights) = file.backbone.open(origin, weights)?;
        if file.config.geometry(network, &weights).map_err(|e| fail(e.to_string()))? != file.geometry {
            return Err(fail("its sizes do not follow from its choices".into()));
        }
        Ok(PatchCore::fitted(file, network, weights))
    }

    /// A file's content with its network and the network's weights.
    pub(super) fn fitted(file: ModelFile, network: &'static Network, weights: Weights) -> PatchCore {
        // Twice what a good picture reaches: a place barely above the limit looks different from one far above it.
        let scale = [0.0, file.map_limit().map_or_else(|| file.spread(), |l| 2.0 * l) as f32];
        let bank = Bank::new(&file.config, file.geometry, file.bank.clone());
        PatchCore { file, network, weights, scale, bank, parts: Mutex::default() }
    }

    /// Writes its file, whole or not at all.
    ///
    /// # Errors
    /// [`Error::Output`] if it cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        write(path.as_ref(), &self.file.to_bytes()?)
    }

    /// The bank in parts that such a device can bind: cut once, however often a graph is built.
    fn parts(&self, caps: &Caps) -> Vec<Arc<Tensor>> {
        let most = rows_at_once(caps, self.file.geometry.dim);
        let mut known = lock(&self.parts);
        match &*known {
            Some((rows, parts)) if *rows == most => parts.clone(),
            _ => known.insert((most, self.bank.parts(caps))).1.clone(),
        }
    }
}

impl Fitted for PatchCore {
    fn method(&self) -> &'static str {
        METHOD.name
    }

    fn preprocess(&self) -> Preprocess {
        self.file.config.preprocess(self.network)
    }

    fn input_size(&self) -> [usize; 2] {
        [self.file.config.size; 2]
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

    fn known(&self) -> Known<'_> {
        match &self.file.origin {
            Some(_) => Known::Unknown,
            None => {
                let ModelFile { pictures, left_out, held_out, .. } = &self.file;
                Known::Fitted { on: pictures, left_out, held_out }
            }
        }
    }

    fn answer<'g>(&self, graph: &'g Graph, pictures: Var<'g>, caps: &Caps) -> Answer<'g> {
        let places = self.network.build(pictures, &Scope::new(graph, self.weights.tensors()));
        // The layers are places of the network: that was checked when it was opened.
        let Some(features) = self.file.config.embed(&places) else { return Answer::default() };
        let [n, count, d] = [features.dim(0), features.dim(1), features.dim(2)];
        let outputs = self.bank.outputs(&self.parts(caps), features.reshape([n * count, d]), n, None);
        Answer { outputs, features: Some(features) }
    }

    fn check(&self) -> Result<()> {
        self.bank.check()
    }

    fn findings(&self, outputs: &[Tensor], n: usize) -> Vec<Result<Finding>> {
        let finding = |i| {
            let scored = self.bank.scored(outputs, i, n)?;
            Ok(Finding { score: scored.score, map: Some(scored.map), ..Finding::default() })
        };
        (0..n).map(finding).collect()
    }

    fn fit_stages(&self, caps: &Caps) -> Vec<Stage<'_>> {
        let bank = &self.file.bank;
        let fitted_on = match self.file.pictures.len() * self.file.geometry.places() {
            0 => bank.shape.dim(0), // an import: nothing is known about its pictures
            n => n,
        };
        vec![stand_in(&self.file.config, bank, fitted_on, caps)]
    }

    fn notes(&self) -> &[String] {
        self.weights.notes()
    }

    fn facts(&self) -> Map<String, Value> {
        let ModelFile { backbone, config, origin, .. } = &self.file;
        let mut facts = Map::from_iter([
            ("backbone".to_string(), json!(backbone.name)),
            ("backbone_sha256".into(), json!(backbone.sha256)),
            ("config".into(), json!(config)),
        ]);
        facts.extend(origin.as_ref().map(|origin| ("origin".to_string(), json!(origin))));
        facts
    }
}
