//! A fitted classifier as its file stores it: the last layer, the network, what was trained on, and every choice made.

use super::Config;
use super::config::Layers;
use crate::error::{Error, Result};
use crate::methods::backbone::Backbone;
use crate::methods::fitted::{LeftOut, Seen};
use crate::tensor::Tensor;
use crate::weights::container::{self, Stored};
use safetensors::Dtype;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What a file contains.
#[derive(Clone, Debug)]
pub struct ModelFile {
    /// Every choice.
    pub config: Config,
    /// The network; where all of it was trained, with its weights after that.
    pub backbone: Backbone,
    /// The last layer's weight, `[classes, values]`.
    pub weight: Tensor,
    /// Its bias, `[classes]`.
    pub bias: Tensor,
    /// The classes, in bytewise order: that of the logits.
    pub classes: Vec<Part>,
    /// Pictures that were trained on, then those that were kept, each in the order of classes and names.
    pub pictures: Vec<Seen>,
    /// How the training went.
    pub learned: Learned,
    /// Pictures that were given and left out: copies of others.
    pub left_out: Vec<LeftOut>,
    /// The largest score that is not called defective, where one was stated.
    pub limit: Option<f64>,
}

/// A class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// Pictures that were trained on.
    pub pictures: usize,
    /// Pictures that were kept.
    pub kept: usize,
}

/// How a training went.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Learned {
    /// Steps that were done.
    pub steps: u64,
    /// Steps that were to be done.
    pub of: u64,
    /// What the kept pictures said of these weights; null without such pictures.
    pub validation: Option<Figures>,
}

/// What the kept pictures say of the weights.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figures {
    /// Steps after which they were taken.
    pub step: u64,
    /// Their mean loss; of balanced classes the mean of their means.
    pub loss: f64,
    /// The share of them that were called what they are.
    pub accuracy: f64,
    /// The mean of these shares over the classes.
    pub balanced_accuracy: f64,
    /// The accuracy of always saying the class that has most of them.
    pub majority: f64,
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
    classes: Vec<Part>,
    pictures: Vec<Seen>,
    learned: Learned,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    left_out: Vec<LeftOut>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    limit: Option<f64>,
    format_version: u64,
}

/// The name of the method.
pub(super) const METHOD: &str = "classifier";

/// The last layer's weights in a file.
const WEIGHT: &str = "fc.weight";
const BIAS: &str = "fc.bias";

impl ModelFile {
    /// How many pictures were kept.
    pub fn kept(&self) -> usize {
        self.classes.iter().map(|c| c.kept).sum()
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
            backbone: self.backbone.name.clone(),
            backbone_sha256: self.backbone.sha256.clone(),
            backbone_embedded: self.backbone.weights.is_some(),
            classes: self.classes.clone(),
            pictures: self.pictures.clone(),
            learned: self.learned,
            left_out: self.left_out.clone(),
            limit: self.limit,
            format_version: container::FORMAT,
        });
        let Value::Object(facts) = facts else { return Err(Error::Output("the facts are not an object".into())) };
        let head = [(WEIGHT, &self.weight), (BIAS, &self.bias)];
        let mut tensors: BTreeMap<String, Stored> =
            head.map(|(name, t)| (name.to_string(), Stored::floats(t, false))).into();
        tensors.extend(self.backbone.stored());
        container::write(facts, &tensors)
    }

    /// Reads a file; `origin` is what messages call it.
    ///
    /// # Errors
    /// [`Error::Weights`] if it is no classifier, has a newer format, is damaged, or contradicts itself.
    pub fn from_bytes(bytes: &[u8], origin: &str) -> Result<ModelFile> {
        let fail = |what: String| Error::Weights(vec![format!("{origin}: {what}")]);
        let (facts, mut tensors) = container::read(bytes, origin)?;
        let facts: Facts = container::parsed(facts, METHOD, "a classifier").map_err(&fail)?;
        let mut take = |name: &str| {
            let found = container::take(&mut tensors, name, Dtype::F32).map_err(&fail)?;
            found.tensor().ok_or_else(|| fail(format!("tensor {name} has too many axes")))
        };
        let model = ModelFile {
            weight: take(WEIGHT)?,
            bias: take(BIAS)?,
            backbone: Backbone {
                name: facts.backbone,
                sha256: facts.backbone_sha256,
                weights: facts.backbone_embedded.then(|| Backbone::weights_of(&tensors)),
            },
            config: facts.config,
            classes: facts.classes,
            pictures: facts.pictures,
            learned: facts.learned,
            left_out: facts.left_out,
            limit: facts.limit,
        };
        model.check().map_err(fail)?;
        Ok(model)
    }

    /// Whether the pieces agree: later code counts on what the file claims.
    fn check(&self) -> std::result::Result<(), String> {
        self.config.check().map_err(|e| e.to_string())?;
        let n = self.classes.len();
        if n < 2 || self.classes.iter().any(|c| c.pictures == 0) {
            return Err("expected two classes or more, each with pictures".into());
        }
        if !self.classes.is_sorted_by(|a, b| a.name < b.name) {
            return Err("its classes are out of order, or listed twice".into());
        }
        let all = self.classes.iter().try_fold(0usize, |all, c| all.checked_add(c.pictures)?.checked_add(c.kept));
        if all != Some(self.pictures.len()) {
            return Err(format!("lists {} pictures, which are not those of its classes", self.pictures.len()));
        }
        let shaped = self.weight.shape.rank() == 2 && self.weight.shape.dim(0) == n && self.weight.shape.dim(1) > 0;
        if !shaped || self.bias.shape.dims() != [n] {
            return Err(format!("its last layer is none of {n} classes"));
        }
        if self.learned.validation.is_some() != (self.kept() > 0) {
            return Err("its figures are not those of the pictures that were kept".into());
        }
        if self.config.layers == Layers::All && self.backbone.weights.is_none() {
            return Err("its network was trained, and is not in it".into());
        }
        if self.backbone.is_own() { Ok(()) } else { Err("its backbone is not the one it names".into()) }
    }
}
