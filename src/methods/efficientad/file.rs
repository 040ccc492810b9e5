//! A fitted model as its file stores it: student, autoencoder, teacher, statistics, scales, and every choice made.

use super::config::Config;
use super::maps::Scales;
use super::networks::{AUTOENCODER, STUDENT};
use super::statistics::Statistics;
use crate::engine::Named;
use crate::error::{Error, Result};
use crate::methods::backbone::Backbone;
use crate::methods::fitted::{LeftOut, Seen};
use crate::methods::limit::{self, LimitRule};
use crate::train::{Checks, End};
use crate::weights::container::{self, Stored};
use safetensors::Dtype;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The checks of a training that might have ended early: after how many steps, and the loss on the pictures that were kept.
const CHECKS: &str = "checks";

type Found<T> = std::result::Result<T, String>;

/// What a file contains.
#[derive(Clone, Debug)]
pub struct ModelFile {
    /// Every choice.
    pub config: Config,
    /// The teacher.
    pub backbone: Backbone,
    /// Mean and deviation of what it says of the pictures that were trained on.
    pub statistics: Statistics,
    /// The scales of the maps.
    pub scales: Scales,
    /// The weights of student and autoencoder.
    pub trained: Named,
    /// The good pictures: those that were trained on, then those that were kept, each in the order of their names.
    pub pictures: Vec<Seen>,
    /// How many of them were kept.
    pub validation: usize,
    /// The score of each that was kept.
    pub scores: Vec<f64>,
    /// The largest value of each one's anomaly map.
    pub peaks: Vec<f64>,
    /// Pictures that were given and left out: copies of others.
    pub left_out: Vec<LeftOut>,
    /// How the limits follow from `scores` and `peaks`.
    pub limit_rule: LimitRule,
    /// How the training ended, where it might have ended early.
    pub ended: Option<End>,
}

