//! Views: other shapes, and slices along the first axis, lie where what they are of lies; no dispatch, no copy.

use crate::common::program::no_gpu;
use crate::common::sweep::gpu;
use lupe::engine::form::typical;
use lupe::engine::lower::{Lowered, lower_by};
use lupe::engine::verify::verify;
use lupe::engine::{Caps, Choices, Graph, Named, Options, Plan, Scope, Store, Var};
use lupe::models;
use lupe::ops::knn::Metric;
use lupe::tensor::{Shape, Tensor};
use std::sync::Arc;

fn noise(shape: impl Into<Shape>, seed: usize) -> Tensor {
    Tensor::from_fn(shape, |i| ((i * 7919 + seed * 104_729) % 1009) as f32 / 504.0 - 1.0)
}

/// Dispatches of a run.
fn runs(lowered: &Lowered) -> Vec<String> {
    let running = lowered.steps.iter().filter(|s| lowered.values[s.output].constant.is_none());
    running.map(|s| s.kernel.label()).collect()
}

/// Plans `outputs` on the device, runs and verifies them, and holds them to the references; the labels of its dispatches.
fn hold(graph: &Graph, outputs: &[Var], inputs: &[&Tensor], store: &Store) -> Vec<String> {
    let plan = pollster::block_on(Plan::new(gpu(), graph, outputs, store, Options::default())).expect("a plan");
    let found = pollster::block_on(plan.run(inputs)).expect("a run");
    let again = plan.submit(inputs).and_then(|run| plan.collect(run)).expect("a run");
    assert!(found == again);
    for (k, (f, e)) in found.iter().zip(graph.eval(outputs, inputs).expect("no wrong shape")).enumerate() {
        assert_eq!(f.shape, e.shape, "output {k}");
        let worst = f.data.iter().zip(&e.data).map(|(f, e)| (f - e).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-4, "output {k} differs by {worst}");
    }
    let mut heard = |_, _| true;
    let verified = verify(gpu(), graph, outputs, inputs, Options::default(), &mut heard);
    let difference = pollster::block_on(verified).expect("a run");
    assert!(difference.is_none(), "{difference:?}");
    plan.facts().map(|f| f.kernel.clone()).collect()
}

#[test]
fn views_of_inputs_and_outputs() {
    if no_gpu() {
        return;
    }
    let (graph, x) = (Graph::new(), noise([4, 8, 64], 1));
    let input = graph.input("x", x.shape);
    let half = input.slice(0, 2, 4);
    let row = half.reshape([16, 64]).slice(0, 8, 16);
    let outputs = [input.reshape([32, 64]), half, row, row.reshape([512]), input];
    assert!(hold(&graph, &outputs, &[&x], &Store::new()).is_empty(), "nothing is computed");
    let sum = [half.reshape([16, 64]) + input.slice(0, 0, 2).reshape([16, 64]), row.affine(2.0, 1.0)];
    let labels = hold(&graph, &sum, &[&x], &Store::new());
    assert!(labels.len() == 2 && labels.iter().all(|l| l.starts_with("map")), "{labels:?}");
}

#[test]
fn memory_lives_as_long_as_its_views() {
    if no_gpu() {
        return;
    }
    let (graph, x) = (Graph::new(), noise([4, 1024], 2));
    let first = graph.input("x", x.shape).affine(1.5, 0.25);
    let late = first.slice(0, 3, 4).reshape([32, 32]);
    // Enough in between that the first value's slot would be taken.
    let between = (0..6).fold(first, |v, i| v.affine(0.75, i as f32).abs());
    let outputs = [between.slice(0, 1, 2).reshape([32, 32]) - late, first.slice(0, 1, 3)];
    let labels = hold(&graph, &outputs[..1], &[&x], &Store::new());
    assert!(labels.iter().all(|l| l.starts_with("map")), "{labels:?}");
    hold(&graph, &outputs, &[&x], &Store::new());
}

#[test]
fn views_of_what_kernels_hand_on_as_images() {
    if no_gpu() {
        return;
    }
    let (graph, x) = (Graph::new(), noise([2, 8, 8, 8], 3));
    let weight = |name: &str, shape: &[usize], seed| graph.weight(name, noise(shape, seed).into());
    let map = graph.input("x", x.shape).conv2d(weight("a.weight", &[16, 8, 3, 3], 4), 1, 1).relu();
    let rows = map.reshape([128, 16]).matmul_t(weight("b.weight", &[12, 16], 5));
    let second = map.slice(0, 1, 2);
    let again = second.conv2d(weight("c.weight", &[4, 16, 3, 3], 6), 1, 1);
    let outputs = [rows.reshape([2, 8, 8, 12]), again, second.reshape([64, 16]).softmax(), map];
    let labels = hold(&graph, &outputs, &[&x], &Store::new());
    assert!(!labels.iter().any(|l| l.starts_with("window")), "{labels:?}");
}

