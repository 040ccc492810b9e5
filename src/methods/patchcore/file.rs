//! A fitted PatchCore as its file stores it: the bank, where each of its rows comes from, the backbone, and every choice made.

use super::{Config, Grid, Preset};
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
    /// Sizes that follow from it.
    pub geometry: Grid,
    /// Backbone.
    pub backbone: Backbone,
    /// Memory bank `[m, d]`.
    pub bank: Arc<Tensor>,
    /// Picture and place of each row of the bank, in ascending order.
    pub sources: Vec<[u32; 2]>,
    /// Pictures that the bank was made from, in the order of their names.
    pub pictures: Vec<Seen>,
    /// Score of each of them against the bank without its own rows.
    pub scores: Vec<f64>,
    /// Largest value of each one's anomaly map, computed without its own rows.
    pub peaks: Vec<f64>,
    /// Pictures that were given and left out: copies of others, and outliers.
    pub left_out: Vec<LeftOut>,
    /// Good pictures kept aside for testing.
    pub held_out: Vec<Seen>,
    /// How the limits follow from `scores` and `peaks`.
    pub limit_rule: LimitRule,
    /// Where the bank comes from if it was fitted elsewhere: then nothing is known about its pictures, and there are no scores of them.
    pub origin: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Facts {
    method: String,
    lupe_version: String,
    config: Config,
    geometry: Grid,
    backbone: String,
    backbone_sha256: String,
    backbone_embedded: bool,
    pictures: Vec<Seen>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    left_out: Vec<LeftOut>,
    held_out: Vec<Seen>,
    // A file without a rule is of a version that knew no other.
    #[serde(default, with = "rule")]
    limit_rule: LimitRule,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    origin: Option<String>,
    format_version: u64,
}

const METHOD: &str = "patchcore";

/// A rule as its text.
mod rule {
    use super::LimitRule;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(rule: &LimitRule, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(rule)
    }

    pub fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<LimitRule, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
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

    /// How far apart rows of the bank are, the median of some pairs by the preset's distance: a scale if no limit is known.
    pub fn spread(&self) -> f64 {
        const PAIRS: usize = 101;
        let (n, d) = (self.bank.shape.dim(0), self.bank.shape.last().max(1));
        let row = |i: usize| self.bank.data.chunks_exact(d).nth(i % n.max(1)).unwrap_or_default();
        let pair = |i: usize| {
            let (a, b) = (row(i * n / PAIRS), row(i * n / PAIRS + n / 2 + 1));
            let squares = a.iter().zip(b).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum::<f64>();
            if self.config.preset == Preset::Official { squares } else { squares.sqrt() }
        };
        let mut apart: Vec<f64> = (0..PAIRS).map(pair).collect();
        apart.sort_unstable_by(f64::total_cmp);
        apart.get(PAIRS / 2).copied().filter(|v| *v > 0.0).unwrap_or(1.0)
    }

    /// Whether the training pictures are nearly the same to the network: the largest distance between them is at most a twentieth of
    /// their vectors' lengths. On real parts it is more than a third; of gray pictures of which one pixel differs by 1 it is 0.001 by
    /// `resnet50_thin` and 0.03 by `efficientnet_lite0`.
    pub fn alike(&self) -> bool {
        let rows = self.bank.shape.dim(0).max(1);
        let squares = self.bank.data.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / rows as f64;
        let length = if self.config.preset == Preset::Official { 2.5e-3 * squares } else { 5e-2 * squares.sqrt() };
        LimitRule::Max.of_scores(&self.scores).is_some_and(|largest| largest <= length)
    }

    /// Which rows of the bank come from picture `i`: first, and one past the last.
    pub fn own_rows(&self, i: usize) -> (usize, usize) {
        let at = |p: usize| self.sources.partition_point(|s| (s[0] as usize) < p);
        (at(i), at(i + 1))
    }

