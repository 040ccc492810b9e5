//! Names to weights: a model asks its scope for each weight by the checkpoint's key and shape; the graph keeps what was requested.

use super::graph::{Graph, Var};
use super::params::Parameters;
use super::requested::{Named, Problem};
use crate::tensor::{Shape, Tensor};
use std::sync::Arc;

/// A place among named weights.
#[derive(Clone, Debug)]
pub struct Scope<'g, 'w> {
    graph: &'g Graph,
    named: &'w Named,
    trained: Option<&'w Parameters>,
    path: String,
}

impl<'g, 'w> Scope<'g, 'w> {
    /// The root of `named`.
    pub fn new(graph: &'g Graph, named: &'w Named) -> Scope<'g, 'w> {
        Scope { graph, named, trained: None, path: String::new() }
    }

    /// This place, where those of its weights that `trained` has are parameters.
    pub fn training(self, trained: &'w Parameters) -> Scope<'g, 'w> {
        Scope { trained: Some(trained), ..self }
    }

    /// The place `name` below this one.
    pub fn at(&self, name: &str) -> Scope<'g, 'w> {
        Scope { path: self.join(name), ..self.clone() }
    }

    fn join(&self, name: &str) -> String {
        if self.path.is_empty() { name.into() } else { format!("{}.{name}", self.path) }
    }

    /// Whether a weight of that name exists here.
    pub fn has(&self, name: &str) -> bool {
        self.named.contains_key(&self.join(name))
    }

    /// Whether a part that may be absent, such as a head, is there: its weight `name` is, or there are no weights at all and all that a
    /// network may have is asked for.
    pub fn offers(&self, name: &str) -> bool {
        self.has(name) || self.named.is_empty()
    }

    /// Shape of the weight `name`, if it exists here.
    pub fn shape(&self, name: &str) -> Option<Shape> {
        self.named.get(&self.join(name)).map(|t| t.shape)
    }

    /// The weight `name` of this shape. Never fails: [`Requested`](super::Requested) keeps what is missing or misshapen.
    pub fn param(&self, name: &str, shape: impl Into<Shape>) -> Var<'g> {
        let (key, shape, requested) = (self.join(name), shape.into(), self.graph.requested());
        let problem = match self.named.get(&key) {
            Some(t) if t.shape == shape => {
                requested.used.borrow_mut().insert(key.clone());
                return match self.trained.and_then(|p| p.get(&key)) {
                    Some(parameter) => self.graph.parameter(&key, parameter),
                    None => self.graph.weight(&key, t.clone()),
                };
            }
            Some(t) => Problem::Misshapen { name: key.clone(), shape: t.shape, wanted: shape },
            None => Problem::Missing { name: key.clone(), wanted: shape },
        };
        requested.used.borrow_mut().insert(key.clone());
        requested.problems.borrow_mut().push(problem);
        self.graph.weight(&key, Arc::new(Tensor::zeros(shape)))
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
        let graph = Graph::new();
        let root = Scope::new(&graph, &named);
        root.at("a").param("weight", [2]);
        root.at("b").param("weight", [4]);
        root.at("d").param("weight", [5]);
        let text = graph.requested().check("file", &named, &[]).unwrap_err().to_string();
        for want in ["b.weight has shape [3]", "d.weight [5] is missing", "c.weight is not part"] {
            assert!(text.contains(want), "{text}");
        }
        assert!(!text.contains("a.weight"));
        assert!(!graph.requested().check("file", &named, &["c."]).unwrap_err().to_string().contains("c.weight"));
    }
}
