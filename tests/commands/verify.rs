//! `lupe verify`, `lupe plan` and `lupe shaders`: a planted fault is found where it is, sound networks pass, facts are as by hand.

use crate::common::parts::fitted;
use crate::common::program::{Bench, done, lupe, no_gpu, refused};
use crate::common::vectors::close;
use lupe::engine::lower::Role;
use lupe::engine::verify::verify;
use lupe::engine::{Caps, Choice, Choices, Family, Gpu, Graph, Kernel, Op, Options, Plan, Scope, Store};
use lupe::models::stand_in;
use lupe::models::{self};
use lupe::tensor::{Shape, Tensor};
use serde_json::Value;
use std::fs;

/// max(0, x), by a shader that doubles instead where `wrong`.
#[derive(Debug)]
struct Planted {
    wrong: bool,
}

static RIGHT: lupe::engine::Shader = lupe::engine::Shader { name: "planted", source: SOURCE };

const SOURCE: &str = "const FACTOR: f32 = 1.0;\nstruct Params { n: u32 }\n@group(0) @binding(0) var<uniform> p: Params;\n\
    @group(0) @binding(1) var<storage, read_write> y: array<f32>;\n@group(0) @binding(2) var<storage, read> x: array<f32>;\n\
    @compute @workgroup_size(64)\nfn main(@builtin(global_invocation_id) id: vec3u) {\n\
    if id.x < p.n { y[id.x] = select(1.0, FACTOR, id.x == 17u) * max(x[id.x], 0.0); }\n}\n";

impl Op for Planted {
    fn infer(&self, x: &[Shape]) -> Result<Shape, String> {
        Ok(x[0])
    }

    fn kernels(&self, x: &[Shape], _: Shape, _: &Caps) -> Vec<Kernel> {
        let kernel = Kernel::new(&RIGHT, 1, 64).param("n", x[0].len()).groups(x[0].len().div_ceil(64), 1, 1);
        vec![if self.wrong { kernel.set("FACTOR", "1.01") } else { kernel }]
    }

    fn reference(&self, x: &[&Tensor], y: Shape) -> Tensor {
        Tensor::from_fn(y, |i| x[0].data[i].max(0.0))
    }
}

fn gpu() -> Gpu {
    pollster::block_on(Gpu::new(&Choice::Auto, None)).expect("an adapter")
}

/// Convolution, pooling, the planted op, convolution; what `verify` finds there, and how many dispatches it compared.
fn looked(wrong: bool, choices: Choices) -> (Option<lupe::engine::verify::Difference>, usize) {
    let graph = Graph::new();
    let noise =
        |shape: [usize; 4], seed: usize| Tensor::from_fn(shape, |i| ((i * 7919 + seed) % 97) as f32 / 48.0 - 1.0);
    let weight = |name: &str, seed| graph.weight(name, noise([8, 8, 3, 3], seed).into());
    let x = graph.input("x", [1, 9, 9, 8]);
    let y = x.conv2d(weight("first.weight", 1), 1, 1).avg_pool(3, 1, 1, true);
    let y = y.apply(Planted { wrong }, &[y]).conv2d(weight("last.weight", 5), 1, 1);
    let mut compared = 0;
    let options = Options { choices, ..Options::default() };
    let input = noise([1, 9, 9, 8], 3);
    let mut heard = |done, _| {
        compared = done;
        true
    };
    let found = pollster::block_on(verify(&gpu(), &graph, &[y], &[&input], options, &mut heard));
    (found.expect("a run"), compared)
}

#[test]
fn an_injected_fault_is_found_at_its_node() {
    if no_gpu() {
        return;
    }
    for choices in [Choices::First, Choices::Named("conv_direct".into())] {
        let (sound, all) = looked(false, choices.clone());
        assert!(sound.is_none(), "{sound:?}");
        let (found, compared) = looked(true, choices);
        let found = found.expect("one element of 648 is wrong by one hundredth");
        assert_eq!((found.fact.op.as_str(), found.element), ("planted", 17));
        assert!(found.fact.kernel.contains("1.01"), "{}", found.fact.kernel);
        assert!((found.found / found.expected - 1.01).abs() < 1e-4, "{} of {}", found.found, found.expected);
        assert!(compared < all && compared == found.step + 1, "nothing behind it was looked at");
    }
}

