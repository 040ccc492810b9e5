//! Fitted prototypes as their file stores them: sums of vectors, so that more pictures can be added, and every choice made.

use super::Config;
use super::head::{Prototypes, Sums, pooled_trace};
use crate::error::{Error, Result};
use crate::methods::backbone::Backbone;
use crate::methods::fitted::{LeftOut, Seen};
use crate::tensor::{Shape, Tensor};
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
    /// Backbone.
    pub backbone: Backbone,
    /// Values of a vector.
    pub dim: usize,
    /// What is kept of the vectors of each class.
    pub classes: BTreeMap<String, Sums>,
    /// Pictures that it was fitted on: those of the first class in the order of their names, then those of the second, and so on.
    pub pictures: Vec<Seen>,
    /// Their vectors `[n, d]`, in the same order, where a centre is to be subtracted: it moves when pictures are added.
    pub support: Option<Tensor>,
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
    backbone: String,
    backbone_sha256: String,
    backbone_embedded: bool,
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
pub(super) const METHOD: &str = "prototype";

impl ModelFile {
    /// The trace of the covariance within classes, pooled; `None` where every class has one picture.
    pub fn trace(&self) -> Option<f64> {
        pooled_trace(&self.classes.values().cloned().collect::<Vec<_>>())
    }

    /// The pictures of each class with their numbers among all, in the order of the classes.
    pub fn pictures_by_class(&self) -> impl Iterator<Item = (&str, &Seen)> {
        let names = self.classes.iter().flat_map(|(name, sums)| std::iter::repeat_n(name.as_str(), sums.count));
        names.zip(&self.pictures)
    }

    /// The prototypes, in the order of the classes.
    ///
    /// # Errors
    /// As [`Prototypes::new`].
    pub fn prototypes(&self) -> Result<Prototypes> {
        let head = &self.config.head;
        let Some(support) = self.support.as_ref().filter(|_| head.center) else {
            return Prototypes::of_sums(head, &self.classes.values().cloned().collect::<Vec<_>>());
        };
        let mut rows = support.data.chunks_exact(self.dim.max(1));
        let classes: Vec<Vec<&[f32]>> = self.classes.values().map(|c| rows.by_ref().take(c.count).collect()).collect();
        Prototypes::new(head, &classes)
    }

    /// The file.
    ///
    /// # Errors
    /// [`Error::Output`] if the pieces disagree: a bug.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let class = |(name, sums): (&String, &Sums)| Class { name: name.clone(), pictures: sums.count };
        let facts = json!(Facts {
            method: METHOD.into(),
            lupe_version: env!("CARGO_PKG_VERSION").into(),
            config: self.config.clone(),
            backbone: self.backbone.name.clone(),
            backbone_sha256: self.backbone.sha256.clone(),
            backbone_embedded: self.backbone.weights.is_some(),
            classes: self.classes.iter().map(class).collect(),
            pictures: self.pictures.clone(),
            left_out: self.left_out.clone(),
            limit: self.limit,
            format_version: container::FORMAT,
        });
        let Value::Object(facts) = facts else { return Err(Error::Output("the facts are not an object".into())) };
        let (classes, sums) = (self.classes.len(), || self.classes.values());
        let mut tensors = BTreeMap::from([
            ("class.sum".to_string(), Stored::doubles(vec![classes, self.dim], sums().flat_map(|c| &c.sum))),
            ("class.squares".to_string(), Stored::doubles(vec![classes], sums().map(|c| &c.squares))),
        ]);
        tensors.extend(self.support.iter().map(|t| ("support".to_string(), Stored::floats(t, false))));
        tensors.extend(self.backbone.stored());
        container::write(facts, &tensors)
    }

    /// Reads a file; `origin` is what messages call it.
    ///
    /// # Errors
    /// [`Error::Weights`] if it holds no prototypes, has a newer format, is damaged, or contradicts itself.
    pub fn from_bytes(bytes: &[u8], origin: &str) -> Result<ModelFile> {
        let fail = |what: String| Error::Weights(vec![format!("{origin}: {what}")]);
        let (facts, mut tensors) = container::read(bytes, origin)?;
        let facts: Facts = container::parsed(facts, METHOD, "a model of prototypes").map_err(&fail)?;
        let mut take = |name: &str, rank: usize| match tensors.remove(name) {
            Some(t)
                if t.dtype == Dtype::F64 && t.shape.len() == rank && t.shape.first() == Some(&facts.classes.len()) =>
            {
                Ok(t)
            }
            Some(t) => Err(fail(format!("tensor {name} is {:?} {:?}, which it must not be", t.dtype, t.shape))),
            None => Err(fail(format!("tensor {name} is missing"))),
        };
        let (sum, squares) = (take("class.sum", 2)?, take("class.squares", 1)?);
        let dim = sum.shape.last().copied().unwrap_or_default();
        let mut sums = sum.numbers();
        let class = |(class, squares): (&Class, f64)| {
            let sum = sums.by_ref().take(dim).collect();
            (class.name.clone(), Sums { count: class.pictures, sum, squares })
        };
        let model = ModelFile {
            classes: facts.classes.iter().zip(squares.numbers()).map(class).collect(),
            support: tensors.remove("support").and_then(|t| t.tensor()),
            backbone: Backbone {
                name: facts.backbone,
                sha256: facts.backbone_sha256,
                weights: facts.backbone_embedded.then(|| Backbone::weights_of(&tensors)),
            },
            config: facts.config,
            dim,
            pictures: facts.pictures,
            left_out: facts.left_out,
            limit: facts.limit,
        };
        let sorted = facts.classes.is_sorted_by(|a, b| a.name < b.name);
        let checked = if sorted { model.check() } else { Err("its classes are out of order, or listed twice".into()) };
        checked.map_err(fail)?;
        Ok(model)
    }

    /// Whether the pieces agree: later code counts on what the file claims.
    fn check(&self) -> std::result::Result<(), String> {
        self.config.check().map_err(|e| e.to_string())?;
        let counts: Vec<usize> = self.classes.values().map(|c| c.count).collect();
        if counts.len() < 2 || counts.contains(&0) || self.dim == 0 {
            return Err("expected two classes or more, with pictures and values".into());
        }
        let listed = counts.iter().try_fold(0usize, |all, n| all.checked_add(*n));
        if listed != Some(self.pictures.len()) {
            return Err(format!("lists {} pictures, which are not those of its classes", self.pictures.len()));
        }
        let rows = Shape::from([self.pictures.len(), self.dim]);
        if self.support.as_ref().map(|t| t.shape) != self.config.head.center.then_some(rows) {
            return Err("the vectors of its pictures are missing, too many or misshapen".into());
        }
        self.prototypes().map_err(|e| e.to_string())?;
        if self.backbone.is_own() { Ok(()) } else { Err("its backbone is not the one it names".into()) }
    }
}
