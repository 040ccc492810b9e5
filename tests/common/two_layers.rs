//! A training of two layers, a second of work, and one who interrupts it.
#![allow(dead_code)]

use lupe::engine::{Graph, Named, Parameters, Scope, Var};
use lupe::tensor::{Shape, Tensor};
use lupe::train::{Learning, Rate, Rule, Saving, learn};
use lupe::watch::Watch;
use lupe::{Error, Result};
use serde_json::Map;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

pub const ADAM: Learning = Learning {
    rule: Rule::Adam { betas: [0.9, 0.999], eps: 1e-8, decay: 0.0, decoupled: false },
    rate: Rate::Constant(0.01),
    clip: None,
};

pub fn noise(name: &str, shape: impl Into<Shape>) -> Tensor {
    Tensor::from_fn(shape, |i| 2.0 * lupe::random::uniform(name, i as u64) as f32 - 1.0)
}

/// Two layers of weights.
pub fn weights() -> Named {
    let all = [("a.weight", vec![16, 8]), ("a.bias", vec![16]), ("b.weight", vec![4, 16]), ("b.bias", vec![4])];
    all.map(|(name, s)| (name.to_string(), Arc::new(noise(name, Shape::new(&s))))).into()
}

/// What the layers make of rows `[n, 8]`.
pub fn network<'g>(x: Var<'g>, p: &Scope<'g, '_>) -> Var<'g> {
    let layer = |x: Var<'g>, name: &str, n: usize| {
        let p = p.at(name);
        x.matmul_t(p.param("weight", [n, x.dim(1)])) + p.param("bias", [n])
    };
    layer(layer(x, "a", 16).relu(), "b", 4)
}

/// The graph of a step on rows and what they should become; its loss.
pub fn step<'g>(graph: &'g Graph, named: &Named, parameters: &Parameters, learning: &Learning) -> Var<'g> {
    let (x, t) = (graph.input("x", [32, 8]), graph.input("t", [32, 4]));
    let y = network(x, &Scope::new(graph, named).training(parameters));
    let loss = (y - t).square().reshape([1, 128]).mean();
    learn(loss, learning);
    loss
}

/// Rows of a step, and what they should become: a rule that two layers can learn.
pub fn rows(step: u64) -> Vec<Tensor> {
    let x = noise(&format!("rows {step}"), [32, 8]);
    let t = Tensor::from_fn([32, 4], |i| (x.data[i / 4 * 8 + i % 4] - x.data[i / 4 * 8 + i % 4 + 4]).max(0.0));
    vec![x, t]
}

pub fn saving(path: &Path, every: u64) -> Saving<'_> {
    Saving { path, every, choices: Map::new() }
}

/// Interrupts after so many questions.
pub struct Stop(pub AtomicUsize);

impl Watch for Stop {
    fn say(&self, _: &str) {}
    fn progress(&self, _: &'static str, _: usize, _: usize) {}
    fn left_by_interrupt(&self, _: &str) {}
    fn go_on(&self) -> Result<()> {
        match self.0.fetch_sub(1, Ordering::Relaxed) {
            1 => Err(Error::Interrupted("the test".into())),
            _ => Ok(()),
        }
    }
}
