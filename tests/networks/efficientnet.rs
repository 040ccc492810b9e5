//! EfficientNet-Lite against PyTorch's tensors and against plain loops, on the device.

use crate::common;
use crate::common::hash;
use crate::common::skip::{skip, this_test};
use crate::common::sweep::gpu;
use crate::common::vectors::{Vectors, close, nchw};
use lupe::engine::{Graph, Named, Options, Plan, Scope, Store, Var};
use lupe::models::efficientnet::{LITE0, NORMS};
use lupe::models::{self, Network};
use lupe::tensor::{Shape, Tensor};
use lupe::weights::Weights;
use std::path::Path;
use std::sync::Arc;

fn lite(number: usize) -> &'static Network {
    models::find(&format!("efficientnet_lite{number}")).unwrap()
}

fn shipped() -> Weights {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("weights/efficientnet_lite0.f16.safetensors");
    Weights::open(&path).unwrap()
}

/// Picture `k` at `h x w`, repeated beyond its edges, prepared for the network.
fn picture(k: usize, h: usize, w: usize) -> Tensor {
    let crop = Vectors::open("real/real_nets.safetensors").get(&format!("{k}.crop_u8_hwc"));
    let at = |i: usize| (i / 3 / w % 224 * 224 + i / 3 % w % 224) * 3 + i % 3;
    Tensor::from_fn([1, h, w, 3], |i| (crop.data[at(i)] - 127.0) / 128.0)
}

/// The places of these names.
fn places(network: &Network, weights: &Named, x: &Tensor, names: &[&str]) -> Vec<Tensor> {
    let graph = Graph::new();
    let found = network.build(graph.input("x", x.shape), &Scope::new(&graph, weights));
    graph.requested().check("weights", weights, &[]).unwrap();
    let outputs: Vec<Var> = names.iter().map(|name| found.get(name).unwrap()).collect();
    let plan = pollster::block_on(Plan::new(gpu(), &graph, &outputs, &Store::new(), Options::default())).unwrap();
    pollster::block_on(plan.run(&[x])).unwrap()
}

/// The five largest logits, largest first.
fn top(logits: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
    order.truncate(5);
    order
}

/// Every recorded place of both pictures, to `tolerance` of its maximum, and the top five classes.
fn recorded(weights: &Weights, tolerance: f64) {
    let vectors = Vectors::open("real/efficientnet_lite0.safetensors");
    let weights = weights.clone().fold_batch_norm(&NORMS).unwrap();
    let maps = ["block0", "block2", "block4", "block7", "block10", "block14", "block15", "head"];
    let names = [&maps[..], &["pool", "logits"]].concat();
    for k in 0..2 {
        let got = places(lite(0), weights.tensors(), &picture(k, 224, 224), &names);
        for (name, value) in maps.iter().zip(&got) {
            let value = nchw(value);
            let pixels = value.shape.dim(2) * value.shape.dim(3);
            let mean = |p: &[f32]| (p.iter().map(|&v| f64::from(v)).sum::<f64>() / p.len() as f64) as f32;
            let means: Vec<f32> = value.data.chunks(pixels).map(mean).collect();
            let largest = |p: &[f32]| p.iter().fold(f32::MIN, |m, &v| m.max(v));
            let maxima: Vec<f32> = value.data.chunks(pixels).map(largest).collect();
            let sample: Vec<f32> = (0..64).map(|j| value.data[j * 2_654_435_761 % value.data.len()]).collect();
            for (part, got) in [("channel_mean", means), ("channel_max", maxima), ("sample64", sample)] {
                let name = format!("{k}.{name}.{part}");
                close(&name, &got, &vectors.get(&name).data, tolerance);
            }
        }
        for (name, value) in ["pool", "logits"].iter().zip(&got[maps.len()..]) {
            let name = format!("{k}.{name}");
            close(&name, &value.data, &vectors.get(&name).data, tolerance);
        }
        assert_eq!(top(&got[maps.len() + 1].data), top(&vectors.get(&format!("{k}.logits")).data), "picture {k}");
    }
}

#[test]
fn the_shipped_weights_on_photographs() {
    recorded(&shipped(), 5e-3);
}

#[test]
fn the_published_weights_on_photographs() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/weights/efficientnet-lite0-57934424.pth");
    if !path.exists() {
        return skip(&this_test(), "../shared/weights/efficientnet-lite0-57934424.pth is not here");
    }
    let weights = Weights::open(&path).unwrap();
    recorded(&weights, 2e-5);
    // Padding is right for whatever size: what PyTorch computes at sizes where the constants of 224 are wrong, and where they are not.
    let vectors = Vectors::open("efficientnet_lite.safetensors");
    let weights = weights.fold_batch_norm(&NORMS).unwrap();
    for (h, w) in [(192, 192), (256, 256), (260, 260), (301, 227), (64, 64), (61, 47)] {
        let got = places(lite(0), weights.tensors(), &picture(0, h, w), &["logits"]).remove(0);
        close(&format!("{h}x{w}"), &got.data, &vectors.get(&format!("lite0.0.{h}x{w}.logits")).data, 2e-5);
    }
}

