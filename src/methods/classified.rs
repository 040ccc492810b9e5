//! What an evaluation counts of a method that classifies: which class was said of pictures of which label.

use super::fitted::{Finding, Fitted};
use super::metrics::Confusion;
use crate::data::dataset::{GOOD, Sample};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Classes, and what was said of pictures with a label.
pub(super) struct Classified<'m> {
    names: &'m [String],
    confusion: Confusion,
    /// Pictures with labels that are none of the classes.
    others: BTreeMap<String, usize>,
}

impl<'m> Classified<'m> {
    /// For a model's classes; `None` if it does not classify.
    pub fn new(fitted: &'m dyn Fitted) -> Option<Classified<'m>> {
        let names = fitted.classes();
        let (confusion, others) = (Confusion::new(names.len()), BTreeMap::new());
        (!names.is_empty()).then_some(Classified { names, confusion, others })
    }

    /// Whether the model has a class of good pictures, so that its scores say how defective a picture is.
    pub fn knows_good(&self) -> bool {
        self.number(GOOD).is_some()
    }

    fn number(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|n| n == name)
    }

    /// The class of a label: of that name or, where there is one class beside `good`, that one for every kind of defect.
    fn class_of(&self, label: &str) -> Option<usize> {
        self.number(label).or_else(|| match (self.names, self.number(GOOD)) {
            ([_, _], Some(good)) if label != GOOD => Some(1 - good),
            _ => None,
        })
    }

    /// Counts a picture.
    pub fn add(&mut self, sample: &Sample, found: &Finding) {
        let said = found.label.as_deref().and_then(|label| self.number(label));
        match self.class_of(&sample.label).zip(said) {
            Some((is, said)) => self.confusion.add(is, said),
            None => *self.others.entry(sample.label.clone()).or_default() += 1,
        }
    }

    /// The section `classes` of the metrics.
    pub fn json(&self) -> Value {
        let by_name = |values: Vec<Value>| self.names.iter().cloned().zip(values).collect::<Map<String, Value>>();
        let list = |values: &[usize]| values.iter().map(|n| json!(n)).collect::<Vec<_>>();
        let rows = self.confusion.rows().iter().map(|row| by_name(list(row)).into()).collect();
        json!({
            "accuracy": self.confusion.accuracy(),
            "balanced_accuracy": self.confusion.balanced_accuracy(),
            "majority": self.confusion.majority(),
            "recall": by_name(self.confusion.recalls().into_iter().map(|r| json!(r)).collect()),
            "confusion": by_name(rows),
            "pictures": by_name(list(&self.confusion.pictures())),
            "other_labels": self.others,
        })
    }
}