#[test]
fn views_of_weights() {
    if no_gpu() {
        return;
    }
    let (graph, x, store) = (Graph::new(), noise([3, 64], 7), Store::new());
    let all = Arc::new(noise([3, 64, 64], 8));
    let (weights, input) = (graph.weight("all.weight", all.clone()), graph.input("x", x.shape));
    let part = |i| weights.slice(0, i, i + 1).reshape([64, 64]);
    let outputs = [
        input.matmul(part(0)),
        input.matmul(part(1)),
        input.matmul_t(part(2)),
        part(1),
        input * part(2).slice(0, 5, 6).reshape([64]),
    ];
    let labels = hold(&graph, &outputs, &[&x], &store);
    assert!(!labels.iter().any(|l| l.starts_with("window")), "{labels:?}");
    let bytes = store.bytes();
    hold(&graph, &outputs, &[&x], &store);
    assert_eq!(store.bytes(), bytes, "what is there is used again");
}

#[test]
fn what_cannot_be_bound_is_copied() {
    let graph = Graph::new();
    let x = graph.input("x", [10, 24]);
    let y = x.slice(0, 2, 9).slice(0, 1, 3).relu();
    let count = |binding_offset| {
        let caps = Caps { binding_offset, ..Caps::BASE };
        runs(&lower_by(&graph, &[y], &caps, &Choices::First).expect("it lowers")).len()
    };
    // The first slice begins at byte 192, the second at byte 288 of the input or byte 96 of a copy.
    assert_eq!([count(32), count(64), count(256)], [1, 2, 3]);
    if no_gpu() {
        return;
    }
    let given = noise([10, 24], 9);
    hold(&graph, &[y, x.slice(0, 7, 10)], &[&given], &Store::new());
    let (odd, values) = (Graph::new(), noise([11, 3], 10));
    let input = odd.input("x", [11, 3]);
    let outputs = [input.slice(0, 1, 4), input.slice(0, 1, 4).reshape([9]).exp(), input.slice(0, 0, 5).abs()];
    let labels = hold(&odd, &outputs, &[&values], &Store::new());
    assert!(labels.iter().filter(|l| l.starts_with("window")).count() <= 2, "{labels:?}");
}

/// Patch vectors as PatchCore takes them from two stages, projected, in two parts; and scores of patch vectors.
#[test]
fn networks_and_scoring_pay_nothing_for_shapes() {
    for (name, caps) in typical() {
        for network in models::all() {
            let (graph, none) = (Graph::new(), Named::new());
            let places = network.build(graph.input("x", [2, 64, 64, 3]), &Scope::new(&graph, &none));
            let map = places.get(network.features.layers[0]).expect("a place").avg_pool(3, 1, 1, true);
            let [n, h, w, c] = map.shape().nhwc();
            let rows = map.reshape([n * h * w, c]);
            let projected = rows.matmul_t(graph.weight("projection", Tensor::zeros([64, c]).into()));
            let plain = runs(&lower_by(&graph, &[map, projected], &caps, &Choices::First).expect("it lowers"));
            let shaped =
                [map.reshape([n, h * w, c]), projected.reshape([n, h * w, 64]), projected.slice(0, h * w, 2 * h * w)];
            let shaped = runs(&lower_by(&graph, &shaped, &caps, &Choices::First).expect("it lowers"));
            assert_eq!(plain, shaped, "{name} {}", network.name);
            // Of two pictures, the patches of a vision transformer lie apart, each behind its class token: they are copied once.
            let copied = usize::from(network.multiple > 1);
            let found = shaped.iter().filter(|l| l.starts_with("window")).count();
            assert_eq!(found, copied, "{name} {}: {shaped:?}", network.name);
        }
        let graph = Graph::new();
        let bank = graph.weight("bank", Tensor::zeros([500, 64]).into());
        let nearest = graph.input("queries", [784, 64]).knn(&[bank], 9, Metric::L2, None);
        let distances = nearest.slice(2, 0, 1);
        let scores = distances.reshape([784, 9]).mean();
        let map = scores.reshape([1, 28, 28, 1]).resize_bilinear(224, 224);
        let before = runs(&lower_by(&graph, &[distances], &caps, &Choices::First).expect("it lowers")).len();
        let after = runs(&lower_by(&graph, &[map], &caps, &Choices::First).expect("it lowers")).len();
        assert_eq!(after, before + 2, "{name}: a mean and a resize");
    }
}