/// Lite1 to Lite4 with hash weights against the published code: which blocks there are, and how wide.
#[test]
fn the_whole_family_with_hash_weights() {
    let vectors = Vectors::open("efficientnet_lite.safetensors");
    for number in 1..=4 {
        let network = lite(number);
        let weights = Weights::from_tensors(hashed(network)).fold_batch_norm(&NORMS).unwrap();
        let start = format!("lite{number}.hash.61x47");
        let blocks: Vec<String> = vectors
            .names()
            .iter()
            .filter_map(|n| Some(n.strip_prefix(&format!("{start}."))?.strip_suffix(".sample64")?.to_string()))
            .collect();
        assert!(!blocks.is_empty(), "{start}");
        let names: Vec<&str> = blocks.iter().map(String::as_str).chain(["pool", "logits"]).collect();
        let got = places(network, weights.tensors(), &picture(0, 61, 47), &names);
        for (name, value) in names.iter().zip(got) {
            let map = value.shape.rank() == 4;
            let value = if map { nchw(&value) } else { value };
            let sample = |v: &Tensor| (0..64).map(|j| v.data[j * 2_654_435_761 % v.data.len()]).collect::<Vec<f32>>();
            let (got, part) = if map { (sample(&value), ".sample64") } else { (value.data.clone(), "") };
            // 30 blocks of rounding: PyTorch in f32 is off by up to 3.4e-5.
            close(&format!("{start}.{name}"), &got, &vectors.get(&format!("{start}.{name}{part}")).data, 2e-4);
        }
    }
}

/// Every weight by the hash rule, batch norms beside their convolutions.
fn hashed(network: &Network) -> Vec<(String, Tensor)> {
    let mut all = vec![];
    for (key, zeros) in common::vectors::zeros(network) {
        let fan_in: usize = zeros.shape.dims().iter().skip(1).product();
        let mut put = |name: String, shape: Shape, scale: f64, offset: f64| {
            let value = hash::tensor(&name, shape, scale, offset);
            all.push((name, value));
        };
        if key.ends_with(".weight") {
            put(key.clone(), zeros.shape, (6.0 / fan_in as f64).sqrt(), 0.0);
        } else if key.starts_with("_fc.") {
            put(key, zeros.shape, 0.1, 0.0);
        } else {
            // Where networks are folded a convolution has a bias, here a batch norm.
            let conv = key.strip_suffix(".bias").unwrap();
            let norm = [
                ("_conv_stem", "_bn0"),
                ("_conv_head", "_bn1"),
                ("_expand_conv", "_bn0"),
                ("_depthwise_conv", "_bn1"),
                ("_project_conv", "_bn2"),
            ];
            let (conv, norm) =
                norm.iter().find(|(c, _)| conv.ends_with(c)).map(|(c, n)| (conv, conv.replace(c, n))).unwrap();
            assert_ne!(conv, norm);
            for (part, scale, offset) in
                [("weight", 0.25, 1.0), ("bias", 0.1, 0.0), ("running_mean", 0.1, 0.0), ("running_var", 0.5, 1.0)]
            {
                put(format!("{norm}.{part}"), zeros.shape, scale, offset);
            }
        }
    }
    all
}

/// A picture `[h, w, c]` in f64.
struct Map {
    size: [usize; 2],
    c: usize,
    data: Vec<f64>,
}

/// TensorFlow's SAME convolution as its documentation defines it, written out: `⌈size / stride⌉` outputs; of the zeros that these need,
/// half, rounded down, above and to the left.
fn same_conv(x: &Map, weight: &Tensor, bias: &Tensor, stride: usize, depthwise: bool) -> Map {
    let [co, ci, k] = [weight.shape.dim(0), weight.shape.dim(1), weight.shape.dim(2)];
    let size = x.size.map(|s| s.div_ceil(stride));
    let before = [0, 1].map(|a| ((size[a] - 1) * stride + k).saturating_sub(x.size[a]) / 2);
    let mut data = vec![0.0; size[0] * size[1] * co];
    // [tap, ci, co]: the inner loop runs along output channels.
    let turned: Vec<f64> = (0..k * k * ci * co)
        .map(|i| f64::from(weight.data[(i % co * ci + i / co % ci) * k * k + i / co / ci]))
        .collect();
    for (pixel, out) in data.chunks_mut(co).enumerate() {
        out.iter_mut().zip(&bias.data).for_each(|(o, &b)| *o = f64::from(b));
        for tap in 0..k * k {
            let at = [pixel / size[1] * stride + tap / k, pixel % size[1] * stride + tap % k];
            let (Some(r), Some(c)) = (at[0].checked_sub(before[0]), at[1].checked_sub(before[1])) else { continue };
            if r >= x.size[0] || c >= x.size[1] {
                continue;
            }
            let row = &x.data[(r * x.size[1] + c) * x.c..][..x.c];
            if depthwise {
                let w = &turned[tap * co..][..co];
                out.iter_mut().zip(row.iter().zip(w)).for_each(|(o, (v, w))| *o += v * w);
            } else {
                for (v, w) in row.iter().zip(turned[tap * ci * co..].chunks(co)) {
                    out.iter_mut().zip(w).for_each(|(o, w)| *o += v * w);
                }
            }
        }
    }
    Map { size, c: co, data }
}

