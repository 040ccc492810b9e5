//! A fitted CAML, ready to use once its checkpoint is given.

use super::file::METHOD;
use super::support::Supports;
use super::{Config, ModelFile, Origin, Ways};
use crate::data::Preprocess;
use crate::engine::{Caps, Graph, Var};
use crate::error::{Error, Result, plain, shown};
use crate::files::write;
use crate::methods::fitted::{Answer, Finding, Fitted, Known};
use crate::methods::labelled;
use crate::methods::limit::LimitRule;
use crate::methods::vector::Source;
use crate::models::Network;
use crate::models::caml::Checkpoint;
use crate::tensor::Tensor;
use crate::weights::{Weights, WeightsFile};
use serde_json::{Map, Value, json};
use std::path::Path;

/// The content of its file, its encoder with weights, and its checkpoint as soon as that is given.
#[derive(Debug)]
pub struct CamlModel {
    /// The content of its file.
    pub file: ModelFile,
    encoder: &'static Network,
    weights: Weights,
    ways: Ways,
    names: Vec<String>,
    checkpoint: Option<(Checkpoint, Supports)>,
    notes: Vec<String>,
}

/// Reads a file; its encoder's weights are those of `weights`, or built in, if they are the same.
///
/// # Errors
/// [`Error::Weights`] for a damaged model or other weights.
pub(super) fn open(bytes: &[u8], origin: &str, weights: Option<&WeightsFile>) -> Result<Box<dyn Fitted>> {
    Ok(Box::new(CamlModel::new(ModelFile::from_bytes(bytes, origin)?, origin, weights)?))
}

impl CamlModel {
    /// A file's content with its encoder's weights; `origin` is what messages call it.
    ///
    /// # Errors
    /// [`Error::Weights`] for an unknown encoder, other weights, or features that the encoder does not have.
    pub fn new(file: ModelFile, origin: &str, weights: Option<&WeightsFile>) -> Result<CamlModel> {
        let fail = |what: &str| Error::Weights(vec![format!("{origin}: {what}")]);
        let (encoder, weights) = file.encoder.open(origin, weights)?;
        let dim = source(&file.config, encoder, &weights).dim();
        match dim.map_err(|e| fail(&e.to_string()))? == file.checkpoint.sizes.features {
            true => CamlModel::fitted(file, encoder, weights, None).map_err(|e| fail(&e.to_string())),
            false => Err(fail("its sizes do not follow from its choices")),
        }
    }

    /// A file's content with its encoder, the encoder's weights and, where it is at hand, its checkpoint.
    pub(super) fn fitted(
        file: ModelFile,
        encoder: &'static Network,
        weights: Weights,
        checkpoint: Option<Checkpoint>,
    ) -> Result<CamlModel> {
        let names: Vec<String> = file.classes.iter().map(|c| c.0.clone()).collect();
        let ways = Ways::new(&names, file.checkpoint.sizes.labels, &file.config)?;
        let notes = weights.notes().to_vec();
        let mut model = CamlModel { file, encoder, weights, ways, names, checkpoint: None, notes };
        checkpoint.into_iter().for_each(|checkpoint| model.complete(checkpoint));
        Ok(model)
    }

    fn complete(&mut self, checkpoint: Checkpoint) {
        let supports = Supports::new(&checkpoint, &self.ways, &self.file.features(), &self.file.labels());
        self.notes.extend_from_slice(checkpoint.weights.notes());
        self.checkpoint = Some((checkpoint, supports));
    }

    /// Writes its file, whole or not at all.
    ///
    /// # Errors
    /// [`Error::Output`] if it cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        write(path.as_ref(), &self.file.to_bytes()?)
    }

    fn finding(&self, logits: &[&[f32]]) -> Result<Finding> {
        if logits.iter().flat_map(|row| row.iter()).any(|l| !l.is_finite()) {
            return Err(Error::Numeric("a logit of CAML's is not finite".into()));
        }
        let logs = self.ways.log_probabilities(logits);
        let likely = logs.iter().map(|l| l.exp()).collect();
        Ok(labelled::finding(&self.names, &logs, likely))
    }
}

/// Where a model's features come from.
pub(super) fn source<'a>(config: &'a Config, encoder: &'a Network, weights: &'a Weights) -> Source<'a> {
    Source { network: encoder, weights, place: &config.place, preprocess: config.preprocess(encoder) }
}

impl Fitted for CamlModel {
    fn method(&self) -> &'static str {
        METHOD
    }

    fn preprocess(&self) -> Preprocess {
        self.file.config.preprocess(self.encoder)
    }

    fn input_size(&self) -> [usize; 2] {
        [self.file.config.size; 2]
    }

    fn take_checkpoint(&mut self, path: &Path) -> Result<()> {
        let Origin { file, sha256, sizes } = &self.file.checkpoint;
        let read = Checkpoint::open(path, sizes.heads)?;
        if read.caml != *sizes || read.weights.sha256() != *sha256 {
            return Err(Error::Weights(vec![format!(
                "{}: not the checkpoint that the model was fitted with, which was in a file called {}",
                shown(path),
                plain(file)
            )]));
        }
        self.complete(read);
        Ok(())
    }

    fn limit(&self) -> Option<f64> {
        self.file.limit
    }

    fn limit_rule(&self) -> Option<LimitRule> {
        labelled::rule(self.file.limit)
    }

    fn with_limit(&self, rule: LimitRule) -> Result<Vec<u8>> {
        let limit = Some(labelled::stated(rule, "a model of CAML", &self.names)?);
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
        // The place has vectors: that was checked when the file was opened. Without a checkpoint nothing is planned: see `check`.
        let features = source(&self.file.config, self.encoder, &self.weights).vectors(graph, pictures);
        let (Ok(features), Some((checkpoint, supports))) = (features, &self.checkpoint) else {
            return Answer::default();
        };
        let [n, d] = [features.dim(0), features.dim(1)];
        Answer { outputs: supports.logits(checkpoint, graph, features), features: Some(features.reshape([n, 1, d])) }
    }

    fn check(&self) -> Result<()> {
        if self.checkpoint.is_none() {
            let file = plain(&self.file.checkpoint.file);
            return Err(Error::Usage(format!(
                "a model of CAML does not hold its checkpoint: give --checkpoint FILE; at the fit it was called {file}"
            )));
        }
        match self.file.support.data.iter().all(|v| v.is_finite()) {
            true => Ok(()),
            false => Err(Error::Numeric("a feature of the support is not finite".into())),
        }
    }

    fn findings(&self, outputs: &[Tensor], n: usize) -> Vec<Result<Finding>> {
        let Some((_, supports)) = &self.checkpoint else { return vec![] };
        (0..n).map(|i| self.finding(&supports.of_query(outputs, i, n))).collect()
    }

    fn notes(&self) -> &[String] {
        &self.notes
    }

    fn facts(&self) -> Map<String, Value> {
        let ModelFile { encoder, config, checkpoint, .. } = &self.file;
        Map::from_iter([
            ("encoder".to_string(), json!(encoder.name)),
            ("encoder_sha256".into(), json!(encoder.sha256)),
            ("checkpoint".into(), json!(checkpoint)),
            ("config".into(), json!(config)),
            ("classes".into(), json!(self.names)),
        ])
    }
}