/// ResNet-18 as cards compute it, whatever computes here: each product in workgroup memory, in parts where a card would have them, and
/// in the largest tiles. Every dispatch is held to its reference, and the end of all of them to the network's.
#[test]
fn a_whole_network_in_workgroup_memory() {
    if no_gpu() {
        return;
    }
    let mut gpu = gpu();
    gpu.caps.family = Family::Gpu;
    let network = models::find("resnet18").unwrap();
    let (graph, weights) = (Graph::new(), stand_in::weights(network));
    let picture = Tensor::from_fn([1, 64, 64, 3], |i| (i * 7919 % 255) as f32 / 127.5 - 1.0);
    let root = Scope::new(&graph, weights.tensors());
    let logits = network.build(graph.input("picture", picture.shape), &root).get("logits").unwrap();
    let want = graph.eval(&[logits], &[&picture]).unwrap().remove(0);
    for (choices, kernels) in [(Choices::First, ["split", "_gemm"]), (Choices::Named("wx16u".into()), ["wx16u"; 2])] {
        let options = Options { choices, ..Options::default() };
        let plan = pollster::block_on(Plan::new(&gpu, &graph, &[logits], &Store::new(), options.clone())).unwrap();
        let products: Vec<_> = plan.facts().filter(|f| f.flops > 0 && f.role == Role::Node).collect();
        let products: Vec<_> = products.iter().filter(|f| f.op == "conv2d" || f.op == "matmul").collect();
        assert_eq!(products.len(), 21);
        assert!(products.iter().all(|f| f.kernel.contains("_gemm")), "{products:#?}");
        for part in kernels {
            let so = products.iter().filter(|f| f.kernel.contains(part)).count();
            assert!(so >= 15, "{so} products are {part}: {products:#?}");
        }
        let found = pollster::block_on(verify(&gpu, &graph, &[logits], &[&picture], options, &mut |_, _| true));
        assert!(found.as_ref().is_ok_and(Option::is_none), "{found:?}");
        let got = pollster::block_on(plan.run(&[&picture])).unwrap().remove(0);
        close("logits", &got.data, &want.data, 1e-5);
    }
}

#[test]
fn verify_of_networks_and_models() {
    if no_gpu() {
        return;
    }
    let bench = Bench::new();
    let picture = bench.picture("part.png");
    let small = ["verify", "efficientnet_lite0", "--size", "64"];
    let said = done(lupe().args(small).arg(&picture));
    assert!(said.contains("dispatches match their references"), "{said}");
    let json: Value =
        serde_json::from_str(&done(lupe().args(small).args(["--candidate", "conv_direct", "--batch", "2", "--json"])))
            .unwrap();
    assert!(json["first"].is_null() && json["compared"].as_u64().unwrap() > 50, "{json}");
    let all = done(lupe().args(["verify", "resnet18", "--size", "32", "--device", "all", "-q"]));
    let devices = done(lupe().arg("devices")).lines().count() - 1;
    assert_eq!(all.matches("match their references").count(), devices, "{all}");
}

/// Embedding, scoring and the selection of the fit: every dispatch of all three is compared.
#[test]
fn verify_of_a_fitted_model_sees_all_its_graphs() {
    if no_gpu() {
        return;
    }
    let bench = Bench::new();
    let (_, model) = fitted(&bench);
    let json = |words: &[&str]| -> Value {
        serde_json::from_str(&done(lupe().args(words).arg(&model).args(["--json", "-q"]))).unwrap()
    };
    let (plan, verified) = (json(&["plan"]), json(&["verify"]));
    let dispatches = plan["dispatches"].as_array().unwrap();
    for op in ["pixels", "conv2d", "scan", "merge", "refine", "rank", "blur"] {
        assert!(dispatches.iter().any(|d| d["op"].as_str().unwrap().contains(op)), "{op} is not planned: {plan}");
    }
    assert!(dispatches.iter().all(|d| d["op"] != "reshape"), "{plan}");
    assert!(
        verified["first"].is_null() && verified["compared"].as_u64().unwrap() > dispatches.len() as u64,
        "{verified}"
    );
}

#[test]
fn a_plan_says_what_is_computed_by_hand() {
    if no_gpu() {
        return;
    }
    let plan: Value = serde_json::from_str(&done(lupe().args(["plan", "resnet18", "--json"]))).unwrap();
    let dispatches = plan["dispatches"].as_array().unwrap();
    let node = |label: &str| dispatches.iter().find(|d| d["node"] == label && d["flops"] != 0).unwrap();
    let flops = |label: &str| node(label)["flops"].as_u64().unwrap();
    let conv = |side: u64, co: u64, ci: u64, k: u64| 2 * side * side * co * ci * k * k;
    assert_eq!(flops("conv1"), conv(112, 64, 3, 7));
    assert_eq!(flops("layer1.0.conv1"), conv(56, 64, 64, 3));
    assert_eq!(flops("layer4.0.downsample.0"), conv(7, 512, 256, 1));
    assert_eq!(flops("fc"), 2 * 512 * 1000);
    // 3x3 64 -> 64 at 56x56: the map twice, the weights and the bias once, in words of four bytes.
    assert_eq!(node("layer1.0.conv1")["bytes"], 4 * (2 * 56 * 56 * 64 + 64 * 64 * 9 + 64));
    let layers = [(56, 64, 64, 4), (28, 128, 128, 3), (14, 256, 256, 3), (7, 512, 512, 3)];
    let halving = [(28, 128, 64), (14, 256, 128), (7, 512, 256)];
    let convs = conv(112, 64, 3, 7)
        + layers.iter().map(|&(s, co, ci, n)| n * conv(s, co, ci, 3)).sum::<u64>()
        + halving.iter().map(|&(s, co, ci)| conv(s, co, ci, 3) + conv(s, co, ci, 1)).sum::<u64>();
    let seen: u64 = dispatches.iter().filter(|d| d["op"] == "conv2d").map(|d| d["flops"].as_u64().unwrap()).sum();
    assert_eq!(seen, convs);
    let total: u64 = dispatches.iter().map(|d| d["flops"].as_u64().unwrap()).sum();
    assert_eq!(plan["flops"], total);
    let threads = std::thread::available_parallelism().unwrap().get() as u64;
    let few =
        |d: &&Value| d["workgroups"].as_array().unwrap().iter().map(|g| g.as_u64().unwrap()).product::<u64>() < threads;
    let software = plan["device"].to_string().contains("llvmpipe");
    assert!(!software || dispatches.iter().all(|d| d["few_workgroups"] == few(&d)), "{plan}");
    let parts = done(lupe().args(["plan", "resnet18", "--candidate", "split"]));
    assert!(parts.contains(" split ") && parts.contains("layer4.1.conv2 sum"), "{parts}");
    let table = done(lupe().args(["plan", "resnet18"]));
    assert!(table.contains("layer4.1.conv2") && table.contains(&format!("{} dispatches", dispatches.len())), "{table}");
}

