//! Vision transformers against PyTorch's tensors in f64, on the device.

use crate::common;
use crate::common::hash;
use crate::common::skip::{MINUTES, skip, this_test};
use crate::common::vectors::{Vectors, close, nhwc};
use crate::common::vit::{TINY, asked, hashed, openai, run, weights};
use lupe::engine::{Graph, Named};
use lupe::models::vit::{Head, Mlp, NETWORKS, Vit};
use lupe::models::{self, Positions};
use lupe::tensor::{Shape, Tensor};
use lupe::weights::WeightsFile;
use std::path::Path;
use std::sync::Arc;

/// The stored tiny tower of CLIP.
const TINY_CLIP: Vit = Vit { eps: 1e-5, patch_bias: false, norm_pre: true, head: Head::Projection(16), ..TINY };

/// The patches' rows of stored tokens `[n, t, d]`, as a map's.
fn patches(tokens: &Tensor, first: usize) -> Vec<f32> {
    let [n, t, d] = [tokens.shape.dim(0), tokens.shape.dim(1), tokens.shape.dim(2)];
    (0..n).flat_map(|i| tokens.data[(i * t + first) * d..(i + 1) * t * d].iter().copied()).collect()
}

#[test]
fn a_tiny_one_tensor_by_tensor() {
    let vectors = Vectors::open("vit_tiny.safetensors");
    let named = vectors.named("w:");
    let places = |x: &str, names: &[&str]| {
        run(|x, p| TINY.places(x, p, Positions::Offset), &named, &nhwc(&vectors.get(x)), names)
    };
    let got = places("x", &["block0", "block1", "cls", "logits", "tokens"]);
    for (i, block) in got[..2].iter().enumerate() {
        assert_eq!(block.shape.dims(), [3, 4, 4, 32]);
        let want = vectors.get(&format!("tap:blocks.{i}.out"));
        close(&format!("block{i}"), &block.data, &patches(&want, 1), 2e-5);
    }
    close("cls", &got[2].data, &vectors.get("cls_feature").data, 2e-5);
    close("logits", &got[3].data, &vectors.get("logits").data, 2e-5);
    // The last norm of the last block's rows, written out.
    let [weight, bias] = ["weight", "bias"].map(|part| vectors.get(&format!("w:norm.{part}")).data);
    let normed = |row: &[f32]| {
        let mean = row.iter().map(|&v| f64::from(v)).sum::<f64>() / 32.0;
        let var = row.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / 32.0;
        let one = |(c, &v): (usize, &f32)| {
            (f64::from(v) - mean) / (var + 1e-6).sqrt() * f64::from(weight[c]) + f64::from(bias[c])
        };
        row.iter().enumerate().map(|at| one(at) as f32).collect::<Vec<_>>()
    };
    let want: Vec<f32> = got[1].data.chunks(32).flat_map(normed).collect();
    close("tokens", &got[4].data, &want, 2e-5);
    for size in ["24x40", "48x48"] {
        let cls = places(&format!("x_{size}"), &["cls"]).remove(0);
        close(size, &cls.data, &vectors.get(&format!("cls_feature_{size}")).data, 2e-5);
    }
}

#[test]
fn a_picture_alone_and_in_a_batch_is_the_same() {
    let vectors = Vectors::open("vit_tiny.safetensors");
    let (named, x) = (vectors.named("w:"), nhwc(&vectors.get("x")));
    let names = ["block0", "block1", "tokens", "cls", "logits"];
    let places = |x: &Tensor| run(|x, p| TINY.places(x, p, Positions::Size), &named, x, &names);
    let together = places(&x);
    for i in 0..3 {
        let size = x.data.len() / 3;
        let alone = places(&Tensor::new([1, 32, 32, 3], x.data[i * size..(i + 1) * size].to_vec()));
        for (name, (alone, together)) in names.iter().zip(alone.iter().zip(&together)) {
            let part = alone.data.len();
            assert!(alone.data == together.data[i * part..(i + 1) * part], "{name} of picture {i}");
        }
    }
}

