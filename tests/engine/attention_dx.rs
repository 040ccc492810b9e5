//! Attention's gradient, both nodes of it one after the other, by every pair of candidates: scores that are equal, and huge.

use crate::common::skip::without_device;
use crate::common::sweep::gpu;
use crate::common::vectors::close;
use lupe::engine::graph::Source;
use lupe::engine::probe::{labels, probe};
use lupe::engine::{Graph, Op};
use lupe::tensor::{Shape, Tensor};
use std::rc::Rc;

/// The two ops of the gradient, and what the references make of `x` and `dy`: what attention gave, and the gradient.
fn gradient(x: &Tensor, dy: &Tensor, heads: usize) -> ([Rc<dyn Op>; 2], [Tensor; 2]) {
    let graph = Graph::new();
    let (tokens, by) = (graph.input("x", x.shape), graph.input("dy", dy.shape));
    let y = tokens.attention(heads);
    let dx = tokens.attention_dx(y, by, heads);
    let values = graph.eval(&[y, dx], &[x, dy]).unwrap().try_into().unwrap();
    let nodes = graph.nodes().unwrap();
    let op = |id: usize| match &nodes[id].source {
        Source::Op(op) => op.clone(),
        _ => panic!("no op gives it"),
    };
    ([op(nodes[dx.id()].inputs[2]), op(dx.id())], values)
}

/// The gradient by every pair of candidates, each given to `hold` with its name and what the references have.
fn every_pair(x: &Tensor, dy: &Tensor, heads: usize, hold: &dyn Fn(&str, &Tensor, &Tensor)) {
    let ([dq, dx], [y, want]) = gradient(x, dy, heads);
    if without_device("pairs of candidates on a device") {
        return;
    }
    let names = |op: &Rc<dyn Op>, third: Shape| labels(gpu(), &**op, &[x.shape, dy.shape, third]).unwrap();
    for (i, first) in names(&dq, y.shape).iter().enumerate() {
        let rows = probe(gpu(), &dq, i, &[x, dy, &y], false).unwrap().output;
        for (k, second) in names(&dx, rows.shape).iter().enumerate() {
            let got = probe(gpu(), &dx, k, &[x, dy, &rows], false).unwrap().output;
            hold(&format!("{first}, {second}"), &got, &want);
        }
    }
}

fn noise(shape: impl Into<Shape>, seed: u64) -> Tensor {
    Tensor::from_fn(shape, |i| (lupe::random::at(seed, i as u64) >> 40) as f32 / (1u64 << 23) as f32 - 1.0)
}

/// Normalised mean square error.
fn error(got: &[f32], want: &[f32]) -> f64 {
    let square = |v: f64| v * v;
    let off: f64 = got.iter().zip(want).map(|(&g, &w)| square(f64::from(g) - f64::from(w))).sum();
    off / want.iter().map(|&w| square(w.into())).sum::<f64>()
}

#[test]
fn moderate_scores() {
    let (x, dy) = (noise([2, 45, 3 * 32], 1), noise([2, 45, 32], 2));
    every_pair(&x, &dy, 2, &|what, got, want| {
        let off = error(&got.data, &want.data);
        assert!(off <= 1e-10, "{what}: {off:.1e}");
    });
}

/// All keys are one key, so all shares are equal: queries have no gradient but rounding's.
#[test]
fn equal_scores() {
    let mut x = noise([1, 37, 3 * 16], 3);
    for token in 0..37 {
        (16..32).for_each(|c| x.data[token * 48 + c] = 0.5);
    }
    let dy = noise([1, 37, 16], 4);
    every_pair(&x, &dy, 1, &|what, got, want| {
        for (i, (g, w)) in got.data.iter().zip(&want.data).enumerate() {
            assert!((g - w).abs() <= 1e-6, "{what}: element {i} is {g}, not {w}");
        }
    });
}

/// Queries of a few tokens a hundred times as long, keys of others: scores of hundreds, and of ten thousand, which f32 has to a thousandth,
/// beside small ones.
#[test]
fn huge_scores() {
    let mut x = noise([1, 40, 3 * 16], 5);
    for token in (0..40).step_by(3) {
        let part = if token % 2 == 0 { 0..16 } else { 16..32 };
        part.for_each(|c| x.data[token * 48 + c] *= 100.0);
    }
    let dy = noise([1, 40, 16], 6);
    every_pair(&x, &dy, 1, &|what, got, want| close(what, &got.data, &want.data, 1e-4));
}