/// How a training ended, its checks aside.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ended {
    step: u64,
    early: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Facts {
    method: String,
    lupe_version: String,
    config: Config,
    backbone: String,
    backbone_sha256: String,
    backbone_embedded: bool,
    pictures: Vec<Seen>,
    validation: usize,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    left_out: Vec<LeftOut>,
    limit_rule: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ended: Option<Ended>,
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

    /// The pictures that were kept.
    pub fn kept(&self) -> &[Seen] {
        self.pictures.get(self.pictures.len().saturating_sub(self.validation)..).unwrap_or_default()
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
        let facts = json!(Facts {
            method: super::METHOD.name.into(),
            lupe_version: env!("CARGO_PKG_VERSION").into(),
            config: self.config.clone(),
            backbone: self.backbone.name.clone(),
            backbone_sha256: self.backbone.sha256.clone(),
            backbone_embedded: self.backbone.weights.is_some(),
            pictures: self.pictures.clone(),
            validation: self.validation,
            left_out: self.left_out.clone(),
            limit_rule: self.limit_rule.to_string(),
            ended: self.ended.as_ref().map(|end| Ended { step: end.step, early: end.early }),
            format_version: container::FORMAT,
        });
        let Value::Object(facts) = facts else { return Err(Error::Output("the facts are not an object".into())) };
        let row = |values: &Vec<f64>| Stored::doubles(vec![values.len()], values);
        let mut tensors = BTreeMap::from([
            ("train.score".to_string(), row(&self.scores)),
            ("train.peak".to_string(), row(&self.peaks)),
            ("scales".to_string(), Stored::doubles(vec![2, 2], &self.scales.numbers())),
            ("statistics.mean".to_string(), row(&self.statistics.mean)),
            ("statistics.std".to_string(), row(&self.statistics.std)),
        ]);
        if let Some(Checks(checks)) = self.ended.as_ref().map(|end| &end.checks) {
            let rows: Vec<f64> = checks.iter().flat_map(|c| [c.0 as f64, c.1]).collect();
            tensors.insert(CHECKS.into(), Stored::doubles(vec![checks.len(), 2], &rows));
        }
        tensors.extend(self.trained.iter().map(|(name, t)| (name.clone(), Stored::floats(t, false))));
        tensors.extend(self.backbone.stored());
        container::write(facts, &tensors)
    }

    /// Reads a file; `origin` is what messages call it.
    ///
    /// # Errors
    /// [`Error::Weights`] if it is not such a model, has a newer format, is damaged, or contradicts itself.
    pub fn from_bytes(bytes: &[u8], origin: &str) -> Result<ModelFile> {
        let fail = |what: String| Error::Weights(vec![format!("{origin}: {what}")]);
        let (facts, mut tensors) = container::read(bytes, origin)?;
        let facts: Facts = container::parsed(facts, super::METHOD.name, "an EfficientAD model").map_err(&fail)?;
        let mut row = |name: &str| container::take(&mut tensors, name, Dtype::F64).map(|t| t.numbers().collect());
        let [scores, peaks] = [row("train.score"), row("train.peak")];
        let [mean, std] = [row("statistics.mean"), row("statistics.std")];
        let scales: Found<Vec<f64>> = row("scales");
        let ended = facts.ended.map(|Ended { step, early }| {
            let rows: Vec<f64> = row(CHECKS)?;
            let checks = Checks(rows.as_chunks().0.iter().map(|[step, loss]| (*step as u64, *loss)).collect());
            Ok(End { step, early, checks })
        });
        let weights = facts.backbone_embedded.then(|| Backbone::weights_of(&tensors));
        let ours = |name: &str| [STUDENT, AUTOENCODER].iter().any(|part| name.split('.').next() == Some(part));
        let trained = tensors.iter().filter(|(name, _)| ours(name));
        let trained = trained.map(|(name, t)| Some((name.clone(), Arc::new(t.tensor()?)))).collect::<Option<Named>>();
        let model = ModelFile {
            config: facts.config,
            backbone: Backbone { name: facts.backbone, sha256: facts.backbone_sha256, weights },
            statistics: Statistics { mean: mean.map_err(&fail)?, std: std.map_err(&fail)? },
            scales: Scales::of(&scales.map_err(&fail)?).ok_or_else(|| fail("has no scales of its maps".into()))?,
            trained: trained.ok_or_else(|| fail("has a weight that is no weight of a network".into()))?,
            pictures: facts.pictures,
            validation: facts.validation,
            scores: scores.map_err(&fail)?,
            peaks: peaks.map_err(&fail)?,
            left_out: facts.left_out,
            limit_rule: facts.limit_rule.parse().map_err(&fail)?,
            ended: ended.transpose().map_err(&fail)?,
        };
        model.check().map_err(fail)?;
        Ok(model)
    }

    /// Whether the pieces agree: later code relies on what the file claims.
    fn check(&self) -> Found<()> {
        self.config.check().map_err(|e| e.to_string())?;
        if self.backbone.name != self.config.size.network() {
            return Err(format!("its teacher is {}, but its choices are not", self.backbone.name));
        }
        let channels = self.config.networks().channels();
        if [self.statistics.mean.len(), self.statistics.std.len()] != [channels; 2] {
            return Err(format!(
                "it has statistics of {} outputs, its teacher has {channels}",
                self.statistics.mean.len()
            ));
        }
        if self.validation == 0 || self.validation >= self.pictures.len() {
            return Err(format!("of its {} pictures {} were kept", self.pictures.len(), self.validation));
        }
        for scores in [&self.scores, &self.peaks] {
            if scores.len() != self.validation {
                return Err(format!("it has {} scores for {} pictures", scores.len(), self.validation));
            }
        }
        let checked =
            |end: &End| end.step <= self.config.steps && end.checks.best().is_some_and(|best| best.0 <= end.step);
        if self.ended.is_some() != self.config.patience.is_some() || !self.ended.iter().all(checked) {
            return Err("how its training ended does not follow from its choices".into());
        }
        if self.backbone.is_own() { Ok(()) } else { Err("its teacher is not the one it names".into()) }
    }
}
