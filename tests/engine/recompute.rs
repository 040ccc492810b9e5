//! Trainings that do not fit in memory with all of their forward pass: part of it is computed again, and the result is the same.
//! `LUPE_NO_GPU=1` leaves the device out visibly.

use crate::common::skip::without_device;
use crate::common::sweep::gpu;
use lupe::engine::{Graph, Named, Options, Parameters, Scope, Store};
use lupe::tensor::{Shape, Tensor};
use lupe::train::{Forward, Goal, Job, Learning, Rate, Rule, Trainer, forward};
use lupe::watch::Unwatched;
use lupe::{Error, Result};
use pollster::block_on;
use std::sync::Arc;

const LAYERS: usize = 20;

const EDGE: usize = 40;

const LEARNING: Learning =
    Learning { rule: Rule::Sgd { momentum: 0.9, decay: 0.0 }, rate: Rate::Constant(0.1), clip: None };

fn noise(name: &str, shape: impl Into<Shape>) -> Tensor {
    Tensor::from_fn(shape, |i| 2.0 * lupe::random::uniform(name, i as u64) as f32 - 1.0)
}

fn weights() -> Named {
    let layer = |i: usize| {
        let mut weight = noise(&format!("layer {i}"), [8, 8, 3, 3]);
        weight.data.iter_mut().for_each(|v| *v *= 0.2);
        (format!("layer{i}.weight"), Arc::new(weight))
    };
    (0..LAYERS).map(layer).collect()
}

/// Layers one after the other, every second one beside what came two layers before it; how far their result is from a picture.
fn goal<'g>(graph: &'g Graph, named: &Named, parameters: &Parameters) -> Result<Goal<'g>> {
    let p = Scope::new(graph, named).training(parameters);
    let mut x = graph.input("x", [2, EDGE, EDGE, 8]);
    let wanted = graph.input("wanted", [2, EDGE, EDGE, 8]);
    let mut before = x;
    for i in 0..LAYERS {
        let weight = p.at(&format!("layer{i}")).param("weight", [8, 8, 3, 3]);
        let y = x.conv2d(weight, 1, 1).gelu();
        x = if i % 2 == 1 { y + before } else { y };
        before = if i % 2 == 1 { x } else { before };
    }
    let loss = (x - wanted).square().mean().reshape([1, 2 * EDGE * EDGE]).mean();
    Ok(Goal { loss, told: vec![("loss", loss)] })
}

/// Three steps within so many bytes: segments, bytes that were needed, losses and weights.
fn train(limit: Option<u64>) -> Result<(usize, u64, Tensor, Named)> {
    let (named, store) = (weights(), Store::new());
    let parameters = Parameters::new(&named, LEARNING.rule.slots(), |_| true);
    let forward: Box<Forward<'_>> = forward(|graph| goal(graph, &named, &parameters));
    let options = Options { limit_memory: limit, ..Options::default() };
    let planned = Trainer::fitting(gpu(), &forward, (&store, &parameters), LEARNING, &options);
    let mut trainer = block_on(planned)?;
    let segments = trainer.segments();
    let mut inputs = |step: u64| {
        let pictures = ["x", "wanted"].map(|name| noise(&format!("{name} {step}"), [2, EDGE, EDGE, 8]));
        Ok(pictures.to_vec())
    };
    let watch = (&Unwatched as &dyn lupe::watch::Watch, "steps");
    trainer.run(Job { steps: 3, inputs: &mut inputs, heard: &mut |_, _| Ok(()), watch, saving: None })?;
    Ok((segments, trainer.plan().bytes(), trainer.losses(), parameters.weights(gpu(), &store)?))
}

#[test]
fn less_memory_gives_the_same_weights() {
    if without_device("trainings within a limit of memory") {
        return;
    }
    let (segments, whole, losses, weights) = train(None).unwrap();
    assert_eq!(segments, 1, "nothing is computed twice where there is room");
    let (mut limit, mut least) = (whole, whole);
    while let Ok((segments, bytes, fewer, same)) = train(Some(limit - 1)) {
        println!("{segments} segments: {bytes} bytes of {whole}");
        assert!(segments > 1 && bytes < limit, "{segments} segments, {bytes} bytes within {limit}");
        assert!(fewer == losses && same == weights, "{segments} segments: other bits");
        (limit, least) = (bytes, bytes);
    }
    assert!(5 * least < 3 * whole, "{least} of {whole} bytes are still needed");
    match train(Some(least - 1)) {
        Err(Error::Memory { need, have, .. }) => assert_eq!((need, have), (least, least - 1), "the least is told"),
        other => panic!("{:?}", other.map(|o| o.0)),
    }
}