#[test]
fn shaders_are_written_whole() {
    let bench = Bench::new();
    done(lupe().args(["shaders", "--dump"]).arg(bench.path("wgsl")));
    let mut list = csv::Reader::from_path(bench.path("wgsl/shaders.csv")).unwrap();
    let (mut named, mut ops) = (0, std::collections::BTreeSet::new());
    for row in list.records().map(Result::unwrap) {
        let source = fs::read_to_string(bench.path("wgsl").join(&row[0])).unwrap();
        naga::front::wgsl::parse_str(&source).unwrap_or_else(|e| panic!("{}: {e}", &row[0]));
        assert!(source.contains("@workgroup_size") && !source.contains("#import"), "{}", &row[0]);
        ops.insert(row[1].to_string());
        named += 1;
    }
    let files = fs::read_dir(bench.path("wgsl")).unwrap().count();
    assert!(named == files - 1 && named > 200, "{named} of {files}");
    assert_eq!(ops.len(), lupe::ops::cases().len(), "every op: {ops:?}");
    for start in ["matmul_gemm_wx16", "conv_software_lanes8u", "knn_scan_"] {
        assert!(
            fs::read_dir(bench.path("wgsl"))
                .unwrap()
                .any(|f| { f.unwrap().file_name().to_str().unwrap().starts_with(start) })
        );
    }
}

#[test]
fn what_is_wrong_is_said() {
    let bench = Bench::new();
    refused(lupe().args(["plan", "resnet19"]), 2, &["unknown network `resnet19`", "wide_resnet50_2"]);
    refused(lupe().args(["plan", "resnet18", "--size", "8"]), 2, &["--size 8", "between 32 and 4096"]);
    let file = bench.write("broken.lupe", b"nothing");
    refused(lupe().arg("verify").arg(&file), 4, &["broken.lupe"]);
    refused(lupe().args(["shaders", "--dump"]).arg(file.join("below")), 10, &["broken.lupe"]);
    if no_gpu() {
        return;
    }
    refused(lupe().args(["plan", "resnet18", "--device", "nonesuch"]), 5, &["there is no adapter", "nonesuch"]);
    refused(lupe().args(["verify", "resnet18", "missing.png"]), 3, &["missing.png"]);
    refused(lupe().args(["plan", "wide_resnet50_2", "--limit-memory", "1M"]), 6, &["1.0 MiB"]);
}

#[test]
fn a_step_of_training_is_verified_planned_and_profiled_as_a_prediction_is() {
    if no_gpu() {
        return;
    }
    let (b, of) = (Bench::new(), ["efficientnet_lite0", "--size", "32", "--training"]);
    let ran = |command: &str, more: &[&str]| done(lupe().arg(command).args(of).args(more));
    let said = ran("verify", &["--batch", "2"]);
    assert!(said.contains("dispatches match their references"), "{said}");
    let plan: Value = serde_json::from_str(&ran("plan", &["--json"])).unwrap();
    let ops: Vec<&str> = plan["dispatches"].as_array().unwrap().iter().map(|d| d["op"].as_str().unwrap()).collect();
    for op in ["crossentropy", "conv2ddw", "adam"] {
        assert!(ops.contains(&op), "{op} is not in {ops:?}");
    }
    let trained = ops.iter().filter(|op| **op == "adam").count();
    assert_eq!(trained, 100, "weight and bias of 49 convolutions and of the last layer");
    let html = b.path("step.html");
    let said = ran("profile", &["--repeats", "1", "--by", "op", "--html", html.to_str().unwrap()]);
    assert!(said.contains("adam") && fs::read_to_string(html).unwrap().contains("adam"), "{said}");
    let (_, model) = fitted(&b);
    refused(lupe().arg("plan").arg(model).arg("--training"), 2, &["the fit of patchcore has no steps", "efficientad"]);
}
