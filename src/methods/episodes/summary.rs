//! What many episodes say together.

use super::{Class, Measured};
use crate::methods::metrics::Spread;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// What the episodes of one number of shots say.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Pictures of each class in the support.
    pub shots: usize,
    /// Share of queries that were called what they are.
    pub accuracy: Option<Spread>,
    /// Mean recall of the classes.
    pub balanced_accuracy: Option<Spread>,
    /// Accuracy of calling every query the class that most of them have.
    pub majority: Option<Spread>,
    /// Accuracy of guessing: one through the number of classes of an episode.
    pub chance: f64,
    /// Area under the ROC curve of the odds against `good`, where there is such a class.
    pub auroc: Option<Spread>,
    /// Recall of each class of the pool, over the episodes in which it takes part.
    pub recalls: Vec<Recall>,
}

/// Recall of a class: of its queries the share that was called it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Recall {
    /// Number of the class in the pool.
    pub class: usize,
    /// The recall.
    pub recall: Option<Spread>,
}

impl Summary {
    pub(super) fn of(shots: usize, classes: usize, episodes: &[Measured]) -> Summary {
        let spread = |value: &dyn Fn(&Measured) -> Option<f64>| {
            Spread::of(&episodes.iter().filter_map(value).collect::<Vec<_>>())
        };
        let recall = |class: usize| {
            let of = |measured: &Measured| {
                let at = measured.classes.iter().position(|c| *c == class)?;
                *measured.confusion.recalls().get(at)?
            };
            Recall { class, recall: Spread::of(&episodes.iter().filter_map(of).collect::<Vec<_>>()) }
        };
        let ways = episodes.first().map_or(classes, |m| m.classes.len());
        Summary {
            shots,
            accuracy: spread(&|m| m.confusion.accuracy()),
            balanced_accuracy: spread(&|m| m.confusion.balanced_accuracy()),
            majority: spread(&|m| m.confusion.majority()),
            chance: 1.0 / ways.max(1) as f64,
            auroc: spread(&|m| m.auroc),
            recalls: (0..classes).map(recall).collect(),
        }
    }

    /// For programs: all of it, recalls by the names of the pool's classes.
    pub fn json(&self, classes: &[Class]) -> Value {
        let recall = |(class, r): (&Class, &Recall)| (class.name.clone(), json!(r.recall));
        let recalls: Map<String, Value> = classes.iter().zip(&self.recalls).map(recall).collect();
        let mut all = json!(self);
        all.as_object_mut().into_iter().for_each(|all| drop(all.insert("recalls".into(), recalls.clone().into())));
        all
    }
}
