//! What this driver does that kernels must know: loops that stop by themselves.

mod common;

use lupe::engine::probe::probe;
use lupe::engine::{Caps, Graph, Kernel, Op, Shader};
use lupe::error::Error;
use lupe::tensor::{Shape, Tensor};
use std::rc::Rc;

/// y = how often a loop of `trips` turns was run, as far as the driver lets it.
#[derive(Debug)]
struct Count {
    trips: usize,
    stated: usize,
}

static COUNT: Shader = Shader {
    name: "count",
    source: "struct Params { trips: u32 }\n@group(0) @binding(0) var<uniform> p: Params;\n\
        @group(0) @binding(1) var<storage, read_write> y: array<f32>;\n@group(0) @binding(2) var<storage, read> x: array<f32>;\n\
        @compute @workgroup_size(1)\nfn main() {\n    var n = 0u;\n    var v = x[0];\n\
        for (var i = 0u; i < p.trips; i++) { v = fract(v * 1.5 + 0.25); n += select(1u, 0u, v < 0.0); }\n    y[0] = f32(n);\n}\n",
};

impl Op for Count {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        Ok(x[0])
    }

    fn kernels(&self, _: &[Shape], _: Shape, _: &Caps) -> Vec<Kernel> {
        vec![Kernel::new(&COUNT, 1, 1).param("trips", self.trips).iterations(self.stated)]
    }

    fn reference(&self, _: &[&Tensor], y: Shape) -> Tensor {
        Tensor::from_fn(y, |_| self.trips as f32)
    }
}

fn counted(trips: usize) -> f32 {
    let op: Rc<dyn Op> = Rc::new(Count { trips, stated: 0 });
    probe(common::sweep::gpu(), &op, 0, &[&Tensor::new([1], vec![0.5])], false).unwrap().output.data[0]
}

#[test]
fn long_loops() {
    assert_eq!(counted(33), 33.0, "even a short loop stops early");
    assert_eq!(counted(60_000), 60_000.0, "the bound that plans keep is too high for this driver");
    let seen = counted(70_000);
    let verdict = if seen == 70_000.0 { "runs them all" } else { "silently stops: it has the fault" };
    println!("a loop of 70,000 trips: this driver ran {seen} and {verdict}");
}

#[test]
fn a_kernel_of_too_many_trips_is_refused() {
    let op: Rc<dyn Op> = Rc::new(Count { trips: 70_000, stated: 70_000 });
    match probe(common::sweep::gpu(), &op, 0, &[&Tensor::new([1], vec![0.5])], false).unwrap_err() {
        Error::Shader { message, .. } => assert!(message.contains("60000 loop trips"), "{message}"),
        other => panic!("{other}"),
    }
}

#[test]
fn wrong_shapes_are_errors_with_their_place() {
    let graph = Graph::new();
    let x = graph.input("x", [1, 8, 8, 3]);
    let w = graph.weight("layer9.conv.weight", std::sync::Arc::new(Tensor::zeros([4, 5, 3, 3])));
    let y = x.conv2d(w, 1, 1).relu().global_pool();
    let error = graph.eval(&[y], &[&Tensor::zeros([1, 8, 8, 3])]).unwrap_err();
    assert!(matches!(&error, Error::Shape(m) if m.contains("layer9.conv") && m.contains("3 channels")), "{error}");
}
