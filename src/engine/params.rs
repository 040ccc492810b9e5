//! Weights that are trained: states, whose heads networks read like any other weight.

use super::gpu::Gpu;
use super::graph::{Graph, Var};
use super::plan::Store;
use super::requested::Named;
use crate::error::Result;
use crate::tensor::{Shape, Tensor};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A weight that is trained. Its state is `[1 + slots, n]`: the weight's elements first, then what an optimiser keeps of each.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// The state before the first run.
    pub began: Arc<Tensor>,
    /// Shape of the weight.
    pub shape: Shape,
}

/// Weights that are trained, by name; graphs that are built on the same ones share their states in a store.
#[derive(Clone, Debug, Default)]
pub struct Parameters(BTreeMap<String, Parameter>);

/// A weight that is trained, in a graph.
#[derive(Clone, Debug)]
pub struct Trained<'g> {
    /// Its name.
    pub name: String,
    /// The weight, as networks read it: what gradients are taken by.
    pub value: Var<'g>,
    /// The state that it is the head of: what optimisers replace.
    pub state: Var<'g>,
}

impl Parameters {
    /// Those of `named` that `trained` says, with `slots` elements, zeros at first, for each of theirs.
    pub fn new(named: &Named, slots: usize, trained: impl Fn(&str) -> bool) -> Parameters {
        let state = |t: &Arc<Tensor>| {
            let mut data = t.data.clone();
            data.resize((1 + slots) * t.data.len(), 0.0);
            let began = Arc::new(Tensor::new([1 + slots, t.data.len()], data));
            Parameter { began, shape: t.shape }
        };
        let chosen = named.iter().filter(|(name, t)| trained(name) && !t.shape.is_empty());
        Parameters(chosen.map(|(name, t)| (name.clone(), state(t))).collect())
    }

    /// The one of that name.
    pub fn get(&self, name: &str) -> Option<&Parameter> {
        self.0.get(name)
    }

    /// All, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Parameter)> {
        self.0.iter().map(|(name, p)| (name.as_str(), p))
    }

    /// Puts every one of them back to where it began.
    ///
    /// # Errors
    /// As [`Store::write`].
    pub fn restart(&self, gpu: &Gpu, store: &Store) -> Result<()> {
        self.0.values().try_for_each(|p| store.write(gpu, &p.began, &p.began))
    }

    /// All of them in a graph, by name.
    pub fn in_graph<'g>(&self, graph: &'g Graph) -> Vec<Trained<'g>> {
        self.iter().for_each(|(name, p)| {
            graph.parameter(name, p);
        });
        graph.trained()
    }

    /// The weights as they are now in `store`, once all submitted runs are done.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub fn weights(&self, gpu: &Gpu, store: &Store) -> Result<Named> {
        let one = |(name, p): (&String, &Parameter)| {
            let mut state = store.read(gpu, std::slice::from_ref(&p.began))?.swap_remove(0);
            state.data.truncate(p.shape.len());
            Ok((name.clone(), Arc::new(Tensor::new(p.shape, state.data))))
        };
        self.0.iter().map(one).collect()
    }
}

impl Graph {
    /// The weight of a parameter: one value, however often it is asked for.
    pub(super) fn parameter(&self, name: &str, parameter: &Parameter) -> Var<'_> {
        if let Some(&(value, _)) = self.trained.borrow().get(name) {
            return self.var(value);
        }
        let state = self.state(name, &parameter.began);
        let value = state.view("weight", Ok(parameter.shape), 0, None);
        self.trained.borrow_mut().insert(name.into(), (value.id(), state.id()));
        value
    }

    /// The parameters that were asked for so far, by name.
    pub fn trained(&self) -> Vec<Trained<'_>> {
        let trained = self.trained.borrow();
        let one = |(name, &(value, state)): (&String, &(usize, usize))| Trained {
            name: name.clone(),
            value: self.var(value),
            state: self.var(state),
        };
        trained.iter().map(one).collect()
    }
}