#[test]
fn a_tiny_clip_with_both_activations() {
    let vectors = Vectors::open("clip_vit_tiny.safetensors");
    let named = vectors.named("timm:");
    for (mode, mlp) in [("quick", Mlp::QuickGelu(128)), ("gelu", Mlp::Gelu(128))] {
        let vit = Vit { mlp, ..TINY_CLIP };
        let names = ["block0", "block1", "cls", "projected"];
        let got = run(|x, p| vit.places(x, p, Positions::SizeAntialiased), &named, &nhwc(&vectors.get("x")), &names);
        for (i, block) in got[..2].iter().enumerate() {
            let want = vectors.get(&format!("{mode}.tap:block{i}"));
            close(&format!("{mode} block{i}"), &block.data, &patches(&want, 1), 2e-5);
        }
        close(&format!("{mode} cls"), &got[2].data, &vectors.get(&format!("{mode}.ln_post_cls")).data, 2e-5);
        close(&format!("{mode} projected"), &got[3].data, &vectors.get(&format!("{mode}.image_embed")).data, 2e-5);
    }
}

const WAYS: [Positions; 3] = [Positions::Offset, Positions::Size, Positions::SizeAntialiased];

/// Positions `[g * g, d]` at a grid of `to`, by the references.
fn resampled(how: Positions, positions: &Tensor, to: [usize; 2]) -> Tensor {
    let graph = Graph::new();
    let grid = positions.shape.dim(0).isqrt();
    let value = how.resampled(graph.weight("p", Arc::new(positions.clone())), grid, to);
    graph.eval(&[value], &[]).unwrap().remove(0)
}

/// Without the class token's row.
fn places_alone(pos: &Tensor) -> Tensor {
    let d = pos.shape.last();
    Tensor::new([pos.data.len() / d - 1, d], pos.data[d..].to_vec())
}

fn size(text: &str) -> [usize; 2] {
    let (rows, columns) = text.split_once('x').unwrap();
    [rows, columns].map(|n| n.parse().unwrap())
}

#[test]
fn positions_at_other_grids() {
    let vectors = Vectors::open("pos_embed.safetensors");
    let stored = places_alone(&vectors.get("pos_embed_14x14"));
    for (how, name) in WAYS.into_iter().zip(["dino", "plain_bicubic", "timm_antialias"]) {
        for grid in ["7x7", "8x8", "8x12", "16x16", "28x28"] {
            let want = places_alone(&vectors.get(&format!("{name}_{grid}")));
            close(&format!("{name} {grid}"), &resampled(how, &stored, size(grid)).data, &want.data, 2e-6);
        }
        // On the grid itself nothing is touched.
        assert_eq!(resampled(how, &stored, [14, 14]).data, stored.data);
    }
}

/// 64 values of an array, wherever they lie.
fn sample64(values: &[f32]) -> Vec<f32> {
    (0..64).map(|j| values[j * 2_654_435_761 % values.len()]).collect()
}

/// The mean of each of `d` columns.
fn means(values: &[f32], d: usize) -> Vec<f32> {
    let rows = values.len() / d;
    (0..d)
        .map(|c| (values.iter().skip(c).step_by(d).map(|&v| f64::from(v)).sum::<f64>() / rows as f64) as f32)
        .collect()
}

/// Rows `[n, d]` against the summary of that name, to `tolerance`.
fn summarised(vectors: &Vectors, name: &str, values: &[f32], d: usize, tolerance: f64) {
    close(&format!("{name} sample64"), &sample64(values), &vectors.get(&format!("{name}.sample64")).data, tolerance);
    close(&format!("{name} means"), &means(values, d), &vectors.get(&format!("{name}.channel_mean")).data, tolerance);
}

fn focus() -> Option<Named> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/weights/vit_s14_focus.safetensors");
    if !path.exists() {
        skip(&this_test(), "../shared/weights/vit_s14_focus.safetensors is not here");
        return None;
    }
    let weights = lupe::weights::Weights::open(&path).unwrap();
    Some(weights.tensors().clone())
}

#[test]
fn positions_of_dinov2() {
    let vectors = Vectors::open("dino_ad.safetensors");
    let mut stored = vec![("hash37", hashed("pos_embed", [1, 1370, 384]))];
    if let Some(named) = focus() {
        let get = |name: &str| (*named[name]).clone();
        stored.extend([("focus16", get("pos_embed")), ("focus37", get("pos_embed_37x37"))]);
    }
    let mut seen = 0;
    for name in vectors.names() {
        let Some(rest) = name.strip_prefix("pos.").and_then(|n| n.strip_suffix(".sample64")) else { continue };
        let [net, grid, how] = rest.split('.').collect::<Vec<_>>()[..] else { panic!("{name}") };
        let Some((_, pos)) = stored.iter().find(|(n, _)| *n == net) else { continue };
        let got = resampled(Positions::named(how).unwrap(), &places_alone(pos), size(grid));
        let full = format!("pos.{rest}");
        for (part, got) in [("sample64", sample64(&got.data)), ("channel_mean", means(&got.data, 384))] {
            let want = vectors.get(&format!("{full}.{part}")).data;
            let off = got.iter().zip(&want).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(off <= 2e-5, "{full}.{part} is off by {off}");
        }
        seen += 1;
    }
    assert_eq!(seen, if stored.len() == 3 { 21 } else { 9 });
    for (n, m) in [(37, 32), (16, 32), (37, 48)] {
        for how in WAYS {
            let (got, want) = (how.matrix(n, m), vectors.get(&format!("pos.matrix.{n}to{m}.{}", how.name())));
            let off = got.data.iter().zip(&want.data).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(got.shape == want.shape && off <= 2e-6, "{n} to {m} {how:?}: off by {off}");
        }
    }
}

