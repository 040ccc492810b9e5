//! What this driver does that kernels must know: loops that stop by themselves, memory that runs out; and division by floats.

use crate::common;
use lupe::engine::probe::probe;
use lupe::engine::{Caps, Graph, Kernel, Op, Options, Plan, Shader, Store};
use lupe::error::Error;
use lupe::tensor::{Shape, Tensor};
use std::process::Command;
use std::rc::Rc;
use std::sync::Arc;

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
    let w = graph.weight("layer9.conv.weight", Arc::new(Tensor::zeros([4, 5, 3, 3])));
    let y = x.conv2d(w, 1, 1).relu().global_pool();
    let error = graph.eval(&[y], &[&Tensor::zeros([1, 8, 8, 3])]).unwrap_err();
    assert!(matches!(&error, Error::Shape(m) if m.contains("layer9.conv") && m.contains("3 channels")), "{error}");
}

/// Pairs (x % d, x / d) of pairs (x, d), all u32 in the bits of f32.
#[derive(Debug)]
struct Divide;

static DIVIDE: Shader = Shader {
    name: "divide",
    source: "#import divide\nstruct Params { pairs: u32 }\n@group(0) @binding(0) var<uniform> p: Params;\n\
        @group(0) @binding(1) var<storage, read_write> y: array<vec2u>;\n@group(0) @binding(2) var<storage, read> x: array<vec2u>;\n\
        @compute @workgroup_size(64)\nfn main(@builtin(global_invocation_id) id: vec3u) {\n\
        if id.x < p.pairs { y[id.x] = divided(x[id.x].x, x[id.x].y); }\n}\n",
};

impl Op for Divide {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        Ok(x[0])
    }

    fn kernels(&self, x: &[Shape], _: Shape, _: &Caps) -> Vec<Kernel> {
        let pairs = x[0].dim(0);
        vec![Kernel::new(&DIVIDE, 1, 64).param("pairs", pairs).groups(pairs.div_ceil(64), 1, 1)]
    }

    fn reference(&self, x: &[&Tensor], _: Shape) -> Tensor {
        let pair = |p: &[f32]| {
            let (x, d) = (p[0].to_bits(), p[1].to_bits());
            [f32::from_bits(x % d), f32::from_bits(x / d)]
        };
        Tensor::new(x[0].shape, x[0].data.chunks(2).flat_map(pair).collect())
    }
}

#[test]
fn division_by_floats_is_exact() {
    let divisors = (1..70).chain([100, 127, 784, 1023, 1024, 3136, 12_544, 50_176, 65_535, 16_777_217, (1 << 30) - 1]);
    let mut pairs = vec![];
    for d in divisors {
        let multiples =
            [0, 1, 2, 3, 7, 255, 4097, 65_535, 16_777_216, u32::MAX / d / 2, u32::MAX / d - 1, u32::MAX / d];
        for m in multiples.map(|q: u32| q.wrapping_mul(d)) {
            pairs.extend([m.wrapping_sub(1), m, m.wrapping_add(1), m.wrapping_add(d / 2)].map(|x| [x, d]));
        }
        pairs.extend([[u32::MAX, d], [1 << 31, d], [(1 << 24) + 1, d]]);
    }
    let data: Vec<f32> = pairs.iter().flatten().map(|v| f32::from_bits(*v)).collect();
    let x = Tensor::new([pairs.len(), 2], data);
    let op: Rc<dyn Op> = Rc::new(Divide);
    let (got, want) = (probe(common::sweep::gpu(), &op, 0, &[&x], false).unwrap().output, op.reference(&[&x], x.shape));
    for ((pair, got), want) in pairs.iter().zip(got.data.chunks(2)).zip(want.data.chunks(2)) {
        let bits = |v: &[f32]| [v[0].to_bits(), v[1].to_bits()];
        assert_eq!(bits(got), bits(want), "remainder and quotient of {pair:?}");
    }
}

/// Not a test by itself: `memory_that_runs_out_is_an_error` runs it in a process of its own, whose memory it may take away.
#[test]
#[ignore = "run by memory_that_runs_out_is_an_error"]
fn child_without_memory() {
    let gpu = common::sweep::gpu();
    let graph = Graph::new();
    let part = |i: usize| graph.weight(&format!("w{i}"), Arc::new(Tensor::zeros([1 << 24])));
    let sum = (0..8).fold(graph.input("x", [1 << 24]), |sum, i| sum + part(i));
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let kib = |l: &str| l.strip_prefix("VmSize:")?.trim().trim_end_matches(" kB").parse::<u64>().ok();
    let size = 1024 * status.lines().find_map(kib).unwrap() + (300 << 20);
    let limit =
        Command::new("prlimit").args(["--pid", &std::process::id().to_string(), &format!("--as={size}")]).status();
    assert!(limit.unwrap().success());
    let error = pollster::block_on(Plan::new(gpu, &graph, &[sum], &Store::new(), Options::default())).unwrap_err();
    println!("refused with {error:?}");
    assert_eq!(error.exit_code(), 6, "{error:?}");
}

#[test]
#[cfg(target_os = "linux")]
fn memory_that_runs_out_is_an_error() {
    if common::sweep::gpu().info.kind != lupe::engine::gpu::Kind::Cpu {
        let why = "this device's memory is not the process's own, so that it cannot be taken away";
        return common::skip::skip("memory_that_runs_out_is_an_error", why);
    }
    let mut child = Command::new(std::env::current_exe().unwrap());
    let output = child.args(["--exact", "driver::child_without_memory", "--ignored", "--nocapture"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("refused with OutOfMemory"), "{text}");
}
