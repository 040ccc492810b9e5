//! Fitted prototypes, ready to use.

use super::file::METHOD;
use super::head::Prototypes;
use super::{Config, ModelFile};
use crate::data::Preprocess;
use crate::engine::{Caps, Graph, Var};
use crate::error::{Error, Result};
use crate::files::write;
use crate::methods::fitted::{Answer, Finding, Fitted, Known};
use crate::methods::labelled::{self, softmax};
use crate::methods::limit::LimitRule;
use crate::methods::vector::Source;
use crate::models::Network;
use crate::tensor::Tensor;
use crate::weights::{Weights, WeightsFile};
use serde_json::{Map, Value, json};
use std::path::Path;

/// The content of its file, its network, and the network's weights.
#[derive(Debug)]
pub struct Prototype {
    /// The content of its file.
    pub file: ModelFile,
    pub(super) network: &'static Network,
    pub(super) weights: Weights,
    prototypes: Prototypes,
    names: Vec<String>,
}

/// Reads a file; its backbone's weights come from it, or from `weights` if they are the same.
///
/// # Errors
/// [`Error::Weights`] for a damaged model or other weights.
pub(super) fn open(bytes: &[u8], origin: &str, weights: Option<&WeightsFile>) -> Result<Box<dyn Fitted>> {
    Ok(Box::new(Prototype::new(ModelFile::from_bytes(bytes, origin)?, origin, weights)?))
}

impl Prototype {
    /// A file's content with its network's weights, from the file itself or from a weights file; `origin` is what messages call it.
    ///
    /// # Errors
    /// [`Error::Weights`] for an unknown network, other weights, or vectors that the network does not have.
    pub fn new(file: ModelFile, origin: &str, weights: Option<&WeightsFile>) -> Result<Prototype> {
        let fail = |what: &str| Error::Weights(vec![format!("{origin}: {what}")]);
        let (network, weights) = file.backbone.open(origin, weights)?;
        let dim = source(&file.config, network, &weights).dim();
        match dim.map_err(|e| fail(&e.to_string()))? == file.dim {
            true => Prototype::fitted(file, network, weights),
            false => Err(fail("its sizes do not follow from its choices")),
        }
    }

    /// A file's content with its network and the network's weights.
    pub(super) fn fitted(file: ModelFile, network: &'static Network, weights: Weights) -> Result<Prototype> {
        let (prototypes, names) = (file.prototypes()?, file.classes.keys().cloned().collect());
        Ok(Prototype { file, network, weights, prototypes, names })
    }

    /// Writes its file, whole or not at all.
    ///
    /// # Errors
    /// [`Error::Output`] if it cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        write(path.as_ref(), &self.file.to_bytes()?)
    }

    fn finding(&self, vector: &[f32]) -> Result<Finding> {
        let logits = self.prototypes.logits(vector);
        if logits.iter().any(|l| !l.is_finite()) {
            return Err(Error::Numeric("its distances to the prototypes are not finite".into()));
        }
        let likely = softmax(&logits);
        Ok(labelled::finding(&self.names, &logits, likely))
    }
}

/// Where a model's vectors come from.
pub(super) fn source<'a>(config: &'a Config, network: &'a Network, weights: &'a Weights) -> Source<'a> {
    Source { network, weights, place: &config.place, preprocess: config.preprocess(network) }
}

impl Fitted for Prototype {
    fn method(&self) -> &'static str {
        METHOD
    }

    fn preprocess(&self) -> Preprocess {
        self.file.config.preprocess(self.network)
    }

    fn input_size(&self) -> [usize; 2] {
        [self.file.config.size; 2]
    }

    fn limit(&self) -> Option<f64> {
        self.file.limit
    }

    fn limit_rule(&self) -> Option<LimitRule> {
        labelled::rule(self.file.limit)
    }

    fn with_limit(&self, rule: LimitRule) -> Result<Vec<u8>> {
        let limit = Some(labelled::stated(rule, "a model of prototypes", &self.names)?);
        ModelFile { limit, ..self.file.clone() }.to_bytes()
    }

    fn localises(&self) -> bool {
        false
    }

    fn classes(&self) -> &[String] {
        &self.names
    }

    fn known(&self) -> Known<'_> {
        Known::Fitted { on: &self.file.pictures, left_out: &self.file.left_out, held_out: &[] }
    }

    fn answer<'g>(&self, graph: &'g Graph, pictures: Var<'g>, _: &Caps) -> Answer<'g> {
        // The place has vectors: that was checked when the file was opened.
        let Ok(vectors) = source(&self.file.config, self.network, &self.weights).vectors(graph, pictures) else {
            return Answer::default();
        };
        let [n, d] = [vectors.dim(0), vectors.dim(1)];
        Answer { outputs: vec![vectors], features: Some(vectors.reshape([n, 1, d])) }
    }

    fn check(&self) -> Result<()> {
        let broken = self.file.classes.iter().find(|(_, c)| c.sum.iter().chain([&c.squares]).any(|v| !v.is_finite()));
        match broken {
            Some((name, _)) => Err(Error::Numeric(format!("the prototype of {name} is not finite"))),
            None => Ok(()),
        }
    }

    fn findings(&self, outputs: &[Tensor], n: usize) -> Vec<Result<Finding>> {
        let rows = outputs.first().map_or(&[][..], |t| &t.data).chunks_exact(self.file.dim.max(1));
        rows.take(n).map(|vector| self.finding(vector)).collect()
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
            ("classes".into(), json!(self.names)),
        ])
    }
}