/// DINOv2 with hash weights, with and without registers, and a tiny one with SwiGLU.
#[test]
fn dinov2_with_hash_weights() {
    let vectors = Vectors::open("dino_ad.safetensors");
    let x = nhwc(&hash::tensor("input:dinov2", [1, 3, 126, 154], 2.0, 0.0));
    let small = models::vit::DINOV2_S14;
    let swiglu = Vit { width: 48, depth: 2, heads: 3, mlp: Mlp::SwiGlu(128), registers: 4, ..small };
    for (name, vit, how, prefix) in [
        ("dinov2_vits14", small, Positions::Offset, ""),
        ("dinov2_vits14_reg", Vit { registers: 4, ..small }, Positions::SizeAntialiased, ""),
        ("dinov2_tiny_swiglu_reg", swiglu, Positions::SizeAntialiased, "tiny/"),
    ] {
        let named = weights(&vit, |name| format!("{prefix}{name}"));
        let last = format!("block{}", vit.depth - 1);
        let got = run(|x, p| vit.places(x, p, how), &named, &x, &["tokens", "cls", &last]);
        summarised(&vectors, &format!("hash.{name}.tokens"), &got[0].data, vit.width, 5e-4);
        close(&format!("{name} cls"), &got[1].data, &vectors.get(&format!("hash.{name}.cls")).data, 5e-4);
        summarised(&vectors, &format!("hash.{name}.prenorm"), &got[2].data, vit.width, 5e-4);
        if let Some(network) = models::find(name) {
            assert_eq!(network.positions, how, "{name}");
        }
    }
}

#[test]
fn dino_with_hash_weights() {
    let vectors = Vectors::open("full_models_hash_weights.safetensors");
    let network = models::find("dino_vits16").unwrap();
    let named = weights(&models::vit::DINO_S16, |name| name.to_string());
    for edge in [224, 128] {
        let x = nhwc(&hash::tensor("input:img", [1, 3, edge, edge], 2.0, 0.0));
        let got = run(|x, p| network.build(x, p), &named, &x, &["cls"]).remove(0);
        let want = vectors.get(&format!("vit_small16_dino.{edge}.cls"));
        close(&format!("dino_vits16 at {edge}"), &got.data, &want.data, 5e-4);
    }
}

#[test]
fn clip_with_hash_weights() {
    let vectors = Vectors::open("full_models_hash_weights.safetensors");
    let x = nhwc(&hash::tensor("input:img", [1, 3, 224, 224], 2.0, 0.0));
    let mut named = Named::new();
    // Hashed as OpenAI names them and shapes them: two of them have fewer axes there.
    for (name, shape) in asked(&models::vit::CLIP_B16) {
        let stored = match name.as_str() {
            "cls_token" => Shape::from([768]),
            "pos_embed" => Shape::from([197, 768]),
            _ => shape,
        };
        named.insert(name.clone(), Arc::new(hashed(&openai(&name), stored).reshape(shape)));
    }
    let proj = hashed("visual.proj", [768, 512]);
    named.insert("head.weight".into(), Arc::new(proj.permute(&[1, 0])));
    let run = |name: &str, places: &[&str]| {
        let network = models::find(name).unwrap();
        run(|x, p| network.build(x, p), &named, &x, places)
    };
    let quick = run("clip_vitb16", &["cls", "projected"]);
    close("quick cls", &quick[0].data, &vectors.get("clip_vit_b16.quick.ln_post").data, 5e-4);
    close("quick projected", &quick[1].data, &vectors.get("clip_vit_b16.quick.projected").data, 5e-4);
    let exact = run("vit_base_patch16_clip_224", &["cls"]).remove(0);
    close("gelu cls", &exact.data, &vectors.get("clip_vit_b16.gelu.ln_post").data, 5e-4);
}