fn relu6(mut x: Map) -> Map {
    x.data.iter_mut().for_each(|v| *v = v.clamp(0.0, 6.0));
    x
}

/// Lite0 in plain loops, from its published table: the blocks.
fn by_hand(weights: &Named, x: &Tensor) -> Vec<Map> {
    const TABLE: [[usize; 5]; 7] = [
        [1, 3, 1, 1, 16],
        [2, 3, 2, 6, 24],
        [2, 5, 2, 6, 40],
        [3, 3, 2, 6, 80],
        [3, 5, 1, 6, 112],
        [4, 5, 2, 6, 192],
        [1, 3, 1, 6, 320],
    ];
    let get =
        |name: &str| [Arc::clone(&weights[&format!("{name}.weight")]), Arc::clone(&weights[&format!("{name}.bias")])];
    let conv = |x: &Map, name: &str, stride| {
        let [w, b] = get(name);
        same_conv(x, &w, &b, stride, name.ends_with("_depthwise_conv"))
    };
    let input =
        Map { size: [x.shape.dim(1), x.shape.dim(2)], c: 3, data: x.data.iter().map(|&v| f64::from(v)).collect() };
    let mut blocks = vec![relu6(conv(&input, "_conv_stem", 2))];
    for [repeats, _, stride, expansion, channels] in TABLE {
        for b in 0..repeats {
            let (i, before) = (blocks.len() - 1, blocks.last().unwrap());
            let stride = if b == 0 { stride } else { 1 };
            let at = |part: &str| format!("_blocks.{i}.{part}");
            let wide = (expansion > 1).then(|| relu6(conv(before, &at("_expand_conv"), 1)));
            let y = relu6(conv(wide.as_ref().unwrap_or(before), &at("_depthwise_conv"), stride));
            let mut y = conv(&y, &at("_project_conv"), 1);
            assert_eq!(y.c, channels);
            if stride == 1 && before.c == channels {
                y.data.iter_mut().zip(&before.data).for_each(|(y, x)| *y += x);
            }
            blocks.push(y);
        }
    }
    blocks.remove(0);
    blocks
}

#[test]
fn padding_is_right_at_any_size() {
    let weights = shipped().fold_batch_norm(&NORMS).unwrap();
    for (h, w) in [(192, 192), (224, 224), (256, 256), (260, 260), (301, 227), (33, 70)] {
        let x = picture(1, h, w);
        let want = by_hand(weights.tensors(), &x);
        let names: Vec<String> = (0..want.len()).map(|i| format!("block{i}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let got = places(lite(0), weights.tensors(), &x, &names);
        for (name, (got, want)) in names.iter().zip(got.iter().zip(&want)) {
            assert_eq!(got.shape.dims(), [1, want.size[0], want.size[1], want.c], "{h}x{w} {name}");
            let want: Vec<f32> = want.data.iter().map(|&v| v as f32).collect();
            close(&format!("{h}x{w} {name}"), &got.data, &want, 2e-5);
        }
    }
}

#[test]
fn places_come_in_the_order_of_the_computation() {
    let names = lite(0).places(&shipped());
    let blocks = (0..16).map(|i| format!("block{i}"));
    let want: Vec<String> = blocks.chain(["head", "pool", "logits"].map(String::from)).collect();
    assert_eq!(names, want);
    // Without a classifier there are no logits, and all else is there.
    let headless = shipped()
        .tensors()
        .iter()
        .filter(|(k, _)| !k.starts_with("_fc."))
        .map(|(k, t)| (k.clone(), (**t).clone()))
        .collect::<Vec<_>>();
    assert_eq!(lite(0).places(&Weights::from_tensors(headless)), want[..18]);
    let graph = Graph::new();
    let x = graph.input("x", [1, 224, 224, 3]);
    let named = Named::new();
    let built = LITE0.places(x, &Scope::new(&graph, &named));
    assert_eq!(built.get("block10").unwrap().shape().dims(), [1, 14, 14, 112]);
    assert_eq!(built.get("block4").unwrap().shape().dims(), [1, 28, 28, 40]);
    assert_eq!(built.get("head").unwrap().shape().dims(), [1, 7, 7, 1280]);
}
