//! A fitted CAML as its file stores it: the features of its support, and which encoder and checkpoint they go with. Neither is in the
//! file: a checkpoint has up to 2 GB, and many models share it.

use super::Config;
use crate::error::{Error, Result};
use crate::methods::backbone::Backbone;
use crate::methods::fitted::{LeftOut, Seen};
use crate::models::caml::{Caml, Checkpoint};
use crate::tensor::Tensor;
use crate::weights::container::{self, Stored};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// The checkpoint that a model was fitted with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// What its file was called, so that it can be found again.
    pub file: String,
    /// Hash of its weights: [`Weights::sha256`](crate::weights::Weights::sha256).
    pub sha256: String,
    /// Its sizes.
    pub sizes: Caml,
}

impl Origin {
    /// Of a checkpoint that was read from a file.
    pub fn new(checkpoint: &Checkpoint, path: &Path) -> Origin {
        let file = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        Origin { file, sha256: checkpoint.weights.sha256(), sizes: checkpoint.caml }
    }
}

/// What a file contains.
#[derive(Clone, Debug)]
pub struct ModelFile {
    /// Every choice.
    pub config: Config,
    /// The encoder.
    pub encoder: Backbone,
    /// The checkpoint.
    pub checkpoint: Origin,
    /// The classes in the order of their labels, bytewise by name, each with its number of pictures.
    pub classes: Vec<(String, usize)>,
    /// Pictures of the support: those of the first class in the order of their names, then those of the second, and so on.
    pub pictures: Vec<Seen>,
    /// Their features `[n, f]`, in the same order.
    pub support: Tensor,
    /// Pictures that were given and left out: copies of others.
    pub left_out: Vec<LeftOut>,
    /// The largest score that is not called defective, where one was stated.
    pub limit: Option<f64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Facts {
    method: String,
    lupe_version: String,
    config: Config,
    encoder: String,
    encoder_sha256: String,
    checkpoint: Origin,
    classes: Vec<Class>,
    pictures: Vec<Seen>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    left_out: Vec<LeftOut>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    limit: Option<f64>,
    format_version: u64,
}

/// A class as the facts list it.
#[derive(Serialize, Deserialize)]
struct Class {
    name: String,
    pictures: usize,
}

/// The name of the method.
pub(super) const METHOD: &str = "caml";

impl ModelFile {
    /// The number of each picture's class.
    pub fn labels(&self) -> Vec<usize> {
        self.classes.iter().enumerate().flat_map(|(i, (_, n))| std::iter::repeat_n(i, *n)).collect()
    }

    /// Each picture's feature.
    pub fn features(&self) -> Vec<&[f32]> {
        self.support.data.chunks_exact(self.checkpoint.sizes.features.max(1)).collect()
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
            encoder: self.encoder.name.clone(),
            encoder_sha256: self.encoder.sha256.clone(),
            checkpoint: self.checkpoint.clone(),
            classes: self.classes.iter().map(|(name, n)| Class { name: name.clone(), pictures: *n }).collect(),
            pictures: self.pictures.clone(),
            left_out: self.left_out.clone(),
            limit: self.limit,
            format_version: container::FORMAT,
        });
        let Value::Object(facts) = facts else { return Err(Error::Output("the facts are not an object".into())) };
        container::write(facts, &BTreeMap::from([("support".to_string(), Stored::floats(&self.support, false))]))
    }

    /// Reads a file; `origin` is what messages call it.
    ///
    /// # Errors
    /// [`Error::Weights`] if it holds no CAML, has a newer format, is damaged, or contradicts itself.
    pub fn from_bytes(bytes: &[u8], origin: &str) -> Result<ModelFile> {
        let fail = |what: String| Error::Weights(vec![format!("{origin}: {what}")]);
        let (facts, mut tensors) = container::read(bytes, origin)?;
        let facts: Facts = container::parsed(facts, METHOD, "a model of CAML").map_err(&fail)?;
        let support = tensors.remove("support").and_then(|t| t.tensor());
        let support = support.ok_or_else(|| fail("tensor support is missing, or of another type".into()))?;
        let model = ModelFile {
            config: facts.config,
            encoder: Backbone { name: facts.encoder, sha256: facts.encoder_sha256, weights: None },
            checkpoint: facts.checkpoint,
            classes: facts.classes.into_iter().map(|c| (c.name, c.pictures)).collect(),
            pictures: facts.pictures,
            support,
            left_out: facts.left_out,
            limit: facts.limit,
        };
        model.check().map_err(fail)?;
        Ok(model)
    }

    /// Whether the pieces agree: later code counts on what the file claims.
    fn check(&self) -> std::result::Result<(), String> {
        self.config.check().and(self.checkpoint.sizes.check()).map_err(|e| e.to_string())?;
        let counts: Vec<usize> = self.classes.iter().map(|c| c.1).collect();
        if counts.len() < 2 || counts.contains(&0) {
            return Err("expected two classes or more, with pictures".into());
        }
        if !self.classes.is_sorted_by(|a, b| a.0 < b.0) {
            return Err("its classes are out of order, or listed twice".into());
        }
        let listed = counts.iter().try_fold(0usize, |all, n| all.checked_add(*n));
        let n = self.pictures.len();
        if listed != Some(n) || self.support.shape.dims() != [n, self.checkpoint.sizes.features] {
            return Err(format!("lists {n} pictures, which are not those of its classes or have other features"));
        }
        Ok(())
    }
}