/// The trained ViT-S/14 on photographs, as ONNX Runtime computes it in f32.
#[test]
fn the_trained_one_on_photographs() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/weights/vit_s14_focus.safetensors");
    if !path.exists() {
        return skip(&this_test(), "../shared/weights/vit_s14_focus.safetensors is not here");
    }
    let (network, weights) = models::open("vit_s14_focus", Some(&WeightsFile::from(path.as_path()))).unwrap();
    assert!(weights.notes()[0].contains("left out: pos_embed_37x37"), "{:?}", weights.notes());
    let vectors = Vectors::open("real/real_nets.safetensors");
    for k in 0..2 {
        let rgb = vectors.get(&format!("{k}.crop_u8_hwc")).reshape([1, 224, 224, 3]);
        let table = network.preprocess.table();
        let x = Tensor::from_fn(rgb.shape, |i| table.data[256 * (i % 3) + rgb.data[i] as usize]);
        let got = run(|x, p| network.build(x, p), weights.tensors(), &x, &["block7", "block11", "cls", "tokens"]);
        for (block, value) in ["block7", "block11"].iter().zip(&got) {
            // What is stored has the class token's row first: only the patches' values are compared.
            let want = vectors.get(&format!("{k}.vit_s14.{block}.sample64")).data;
            let at = |j: usize| j * 2_654_435_761 % (257 * 384);
            let patches: Vec<usize> = (0..64).filter(|j| at(*j) >= 384).collect();
            let got: Vec<f32> = patches.iter().map(|&j| value.data[at(j) - 384]).collect();
            close(&format!("{k} {block}"), &got, &patches.iter().map(|&j| want[j]).collect::<Vec<_>>(), 2e-5);
        }
        let whole = [&got[2].data[..], &got[3].data].concat();
        summarised(&vectors, &format!("{k}.vit_s14.norm"), &whole, 384, 2e-5);
    }
}

/// The device against the references where no vectors are: the large ones, each of their blocks being like any other.
#[test]
fn large_ones_agree_with_their_references() {
    if !common::sweep::full() {
        return skip(&this_test(), MINUTES);
    }
    for name in ["dinov2_vitl14", "dinov2_vitl14_reg", "vit_huge_patch14_clip_224", "dino_vitb16", "dinov2_vitb14"] {
        let network = models::find(name).unwrap();
        let edge = 4 * network.multiple;
        let named = models::stand_in::weights(network).tensors().clone();
        let x = nhwc(&hash::tensor("input:img", [1, 3, edge, edge], 2.0, 0.0));
        let names = ["block1", "cls"];
        let got = run(|x, p| network.build(x, p), &named, &x, &names);
        let graph = Graph::new();
        let places = network.build(graph.input("x", x.shape), &lupe::engine::Scope::new(&graph, &named));
        let want = graph.eval(&names.map(|n| places.get(n).unwrap()), &[&x]).unwrap();
        for (place, (got, want)) in names.iter().zip(got.iter().zip(&want)) {
            close(&format!("{name} {place}"), &got.data, &want.data, 5e-4);
        }
    }
}

#[test]
fn places_and_sizes_are_as_documented() {
    for network in &NETWORKS {
        let places = network.places(&lupe::weights::Weights::default());
        let blocks = places.iter().filter(|p| p.starts_with("block")).count();
        assert_eq!(places[blocks..blocks + 2], ["tokens", "cls"], "{}", network.name);
        let head = places[blocks + 2..].iter().map(String::as_str).collect::<Vec<_>>();
        let want: &[&str] = match network.name {
            "clip_vitb16" => &["projected"],
            name if name.starts_with("deit") => &["logits"],
            _ => &[],
        };
        assert_eq!(head, want, "{}", network.name);
        assert!(network.features.layers.iter().all(|l| places.contains(&l.to_string())), "{}", network.name);
        let m = network.multiple;
        assert!(network.takes("--size", [4 * m, 7 * m]).is_ok());
        let told = network.takes("--size", [16 * m + 1, m]).unwrap_err();
        let want = format!("--size {}: must be a multiple of {m}", 16 * m + 1);
        assert!(told.exit_code() == 2 && told.to_string().contains(&want), "{told}");
        assert!(told.to_string().contains(&format!("such as {} or {}", 16 * m, 17 * m)), "{told}");
    }
}