    /// The file.
    ///
    /// # Errors
    /// [`Error::Output`] if the pieces disagree: a bug.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let facts = json!(Facts {
            method: METHOD.into(),
            lupe_version: env!("CARGO_PKG_VERSION").into(),
            config: self.config.clone(),
            geometry: self.geometry,
            backbone: self.backbone.name.clone(),
            backbone_sha256: self.backbone.sha256.clone(),
            backbone_embedded: self.backbone.weights.is_some(),
            pictures: self.pictures.clone(),
            left_out: self.left_out.clone(),
            held_out: self.held_out.clone(),
            limit_rule: self.limit_rule,
            origin: self.origin.clone(),
            format_version: container::FORMAT,
        });
        let Value::Object(facts) = facts else { return Err(Error::Output("the facts are not an object".into())) };
        let mut tensors = BTreeMap::from([
            ("bank".to_string(), Stored::floats(&self.bank, false)),
            (
                "bank.source".to_string(),
                Stored {
                    dtype: Dtype::U32,
                    shape: vec![self.sources.len(), 2],
                    bytes: self.sources.iter().flatten().flat_map(|v| v.to_le_bytes()).collect(),
                },
            ),
            ("train.score".to_string(), Stored::doubles(vec![self.scores.len()], &self.scores)),
            ("train.peak".to_string(), Stored::doubles(vec![self.peaks.len()], &self.peaks)),
        ]);
        tensors.extend(self.backbone.stored());
        container::write(facts, &tensors)
    }

    /// Reads a file; `origin` is what messages call it.
    ///
    /// # Errors
    /// [`Error::Weights`] if it is not a PatchCore model, has a newer format, is damaged, or contradicts itself.
    pub fn from_bytes(bytes: &[u8], origin: &str) -> Result<ModelFile> {
        let fail = |what: String| Error::Weights(vec![format!("{origin}: {what}")]);
        let (facts, mut tensors) = container::read(bytes, origin)?;
        let facts: Facts = container::parsed(facts, METHOD, "a PatchCore model").map_err(&fail)?;
        let mut take = |name: &str, dtype: Dtype| container::take(&mut tensors, name, dtype).map_err(&fail);
        let (bank, source) = (take("bank", Dtype::F32)?, take("bank.source", Dtype::U32)?);
        let [score, peak] = [take("train.score", Dtype::F64)?, take("train.peak", Dtype::F64)?]
            .map(|t| t.numbers().collect::<Vec<f64>>());
        let weights = facts.backbone_embedded.then(|| Backbone::weights_of(&tensors));
        let words = source.bytes.as_chunks::<4>().0.iter().map(|b| u32::from_le_bytes(*b)).collect::<Vec<u32>>();
        let model = ModelFile {
            config: facts.config,
            geometry: facts.geometry,
            backbone: Backbone { name: facts.backbone, sha256: facts.backbone_sha256, weights },
            bank: Arc::new(bank.tensor().ok_or_else(|| fail("its bank has too many axes".into()))?),
            sources: words.as_chunks::<2>().0.to_vec(),
            scores: score,
            peaks: peak,
            pictures: facts.pictures,
            left_out: facts.left_out,
            held_out: facts.held_out,
            limit_rule: facts.limit_rule,
            origin: facts.origin,
        };
        model.check().map_err(fail)?;
        Ok(model)
    }

    /// Whether the pieces agree: later code indexes by what the file claims.
    fn check(&self) -> std::result::Result<(), String> {
        self.config.check().map_err(|e| e.to_string())?;
        let Grid { grid: [h, w], dim } = self.geometry;
        let places =
            h.checked_mul(w).filter(|p| (1..=1 << 20).contains(p)).ok_or("its grid of places is impossible")?;
        let rows = if self.origin.is_some() { self.bank.shape.dim(0) } else { self.sources.len() };
        if rows == 0 || dim == 0 || self.bank.shape != Shape::from([rows, dim]) {
            return Err(format!("its bank has shape {}, but {rows} rows of {dim} are listed", self.bank.shape));
        }
        let lists = [self.sources.len(), self.pictures.len(), self.left_out.len(), self.held_out.len()];
        let scores = [self.scores.len(), self.peaks.len()];
        if self.origin.is_some() && (lists, scores) != ([0; 4], [0; 2]) {
            return Err("was imported, and yet lists pictures: an import has none".into());
        }
        let known = |s: &[u32; 2]| (s[0] as usize) < self.pictures.len() && (s[1] as usize) < places;
        if !self.sources.is_sorted_by(|a, b| a < b) || !self.sources.iter().all(known) {
            return Err("rows of its bank come from places that do not exist, or are out of order".into());
        }
        for scores in [&self.scores, &self.peaks] {
            if scores.len() != self.pictures.len() {
                return Err(format!("it has {} scores for {} pictures", scores.len(), self.pictures.len()));
            }
        }
        if self.backbone.is_own() { Ok(()) } else { Err("its backbone is not the one it names".into()) }
    }
}
