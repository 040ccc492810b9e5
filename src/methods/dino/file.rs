//! A fitted model as its file stores it: what was learned of the references, the backbone, and every choice made.

use super::learned::Learned;
use super::spectrum::Subspace;
use super::{Config, Detector};
use crate::error::{Error, Result};
use crate::methods::backbone::Backbone;
use crate::methods::fitted::{LeftOut, Seen};
use crate::methods::limit::{self, LimitRule};
use crate::tensor::{Shape, Tensor};
use crate::weights::container::{self, Stored};
use safetensors::Dtype;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a file contains.
#[derive(Clone, Debug)]
pub struct ModelFile {
    /// Every choice.
    pub config: Config,
    /// Rows and columns of the grid of patches of the first reference; pictures of another shape have another one.
    pub grid: [usize; 2],
    /// Backbone.
    pub backbone: Backbone,
    /// What was learned.
    pub learned: Learned,
    /// The references, in the order of their names.
    pub pictures: Vec<Seen>,
    /// Score of each of them by what is learned of the others; none where there are too few references.
    pub scores: Vec<f64>,
    /// Largest value of each one's anomaly map, likewise.
    pub peaks: Vec<f64>,
    /// Pictures that were given and left out: copies of others.
    pub left_out: Vec<LeftOut>,
    /// How the limits follow from `scores` and `peaks`.
    pub limit_rule: LimitRule,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Facts {
    method: String,
    lupe_version: String,
    config: Config,
    grid: [usize; 2],
    backbone: String,
    backbone_sha256: String,
    backbone_embedded: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    bank_rows: Vec<usize>,
    pictures: Vec<Seen>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    left_out: Vec<LeftOut>,
    limit_rule: String,
    format_version: u64,
}

impl ModelFile {
    /// The limit for pictures by the file's rule; `None` if there are too few scores for it.
    pub fn limit(&self) -> Option<f64> {
        self.limit_rule.of_scores(&self.scores)
    }

    /// The limit for pixels of anomaly maps.
    pub fn map_limit(&self) -> Option<f64> {
        self.limit_rule.of_peaks(&self.peaks)
    }

    /// The same file with limits by another rule.
    ///
    /// # Errors
    /// [`Error::Usage`] if the rule gives no limit here.
    pub fn with_limit(&self, rule: LimitRule) -> Result<ModelFile> {
        limit::check(&rule, &self.scores)?;
        Ok(ModelFile { limit_rule: rule, ..self.clone() })
    }

    /// The file.
    ///
    /// # Errors
    /// [`Error::Output`] if the pieces disagree: a bug.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let (tensors, bank_rows) = self.tensors();
        let facts = json!(Facts {
            method: self.config.detector.method().into(),
            lupe_version: env!("CARGO_PKG_VERSION").into(),
            config: self.config.clone(),
            grid: self.grid,
            backbone: self.backbone.name.clone(),
            backbone_sha256: self.backbone.sha256.clone(),
            backbone_embedded: self.backbone.weights.is_some(),
            bank_rows,
            pictures: self.pictures.clone(),
            left_out: self.left_out.clone(),
            limit_rule: self.limit_rule.to_string(),
            format_version: container::FORMAT,
        });
        let Value::Object(facts) = facts else { return Err(Error::Output("the facts are not an object".into())) };
        container::write(facts, &tensors)
    }

    fn tensors(&self) -> (BTreeMap<String, Stored>, Vec<usize>) {
        let row = |values: &Vec<f64>| Stored::doubles(vec![values.len()], values);
        let mut tensors = BTreeMap::from([
            ("train.score".to_string(), row(&self.scores)),
            ("train.peak".to_string(), row(&self.peaks)),
        ]);
        tensors.extend(self.backbone.stored());
        let counts = match &self.learned {
            Learned::Bank { rows, counts } => {
                tensors.insert("bank".into(), Stored::floats(rows, false));
                counts.clone()
            }
            Learned::Subspace(s) => {
                tensors.insert("mean".into(), row(&s.mean));
                tensors.insert("components".into(), Stored::floats(&s.components, false));
                tensors.insert("eigenvalues".into(), row(&s.eigenvalues));
                vec![]
            }
        };
        (tensors, counts)
    }

