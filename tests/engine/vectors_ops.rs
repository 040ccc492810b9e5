//! Pooling, softmax, ReLU, batch norm, rows scaled to length one and a gradient against PyTorch's values: first the references, then the
//! device. `LUPE_NO_GPU=1` leaves the device out visibly.

use crate::common::skip::without_device;
use crate::common::sweep::gpu;
use crate::common::vectors::{Vectors, nhwc};
use lupe::engine::probe::{labels, probe};
use lupe::engine::{Graph, Options, Plan, Store, Var};
use lupe::tensor::Tensor;

/// `op` of the tensors `inputs` is the tensor `want`.
fn agree(inputs: &[&str], want: &str, op: impl for<'g> Fn(&[Var<'g>]) -> Var<'g>) {
    agree_in("ops.safetensors", (inputs, want), within, op);
}

/// The same of tensors in another file, as `within` has it.
fn agree_in(
    file: &str,
    (inputs, want): (&[&str], &str),
    within: fn(&Tensor, &Tensor, &str),
    op: impl for<'g> Fn(&[Var<'g>]) -> Var<'g>,
) {
    let vectors = Vectors::open(file);
    let get = |name: &str| {
        let tensor = vectors.get(name);
        if tensor.shape.rank() == 4 { nhwc(&tensor) } else { tensor }
    };
    let (values, right): (Vec<Tensor>, Tensor) = (inputs.iter().map(|name| get(name)).collect(), get(want));
    let given: Vec<&Tensor> = values.iter().collect();
    let graph = Graph::new();
    let vars: Vec<Var> = inputs.iter().zip(&given).map(|(name, t)| graph.input(name, t.shape)).collect();
    let y = op(&vars);
    within(&graph.eval(&[y], &given).unwrap()[0], &right, &format!("{want}, reference"));
    if without_device(&format!("{want} on a device")) {
        return;
    }
    let plan = pollster::block_on(Plan::new(gpu(), &graph, &[y], &Store::new(), Options::default())).unwrap();
    within(&pollster::block_on(plan.run(&given)).unwrap()[0], &right, &format!("{want}, device"));
}

/// To 1e-6 absolute and 1e-5 relative, element by element: what the vectors' README suggests.
fn within(got: &Tensor, want: &Tensor, what: &str) {
    assert_eq!(got.shape, want.shape, "{what}");
    for (i, (g, w)) in got.data.iter().zip(&want.data).enumerate() {
        assert!((g - w).abs() <= 1e-6 + 1e-5 * w.abs(), "{what}: element {i} is {g}, PyTorch has {w}");
    }
}

/// To 2e-5 of the largest: for scores of hundreds, whose rounding is no longer small beside the shares that follow from them.
fn near(got: &Tensor, want: &Tensor, what: &str) {
    let most = want.data.iter().fold(0.0f32, |m, v| m.max(v.abs()));
    for (i, (g, w)) in got.data.iter().zip(&want.data).enumerate() {
        assert!((g - w).abs() <= 2e-5 * most, "{what}: element {i} is {g}, PyTorch has {w}, at most {most}");
    }
}

#[test]
fn max_pool() {
    agree(&["conv7.y"], "maxpool.y_of_conv7", |x| x[0].max_pool(3, 2, 1));
    agree(&["maxpool_neg.x"], "maxpool_neg.y", |x| x[0].max_pool(3, 2, 1));
}

#[test]
fn global_pool() {
    agree(&["conv7.y"], "gap.y_of_conv7", |x| x[0].global_pool());
}

#[test]
fn softmax() {
    agree(&["sm.logits"], "sm.softmax", |x| x[0].softmax());
}

#[test]
fn relu() {
    agree(&["act.x"], "act.relu", |x| x[0].relu());
}

#[test]
fn gelu() {
    agree(&["act.x"], "act.gelu_erf", |x| x[0].gelu());
    agree(&["act.x"], "act.quick_gelu", |x| x[0].quick_gelu());
}

