//! The networks against PyTorch's and ONNX Runtime's tensors, on the device.

use crate::common;
use crate::common::hash;
use crate::common::skip::{MINUTES, skip, this_test};
use crate::common::sweep::gpu;
use crate::common::thin;
use crate::common::vectors::{Vectors, close, nchw, nhwc};
use lupe::engine::{Graph, Named, Options, Plan, Scope, Store, Var};
use lupe::methods::patchcore::{Config, Preset};
use lupe::models::resnet::{self, Block, ResNet};
use lupe::models::{self, Network, Places};
use lupe::ops::Pad;
use lupe::tensor::Tensor;
use lupe::weights::Weights;
use std::path::Path;

fn run<'g>(graph: &'g Graph, outputs: &[Var<'g>], input: &Tensor) -> Vec<Tensor> {
    let plan = pollster::block_on(Plan::new(gpu(), graph, outputs, &Store::new(), Options::default())).unwrap();
    pollster::block_on(plan.run(&[input])).unwrap()
}

const PLACES: [&str; 8] = ["stem", "maxpool", "layer1", "layer2", "layer3", "layer4", "pool", "logits"];

/// Runs a network on `x` [n, h, w, 3]: every place that it offers.
fn everything(
    build: impl for<'g, 'w> Fn(Var<'g>, &Scope<'g, 'w>) -> Places<'g>,
    named: &Named,
    x: &Tensor,
) -> Vec<Tensor> {
    let graph = Graph::new();
    let places = build(graph.input("x", x.shape), &Scope::new(&graph, named));
    graph.requested().check("weights", named, &[]).unwrap();
    assert_eq!(places.names().collect::<Vec<_>>(), PLACES);
    let outputs: Vec<Var> = PLACES.iter().map(|name| places.get(name).unwrap()).collect();
    run(&graph, &outputs, x)
}

const TAPS: [&str; 8] =
    ["tap:stem_relu", "tap:stem_pool", "tap:layer1", "tap:layer2", "tap:layer3", "tap:layer4", "tap:pooled", "logits"];

#[test]
fn narrow_networks_tensor_by_tensor() {
    for (file, net, base) in [("resnet18_narrow", resnet::RESNET18, 8), ("resnet50_narrow", resnet::RESNET50, 4)] {
        let vectors = Vectors::open(&format!("{file}.safetensors"));
        let net = ResNet { stem: base, planes: base, ..net };
        let got = everything(|x, p| net.places(x, p), &vectors.named("w:"), &nhwc(&vectors.get("x")));
        for (tap, got) in TAPS.iter().zip(&got) {
            close(&format!("{file} {tap}"), &nchw(got).data, &vectors.get(tap).data, 2e-5);
        }
    }
}

#[test]
fn residual_blocks_unfolded() {
    let vectors = Vectors::open("resnet_blocks.safetensors");
    let (basic, neck, wide) = (resnet::RESNET18, resnet::RESNET50, resnet::WIDE_RESNET50_2);
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
        let graph = Graph::new();
        let input = graph.input("x", x.shape);
        let root = Scope::new(&graph, &named);
        let out = net.block(input, &root, planes, stride);
        graph.requested().check(name, &named, &[]).unwrap();
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

/// Folded, as users run them.
fn folded(named: &Named) -> Named {
    let weights = Weights::from_tensors(named.iter().map(|(k, t)| (k.clone(), (**t).clone())));
    weights.fold_batch_norm(&resnet::NORMS).unwrap().tensors().clone()
}

#[test]
fn full_networks_with_hash_weights() {
    hash::self_test();
    let vectors = Vectors::open("full_models_hash_weights.safetensors");
    let x = nhwc(&hash::tensor("input:img", [1, 3, 64, 64], 2.0, 0.0));
    for name in ["resnet18", "resnet34", "resnet50", "wide_resnet50_2"] {
        let network = models::find(name).unwrap();
        let got = everything(|x, p| network.build(x, p), &folded(&hash::full(network)), &x);
        for (i, stage) in ["stem_pool", "layer1", "layer2", "layer3", "layer4"].iter().enumerate() {
            let value = nchw(&got[i + 1]);
            let stats = vectors.get(&format!("{name}.{stage}.stats"));
            let first = vectors.get(&format!("{name}.{stage}.first64"));
            // The stored slice may lie in a quiet corner: its error is measured against the whole map's maximum.
            let max = f64::from(stats.data[2]);
            let off = value.data.iter().zip(&first.data).map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max);
            assert!(off <= 5e-4 * max, "{name} {stage}: off by {:.1e}", off / max);
            close(&format!("{name} {stage} stats"), &statistics(&value), &stats.data, 5e-4);
        }
        close(&format!("{name} pooled"), &got[6].data, &vectors.get(&format!("{name}.pooled")).data, 5e-4);
        close(&format!("{name} logits"), &got[7].data, &vectors.get(&format!("{name}.logits")).data, 5e-4);
    }
}

/// Mean, population standard deviation, largest magnitude.
fn statistics(t: &Tensor) -> [f32; 3] {
    let n = t.data.len() as f64;
    let mean = t.data.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
    let var = t.data.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n;
    [mean as f32, var.sqrt() as f32, t.data.iter().fold(0f32, |m, v| m.max(v.abs()))]
}

/// Patch vectors of both presets, every ninth of 64 places, as the methods plan them.
fn patch_vectors(vectors: &Vectors, network: &Network, weights: &Named, x: &Tensor) {
    let official = Config { size: 64, ..Config::new(Preset::Official) };
    let anomalib = Config { size: 64, ..Config::new(Preset::Anomalib) };
    // Where nothing is pooled away, both make the same rows.
    let whole = Config { pretrain_dim: None, target_dim: None, ..official.clone() };
    for (config, tag) in [(official, "official_1024"), (anomalib, "anomalib"), (whole, "anomalib")] {
        let graph = Graph::new();
        let places = network.build(graph.input("x", x.shape), &Scope::new(&graph, weights));
        let rows = run(&graph, &[config.embed(&places).unwrap()], x).remove(0);
        let ninth: Vec<f32> = rows.data.chunks(rows.shape.last()).step_by(9).flatten().copied().collect();
        let name = format!("{}_embed_{tag}_rows", network.name);
        close(&name, &ninth, &vectors.get(&name).data, 1e-4);
    }
}

#[test]
fn patchcore_backbones_with_hash_weights() {
    let vectors = Vectors::open("ad/backbones.safetensors");
    let x = nhwc(&hash::normalised(&hash::image("nets.img64", 64, 64)).reshape([1, 3, 64, 64]));
    for name in ["resnet18", "wide_resnet50_2"] {
        let network = models::find(name).unwrap();
        let weights = folded(&hash::backbone(name, network));
        patch_vectors(&vectors, network, &weights, &x);
        let got = everything(|x, p| network.build(x, p), &weights, &x);
        for (tap, value) in [("stem_chanmean", &got[1]), ("layer1_chanmean", &got[2])] {
            let (pixels, c) = value.shape.rows();
            let mean: Vec<f32> = value
                .data
                .chunks(c)
                .map(|row| (row.iter().map(|&v| f64::from(v)).sum::<f64>() / c as f64) as f32)
                .collect();
            assert_eq!(mean.len(), pixels);
            close(&format!("{name} {tap}"), &mean, &vectors.get(&format!("{name}_{tap}")).data, 1e-4);
        }
        for (tap, value) in [("layer2", &got[3]), ("layer3", &got[4])] {
            close(&format!("{name} {tap}"), &nchw(value).data, &vectors.get(&format!("{name}_{tap}")).data, 1e-4);
        }
    }
}

/// A network with hash weights on an input [n, 3, h, w], the device against the references.
fn agrees_with_references(name: &str, [n, h, w]: [usize; 3]) {
    let network = models::find(name).unwrap();
    let named = folded(&hash::full(network));
    let x = nhwc(&hash::tensor("input:img", [n, 3, h, w], 2.0, 0.0));
    let graph = Graph::new();
    let root = Scope::new(&graph, &named);
    let places = network.build(graph.input("x", x.shape), &root);
    let outputs = ["layer1", "layer3", "pool", "logits"].map(|name| places.get(name).unwrap());
    let want = graph.eval(&outputs, &[&x]).unwrap();
    let got = run(&graph, &outputs, &x);
    for (i, (got, want)) in got.iter().zip(&want).enumerate() {
        close(&format!("{name} {n}x{h}x{w} output {i}"), &got.data, &want.data, 5e-4);
    }
}

#[test]
fn wide_resnet101_agrees_with_its_references() {
    agrees_with_references("wide_resnet101_2", [1, 64, 64]);
}

#[test]
fn full_networks_at_more_shapes() {
    if !common::sweep::full() {
        return skip("full_networks_at_more_shapes", MINUTES);
    }
    let shapes = [
        ("resnet18", [1, 224, 224]),
        ("resnet18", [3, 97, 131]),
        ("resnet34", [2, 33, 320]),
        ("resnet50", [1, 160, 96]),
    ];
    for (name, shape) in
        shapes.into_iter().chain([("wide_resnet50_2", [1, 128, 130]), ("resnet50_thin", [1, 256, 250])])
    {
        agrees_with_references(name, shape);
    }
}

/// The thin ResNet-50 on real photographs, as ONNX Runtime computes it; `head` where the weights have their last layer.
fn thin_on_photographs(weights: &Weights, tolerance: f64, head: bool) {
    let vectors = Vectors::open("real/real_nets.safetensors");
    for picture in 0..2 {
        let rgb = vectors.get(&format!("{picture}.crop_u8_hwc")).reshape([1, 224, 224, 3]);
        let mean = [104.0, 117.0, 123.0];
        let x = Tensor::from_fn(rgb.shape, |i| rgb.data[i - i % 3 + 2 - i % 3] - mean[i % 3]);
        let graph = Graph::new();
        let root = Scope::new(&graph, weights.tensors());
        let places = thin::network().build(graph.input("x", x.shape), &root);
        let mut outputs = vec![places.get("layer2").unwrap(), places.get("layer3").unwrap()];
        if head {
            outputs.push(places.get("logits").unwrap().softmax());
        }
        graph.requested().check("weights", weights.tensors(), &[]).unwrap();
        let got = run(&graph, &outputs, &x);
        for (tap, value) in [("layer2", nchw(&got[0])), ("layer3", nchw(&got[1]))] {
            let name = format!("{picture}.resnet50_thin.{tap}");
            let pixels = value.shape.dim(2) * value.shape.dim(3);
            let mean = |p: &[f32]| (p.iter().map(|&v| f64::from(v)).sum::<f64>() / p.len() as f64) as f32;
            let means: Vec<f32> = value.data.chunks(pixels).map(mean).collect();
            let maxima: Vec<f32> =
                value.data.chunks(pixels).map(|p| p.iter().fold(f32::MIN, |m, &v| m.max(v))).collect();
            let sample: Vec<f32> = (0..64).map(|j| value.data[j * 2_654_435_761 % value.data.len()]).collect();
            for (part, got) in [("channel_mean", means), ("channel_max", maxima), ("sample64", sample)] {
                close(&format!("{name}.{part}"), &got, &vectors.get(&format!("{name}.{part}")).data, tolerance);
            }
        }
        if let Some(softmax) = got.get(2) {
            let want = vectors.get(&format!("{picture}.resnet50_thin.softmax"));
            let off = softmax.data.iter().zip(&want.data).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(off <= 1e-5, "softmax is off by {off}");
        }
    }
}

#[test]
fn thin_resnet_in_half_precision_on_photographs() {
    thin_on_photographs(&thin::weights(), 5e-3, false);
}

#[test]
fn thin_resnet_in_f32_on_photographs() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/weights/resnet50_thin.safetensors");
    if path.exists() {
        thin_on_photographs(&Weights::open(&path).unwrap(), 2e-5, true);
    } else {
        skip(&this_test(), "../shared/weights/resnet50_thin.safetensors is not here");
    }
}