    /// Reads a file; `origin` is what messages call it.
    ///
    /// # Errors
    /// [`Error::Weights`] if it is not such a model, has a newer format, is damaged, or contradicts itself.
    pub fn from_bytes(bytes: &[u8], origin: &str) -> Result<ModelFile> {
        let fail = |what: String| Error::Weights(vec![format!("{origin}: {what}")]);
        let (facts, mut tensors) = container::read(bytes, origin)?;
        let facts: Facts =
            serde_json::from_value(Value::Object(facts)).map_err(|e| fail(format!("its facts cannot be read: {e}")))?;
        if facts.method != facts.config.detector.method() {
            return Err(fail(format!("is of {}, but its choices are not", facts.method)));
        }
        let learned = learned(&mut tensors, &facts).map_err(fail)?;
        let [scores, peaks] = ["train.score", "train.peak"].map(|name| values(&mut tensors, name));
        let weights = facts.backbone_embedded.then(|| Backbone::weights_of(&tensors));
        let model = ModelFile {
            config: facts.config,
            grid: facts.grid,
            backbone: Backbone { name: facts.backbone, sha256: facts.backbone_sha256, weights },
            learned,
            scores: scores.map_err(fail)?,
            peaks: peaks.map_err(fail)?,
            pictures: facts.pictures,
            left_out: facts.left_out,
            limit_rule: facts.limit_rule.parse().map_err(fail)?,
        };
        model.check().map_err(fail)?;
        Ok(model)
    }

    /// Whether the pieces agree: later code relies on what the file claims.
    fn check(&self) -> std::result::Result<(), String> {
        let [h, w] = self.grid;
        h.checked_mul(w).filter(|p| (1..=super::config::MOST_PATCHES).contains(p)).ok_or("its grid is impossible")?;
        match &self.learned {
            Learned::Bank { rows, counts } => {
                let (n, d) = (counts.iter().try_fold(0usize, |n, c| n.checked_add(*c)), rows.shape.last());
                if d == 0 || n != Some(rows.shape.dim(0)) || n == Some(0) || rows.shape.rank() != 2 {
                    return Err(format!("its bank has shape {}, but {} rows are listed", rows.shape, n.unwrap_or(0)));
                }
                if counts.len() != self.pictures.len() {
                    return Err(format!("it has rows of {} pictures, but lists {}", counts.len(), self.pictures.len()));
                }
            }
            Learned::Subspace(s) => {
                let (k, d) = (s.components.shape.dim(0), s.mean.len());
                if d == 0
                    || !(1..=d).contains(&k)
                    || s.components.shape != Shape::from([k, d])
                    || s.eigenvalues.len() != d
                {
                    return Err(format!("its components have shape {}, its mean {d} values", s.components.shape));
                }
            }
        }
        for scores in [&self.scores, &self.peaks] {
            if ![0, self.pictures.len()].contains(&scores.len()) || scores.len() != self.scores.len() {
                return Err(format!("it has {} scores for {} pictures", scores.len(), self.pictures.len()));
            }
        }
        if self.backbone.is_own() { Ok(()) } else { Err("its backbone is not the one it names".into()) }
    }
}

type Found<T> = std::result::Result<T, String>;

fn values(tensors: &mut BTreeMap<String, Stored>, name: &str) -> Found<Vec<f64>> {
    Ok(container::take(tensors, name, Dtype::F64)?.numbers().collect())
}

fn floats(tensors: &mut BTreeMap<String, Stored>, name: &str) -> Found<Tensor> {
    container::take(tensors, name, Dtype::F32)?.tensor().ok_or_else(|| format!("tensor {name} has too many axes"))
}

fn learned(tensors: &mut BTreeMap<String, Stored>, facts: &Facts) -> Found<Learned> {
    Ok(match facts.config.detector {
        Detector::Neighbors { .. } => {
            Learned::Bank { rows: Arc::new(floats(tensors, "bank")?), counts: facts.bank_rows.clone() }
        }
        Detector::Subspace { .. } => Learned::Subspace(Subspace {
            mean: values(tensors, "mean")?,
            components: floats(tensors, "components")?,
            eigenvalues: values(tensors, "eigenvalues")?,
        }),
    })
}
