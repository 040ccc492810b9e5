//! The networks against PyTorch's and ONNX Runtime's tensors, on the device.

mod common;

use common::sweep::gpu;
use common::vectors::{Vectors, close, nchw, nhwc};
use lupe::engine::{Asked, Graph, Named, Options, Plan, Scope, Store, Var};
use lupe::models::resnet::{Block, ResNet, Stages, classifier};
use lupe::models::{self};
use lupe::ops::Pad;
use lupe::tensor::Tensor;

fn run<'g>(graph: &'g Graph, outputs: &[Var<'g>], input: &Tensor) -> Vec<Tensor> {
    let plan = pollster::block_on(Plan::new(gpu(), graph, outputs, &Store::new(), Options::default())).unwrap();
    pollster::block_on(plan.run(&[input])).unwrap()
}

/// Runs a network on `x` [n, h, w, 3]: stem, pool, the four stages, the pooled feature and the logits.
fn everything(net: &ResNet, named: &Named, x: &Tensor) -> Vec<Tensor> {
    let (graph, asked) = (Graph::new(), Asked::default());
    let root = Scope::new(&graph, named, &asked);
    let Stages { stem, pool, layers: [l1, l2, l3, l4], feature } = net.features(graph.input("x", x.shape), &root);
    let logits = classifier(feature, &root);
    asked.check("weights", named, &[]).unwrap();
    run(&graph, &[stem, pool, l1, l2, l3, l4, feature, logits], x)
}

const TAPS: [&str; 8] =
    ["tap:stem_relu", "tap:stem_pool", "tap:layer1", "tap:layer2", "tap:layer3", "tap:layer4", "tap:pooled", "logits"];

#[test]
fn narrow_networks_tensor_by_tensor() {
    for (file, model, base) in [("resnet18_narrow", "resnet18", 8), ("resnet50_narrow", "resnet50", 4)] {
        let vectors = Vectors::open(&format!("{file}.safetensors"));
        let net = ResNet { stem: base, planes: base, ..models::find(model).unwrap().net };
        let got = everything(&net, &vectors.named("w:"), &nhwc(&vectors.get("x")));
        for (tap, got) in TAPS.iter().zip(&got) {
            close(&format!("{file} {tap}"), &nchw(got).data, &vectors.get(tap).data, 2e-5);
        }
    }
}

#[test]
fn residual_blocks_unfolded() {
    let vectors = Vectors::open("resnet_blocks.safetensors");
    let basic = models::find("resnet18").unwrap().net;
    let neck = models::find("resnet50").unwrap().net;
    let wide = models::find("wide_resnet50_2").unwrap().net;
    let blocks = [
        ("basic_s1", basic, 8, 1),
        ("basic_s2", basic, 16, 2),
        ("bottleneck_s1", neck, 4, 1),
        ("bottleneck_s2", neck, 8, 2),
        ("wide_s2", wide, 8, 2),
    ];
    for (name, net, planes, stride) in blocks {
        let named = vectors.named(&format!("w:{name}."));
        let x = nhwc(&vectors.get(&format!("in:{name}")));
        let (graph, asked) = (Graph::new(), Asked::default());
        let input = graph.input("x", x.shape);
        let root = Scope::new(&graph, &named, &asked);
        let out = net.block(input, &root, planes, stride);
        asked.check(name, &named, &[]).unwrap();
        // The first convolution lies before its batch norm, so it exists only where nothing is folded.
        let weight = named["conv1.weight"].shape;
        let first = if net.block == Block::Basic { (stride, 1) } else { (1, 0) };
        let conv1 = input.conv2d(root.at("conv1").param("weight", weight), first.0, Pad::from(first.1));
        let got = run(&graph, &[out, conv1], &x);
        close(&format!("{name}.out"), &nchw(&got[0]).data, &vectors.get(&format!("tap:{name}.out")).data, 2e-5);
        let tap = format!("tap:{name}.conv1");
        if vectors.names().contains(&tap) {
            close(&format!("{name}.conv1"), &nchw(&got[1]).data, &vectors.get(&tap).data, 2e-5);
        }
    }
}

#[test]
fn resnet18_at_224_takes_at_most_25_dispatches() {
    let named = common::vectors::zeros(&models::find("resnet18").unwrap().net);
    let (graph, asked) = (Graph::new(), Asked::default());
    let root = Scope::new(&graph, &named, &asked);
    let stages = models::find("resnet18").unwrap().net.features(graph.input("x", [1, 224, 224, 3]), &root);
    let logits = classifier(stages.feature, &root);
    let plan = pollster::block_on(Plan::new(gpu(), &graph, &[logits], &Store::new(), Options::default())).unwrap();
    assert!(plan.dispatches() <= 25, "{} dispatches: {:#?}", plan.dispatches(), plan.steps().collect::<Vec<_>>());
    println!("{} dispatches, {} bytes", plan.dispatches(), plan.bytes());
}