/// GELU to 1e-7, and the rounding of its own value, by every candidate: from where it is nothing to where it is its input.
#[test]
fn gelu_by_the_error_function() {
    let x = Tensor::from_fn([120_004], |i| (i as f32 - 60_002.0) / 8000.0);
    let cases = lupe::ops::activate::cases();
    let op = &cases.iter().find(|c| format!("{:?}", c.op) == "Gelu").expect("GELU has cases").op;
    if without_device("GELU on a device") {
        return;
    }
    for (i, label) in labels(gpu(), &**op, &[x.shape]).unwrap().iter().enumerate() {
        let got = probe(gpu(), op, i, &[&x], false).unwrap().output;
        for (g, x) in got.data.iter().map(|&g| f64::from(g)).zip(x.data.iter().map(|&x| f64::from(x))) {
            let want = x * libm::erfc(-x / 2f64.sqrt()) / 2.0;
            let rounding = want.abs() * f64::from(f32::EPSILON) / 2.0;
            assert!((g - want).abs() <= 1e-7 + rounding, "{label}: GELU of {x} is {g}, not {want}");
        }
    }
}

#[test]
fn layer_norm() {
    for (eps, text) in [(1e-5, "1e-05"), (1e-6, "1e-06")] {
        agree(&["ln.x", "ln.weight", "ln.bias"], &format!("ln.eps{text}.y"), |x| x[0].layer_norm(x[1], x[2], eps));
    }
}

#[test]
fn batch_norm() {
    let names = ["conv7.y", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var"];
    agree(&names, "bn.y_of_conv7", |x| x[0].batch_norm(x[1], x[2], x[3], x[4], 1e-5));
}

#[test]
fn rows_of_length_one() {
    agree(&["l2.x"], "l2.y", |x| x[0].normalised());
}

/// Projections, attention and projection; scores that are huge as well.
#[test]
fn attention() {
    for (case, within) in [("normal", within as fn(&Tensor, &Tensor, &str)), ("large_logits", near)] {
        let names = ["x", "wqkv", "bqkv", "wo", "bo"].map(|name| format!("{case}.{name}"));
        let (inputs, want) = (names.each_ref().map(String::as_str), format!("{case}.y"));
        agree_in("attention.safetensors", (&inputs, &want), within, |x| {
            (x[0].matmul_t(x[1]) + x[2]).attention(4).matmul_t(x[3]) + x[4]
        });
    }
}

/// The gradient of the projection behind attention by its weight: products added up over all tokens of all pictures.
#[test]
fn gradient_of_a_linear_layer() {
    for case in ["normal", "large_logits"] {
        let names = ["x", "wqkv", "bqkv", "dy"].map(|name| format!("{case}.{name}"));
        let (inputs, want) = (names.each_ref().map(String::as_str), format!("{case}.dwo"));
        agree_in("attention.safetensors", (&inputs, &want), near, |x| {
            (x[0].matmul_t(x[1]) + x[2]).attention(4).linear_dw(x[3])
        });
    }
}

/// Rows that random cases hardly hit, through every candidate: -inf alone gives NaN, beside numbers 0; +inf and NaN take the row.
#[test]
fn softmax_of_infinities() {
    let inf = f32::INFINITY;
    let rows = [[-inf, -inf, -inf], [-inf, 2.0, 2.0], [inf, 0.0, 1.0], [0.0, f32::NAN, 0.0], [-inf, -inf, -3e38]];
    let x = Tensor::new([5, 3], rows.concat());
    let nan = [f32::NAN; 3];
    let want = [nan, [0.0, 0.5, 0.5], nan, nan, [0.0, 0.0, 1.0]].concat();
    let op = &lupe::ops::softmax::cases()[0].op;
    let same = |got: &Tensor| got.data.iter().zip(&want).all(|(g, w)| g == w || g.is_nan() && w.is_nan());
    assert!(same(&op.reference(&[&x], x.shape)));
    if without_device("infinities on a device") {
        return;
    }
    for (i, label) in labels(gpu(), &**op, &[x.shape]).unwrap().iter().enumerate() {
        let got = probe(gpu(), op, i, &[&x], false).unwrap().output;
        assert!(same(&got), "{label}: {:?}", got.data);
    }
}
