//! Gradients of random graphs: by the references against differences of the loss, and on the device against those of the references; by
//! inputs, by weights, by all and by one. `LUPE_NO_GPU=1` leaves the device out visibly.
//!
//! An op joins by a line in `common/trained.rs`.

use crate::common::skip::without_device;
use crate::common::sweep::gpu;
use crate::common::trained::{Built, Recipe, STEPS, built, recipes, ruled};
use lupe::engine::graph::live;
use lupe::engine::{Graph, Options, Plan, Store, gradients, gradients_in};
use lupe::tensor::Tensor;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

const GRAPHS: u32 = 200;

/// Holds so many random graphs to `hold`, the same ones every time; those whose numbers run away do not count.
fn all(hold: impl Fn(&Recipe) -> Result<(), TestCaseError>) {
    let config = Config { cases: GRAPHS, failure_persistence: None, max_global_rejects: GRAPHS, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    runner.run(&recipes(), |recipe| hold(&recipe)).unwrap_or_else(|e| panic!("{e}"));
}

/// Loss and gradients by the references.
fn by_references(built: &Built, wrt: usize) -> Vec<Tensor> {
    let by = gradients(built.loss, &built.wrt(wrt));
    let outputs = [vec![built.loss], by].concat();
    let given: Vec<&Tensor> = built.given.iter().collect();
    built.loss.graph().eval(&outputs, &given).unwrap_or_else(|e| panic!("{e}"))
}

fn tame(values: &[Tensor]) -> bool {
    values.iter().flat_map(|t| &t.data).all(|v| v.abs() < 1e4)
}

#[test]
fn references_agree_with_differences_of_the_loss() {
    let ruled = ruled();
    let (seen, kinks) = (Cell::new(0), Cell::new(0));
    all(|recipe| {
        let loss = |t: f64| {
            let graph = Graph::new();
            let built = built(&graph, recipe, &ruled, t);
            let given: Vec<&Tensor> = built.given.iter().collect();
            f64::from(graph.eval(&[built.loss], &given).unwrap_or_else(|e| panic!("{e}"))[0].data[0])
        };
        let graph = Graph::new();
        let built = built(&graph, recipe, &ruled, 0.0);
        let values = by_references(&built, 0);
        prop_assume!(tame(&values));
        let along = built.directions.iter().zip(&values[1..]);
        let found: f64 =
            along.flat_map(|(d, g)| d.data.iter().zip(&g.data)).map(|(d, g)| f64::from(*d) * f64::from(*g)).sum();
        let difference = |h: f64| (loss(h) - loss(-h)) / (2.0 * h);
        let [wide, narrow, near] = [64.0, 128.0, 1024.0].map(|n| difference(1.0 / n));
        let slope = (4.0 * narrow - wide) / 3.0;
        // Steps of very different length disagree where a kink lies on the way.
        let bound = 3e-3 * slope.abs() + 1e-3 + 2e-4 * f64::from(values[0].data[0]).abs();
        if (slope - near).abs() < bound / 2.0 {
            seen.set(seen.get() + 1);
            let right = (found - slope).abs() < bound;
            prop_assert!(right, "{:?}: {} by rules, {} by differences", built.names, found, slope);
        } else {
            kinks.set(kinks.get() + 1);
        }
        Ok(())
    });
    println!("{} graphs, {} with a kink on the way", seen.get(), kinks.get());
    assert!(seen.get() * 3 > GRAPHS * 2, "{} of {GRAPHS} graphs were compared", seen.get());
}

/// Mean square error over the reference's mean square, of a gradient beside which 1e-6 is nothing.
fn nmse(got: &Tensor, want: &Tensor) -> f64 {
    let square = |v: f64| v * v;
    let error: f64 = got.data.iter().zip(&want.data).map(|(g, w)| square(f64::from(*g) - f64::from(*w))).sum();
    let power: f64 = want.data.iter().map(|w| square(f64::from(*w))).sum();
    error / (power + 1e-12 * want.data.len() as f64)
}

#[test]
fn a_forward_pass_in_segments_gives_the_same_bits() {
    let (ruled, again) = (ruled(), Cell::new(0));
    all(|recipe| {
        let graph = Graph::new();
        let whole = built(&graph, recipe, &ruled, 0.0);
        let want = by_references(&whole, recipe.wrt);
        prop_assume!(tame(&want));
        let graph = Graph::new();
        let cut = built(&graph, recipe, &ruled, 0.0);
        let by = gradients_in(cut.loss, &cut.wrt(recipe.wrt), 2 + recipe.wrt / 4 % 5);
        let outputs = [vec![cut.loss], by].concat();
        let given: Vec<&Tensor> = cut.given.iter().collect();
        let got = graph.eval(&outputs, &given).unwrap_or_else(|e| panic!("{e}"));
        let same = got.iter().flat_map(|t| &t.data).eq(want.iter().flat_map(|t| &t.data));
        prop_assert!(same, "{:?}", cut.names);
        let nodes = graph.nodes().unwrap_or_else(|e| panic!("{e}"));
        let read = live(&nodes, &outputs.iter().map(|o| o.id()).collect::<Vec<_>>());
        let twice = nodes.iter().zip(read).filter(|(node, read)| *read && node.label.ends_with(" again")).count();
        again.set(again.get() + u32::from(twice > 0));
        Ok(())
    });
    println!("in {} graphs something was computed again", again.get());
    assert!(4 * again.get() > GRAPHS, "{} of {GRAPHS} graphs", again.get());
}

#[test]
fn the_device_agrees_with_the_references() {
    if without_device("gradients of random graphs on a device") {
        return;
    }
    let ruled = ruled();
    let (worst, used) = (Cell::new(0.0f64), RefCell::new(BTreeMap::new()));
    let flowing = RefCell::new([0; 4]);
    all(|recipe| {
        let graph = Graph::new();
        let built = built(&graph, recipe, &ruled, 0.0);
        let want = by_references(&built, recipe.wrt);
        prop_assume!(tame(&want));
        let by = gradients_in(built.loss, &built.wrt(recipe.wrt), 1 + recipe.wrt / 4 % 3);
        let outputs = [vec![built.loss], by].concat();
        let store = Store::new();
        let plan = pollster::block_on(Plan::new(gpu(), &graph, &outputs, &store, Options::default()));
        let plan = plan.unwrap_or_else(|e| panic!("{e}"));
        let given: Vec<&Tensor> = built.given.iter().collect();
        let got = pollster::block_on(plan.run(&given)).unwrap_or_else(|e| panic!("{e}"));
        for (number, (got, want)) in got.iter().zip(&want).enumerate() {
            let error = nmse(got, want);
            prop_assert!(error < 1e-8, "{:?}: output {} differs by {:e}", built.names, number, error);
            worst.set(worst.get().max(error));
        }
        let flows = want[1..].iter().flat_map(|g| &g.data).any(|v| *v != 0.0);
        flowing.borrow_mut()[recipe.wrt % 4] += usize::from(flows);
        built.names.iter().for_each(|name| *used.borrow_mut().entry(*name).or_insert(0) += 1);
        Ok(())
    });
    println!(
        "worst {:e}; gradients that are not zero by all, inputs, weights, one: {:?}",
        worst.get(),
        flowing.borrow()
    );
    let used = used.borrow();
    println!("used: {used:?}");
    assert_eq!(ruled.len(), STEPS.len(), "a step has no rule: {ruled:?}");
    assert!(flowing.borrow().iter().all(|n| *n >= 20), "{:?}", flowing.borrow());
    assert!(used.len() == ruled.len() && used.values().all(|n| *n >= 5), "{used:?}");
}
