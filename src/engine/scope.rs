//! Names to weights: a model asks its scope for each weight by the checkpoint's key and shape; problems are collected.

use super::graph::{Graph, Var};
use crate::error::{Error, Result};
use crate::tensor::{Shape, Tensor};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// Named tensors in the checkpoint's own layout.
pub type Named = BTreeMap<String, Arc<Tensor>>;

/// Where weights and a network disagree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The network wants a weight that is not there.
    Missing {
        /// Its name.
        name: String,
        /// The shape that is wanted.
        wanted: Shape,
    },
    /// A weight has another shape than the network wants.
    Misshapen {
        /// Its name.
        name: String,
        /// Its shape.
        shape: Shape,
        /// The shape that is wanted.
        wanted: Shape,
    },
    /// The network has no use for a weight.
    Foreign {
        /// Its name.
        name: String,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Problem::Missing { name, wanted } => write!(f, "{name} {wanted} is missing"),
            Problem::Misshapen { name, shape, wanted } => {
                write!(f, "{name} has shape {shape}, this network wants {wanted}")
            }
            Problem::Foreign { name } => write!(f, "{name} is not part of this network"),
        }
    }
}

/// What was asked of a set of weights so far.
#[derive(Debug, Default)]
pub struct Asked {
    used: RefCell<BTreeSet<String>>,
    problems: RefCell<Vec<Problem>>,
}

/// A place among named weights.
#[derive(Clone, Debug)]
pub struct Scope<'g> {
    graph: &'g Graph,
    named: &'g Named,
    asked: &'g Asked,
    path: String,
}

impl<'g> Scope<'g> {
    /// The root of `named`.
    pub fn new(graph: &'g Graph, named: &'g Named, asked: &'g Asked) -> Scope<'g> {
        Scope { graph, named, asked, path: String::new() }
    }

    /// The place `name` below this one.
    pub fn at(&self, name: &str) -> Scope<'g> {
        Scope { path: self.join(name), ..self.clone() }
    }

    fn join(&self, name: &str) -> String {
        if self.path.is_empty() { name.into() } else { format!("{}.{name}", self.path) }
    }

    /// Whether a weight of that name exists here.
    pub fn has(&self, name: &str) -> bool {
        self.named.contains_key(&self.join(name))
    }

    /// Shape of the weight `name`, if it exists here.
    pub fn shape(&self, name: &str) -> Option<Shape> {
        self.named.get(&self.join(name)).map(|t| t.shape)
    }

    /// The weight `name` of this shape. Never fails: what is missing or misshapen is reported by [`Asked::check`].
    pub fn param(&self, name: &str, shape: impl Into<Shape>) -> Var<'g> {
        let (key, shape) = (self.join(name), shape.into());
        let problem = match self.named.get(&key) {
            Some(t) if t.shape == shape => {
                self.asked.used.borrow_mut().insert(key.clone());
                return self.graph.weight(&key, t.clone());
            }
            Some(t) => Problem::Misshapen { name: key.clone(), shape: t.shape, wanted: shape },
            None => Problem::Missing { name: key.clone(), wanted: shape },
        };
        self.asked.used.borrow_mut().insert(key.clone());
        self.asked.problems.borrow_mut().push(problem);
        self.graph.weight(&key, Arc::new(Tensor::zeros(shape)))
    }
}

impl Asked {
    /// Number of different weights that were asked for.
    pub fn count(&self) -> usize {
        self.used.borrow().len()
    }

    /// All problems: missing and misshapen weights in the order in which they were asked for, then those of `named` that nobody asked
    /// for and that do not begin with one of `ignore`.
    pub fn problems(&self, named: &Named, ignore: &[&str]) -> Vec<Problem> {
        let used = self.used.borrow();
        let unused = named.keys().filter(|k| !used.contains(*k) && !ignore.iter().any(|i| k.starts_with(i)));
        let foreign = unused.map(|k| Problem::Foreign { name: k.clone() });
        self.problems.borrow().iter().cloned().chain(foreign).collect()
    }

    /// Whether there are no [`Asked::problems`].
    ///
    /// # Errors
    /// [`Error::Weights`] with all of them at once.
    pub fn check(&self, origin: &str, named: &Named, ignore: &[&str]) -> Result<()> {
        let problems = self.problems(named, ignore);
        if problems.is_empty() {
            return Ok(());
        }
        Err(Error::Weights(problems.into_iter().map(|p| format!("{origin}: {p}")).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_problems_are_listed_at_once() {
        let named: Named = [("a.weight", vec![2]), ("b.weight", vec![3]), ("c.weight", vec![1])]
            .map(|(k, s)| (k.to_string(), Arc::new(Tensor::zeros(Shape::new(&s)))))
            .into();
        let (graph, asked) = (Graph::new(), Asked::default());
        let root = Scope::new(&graph, &named, &asked);
        root.at("a").param("weight", [2]);
        root.at("b").param("weight", [4]);
        root.at("d").param("weight", [5]);
        let text = asked.check("file", &named, &[]).unwrap_err().to_string();
        for want in ["b.weight has shape [3]", "d.weight [5] is missing", "c.weight is not part"] {
            assert!(text.contains(want), "{text}");
        }
        assert!(!text.contains("a.weight"));
        assert!(!asked.check("file", &named, &["c."]).unwrap_err().to_string().contains("c.weight"));
    }
}
