//! Names of vision transformers' weights as publishers spell them: the same tensors bit for bit; what belongs to another network is told.

mod common;

use common::program::{Bench, done, lupe, refused};
use common::vit::{asked, hashed, openai, weights};
use lupe::engine::Named;
use lupe::models::vit::{Head, Mlp, NETWORKS, Vit};
use lupe::models::{self, Network};
use lupe::tensor::Tensor;
use lupe::weights::{WeightsFile, safetensors};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const PLAIN: Vit = Vit {
    patch: 4,
    width: 12,
    depth: 2,
    heads: 3,
    mlp: Mlp::Gelu(48),
    eps: 1e-6,
    grid: 3,
    patch_bias: true,
    norm_pre: false,
    registers: 0,
    layer_scale: false,
    head: Head::None,
};
const SCALED: Vit = Vit { layer_scale: true, ..PLAIN };
const REGISTERED: Vit = Vit { registers: 4, ..SCALED };
const GATED: Vit = Vit { mlp: Mlp::SwiGlu(20), ..REGISTERED };
const CLIP: Vit = Vit { norm_pre: true, patch_bias: false, head: Head::Projection(8), ..PLAIN };

static TINY_PLAIN: Network = Network { name: "tiny", builder: |x, p, how| PLAIN.places(x, p, how), ..NETWORKS[0] };
static TINY_SCALED: Network =
    Network { name: "tiny_scaled", builder: |x, p, how| SCALED.places(x, p, how), ..NETWORKS[0] };
static TINY_REGISTERED: Network =
    Network { name: "tiny_reg", builder: |x, p, how| REGISTERED.places(x, p, how), ..NETWORKS[0] };
static TINY_GATED: Network =
    Network { name: "tiny_gated", builder: |x, p, how| GATED.places(x, p, how), ..NETWORKS[0] };
static TINY_CLIP: Network = Network { name: "tiny_clip", builder: |x, p, how| CLIP.places(x, p, how), ..NETWORKS[0] };

type Tensors = BTreeMap<String, Tensor>;

fn own(vit: &Vit) -> Tensors {
    let mut all: Tensors = weights(vit, |name| name.into()).into_iter().map(|(k, t)| (k, (*t).clone())).collect();
    if let Head::Projection(to) = vit.head {
        all.insert("head.weight".into(), hashed("head.weight", [to, vit.width]));
    }
    all
}

fn written(b: &Bench, name: &str, tensors: &Tensors) -> PathBuf {
    let all: Vec<(String, &Tensor)> = tensors.iter().map(|(k, t)| (k.clone(), t)).collect();
    b.write(name, &safetensors::write(&all).unwrap())
}

fn read(network: &'static Network, path: &Path) -> lupe::Result<(Named, Vec<String>)> {
    let weights = models::read(network, &WeightsFile::from(path))?;
    Ok((weights.tensors().clone(), weights.notes().to_vec()))
}

/// Every name renamed.
fn renamed(tensors: &Tensors, name: impl Fn(&str) -> String) -> Tensors {
    tensors.iter().map(|(k, t)| (name(k), t.clone())).collect()
}

/// A file in which queries, keys and values are apart: `path` gives the path of a block's attention, `parts` their names.
fn apart(tensors: Tensors, parts: [&str; 3], pattern: &str) -> Tensors {
    let split = |(name, t): (String, Tensor)| match name.split_once(pattern) {
        Some((before, end)) => {
            let rows = t.data.len() / 3;
            let shape: Vec<usize> = [&[t.shape.dim(0) / 3], &t.shape.dims()[1..]].concat();
            let part = |(i, part): (usize, &str)| {
                let data = t.data[i * rows..(i + 1) * rows].to_vec();
                (format!("{before}{part}{end}"), Tensor::new(lupe::tensor::Shape::new(&shape), data))
            };
            parts.into_iter().enumerate().map(part).collect()
        }
        None => vec![(name, t)],
    };
    tensors.into_iter().flat_map(split).collect()
}

fn replaced(name: &str, pairs: &[(&str, &str)]) -> String {
    pairs.iter().fold(name.to_string(), |name, (from, to)| name.replace(from, to))
}

fn without_first_axes(mut tensors: Tensors, names: [&str; 2]) -> Tensors {
    for name in names {
        let t = tensors.remove(name).unwrap();
        let (rows, d) = t.shape.rows();
        let t = if rows == 1 { t.reshape([d]) } else { t.reshape([rows, d]) };
        tensors.insert(name.into(), t);
    }
    tensors
}

const HF_VIT: [(&str, &str); 8] = [
    ("cls_token", "embeddings.cls_token"),
    ("pos_embed", "embeddings.position_embeddings"),
    ("register_tokens", "embeddings.register_tokens"),
    ("patch_embed.proj", "embeddings.patch_embeddings.projection"),
    ("blocks.", "encoder.layer."),
    ("attn.proj", "attention.output.dense"),
    ("ls1.gamma", "layer_scale1.lambda1"),
    ("ls2.gamma", "layer_scale2.lambda1"),
];

/// ViT and DINO: `layernorm_before`, `intermediate`.
fn hf_vit(tensors: &Tensors) -> Tensors {
    const MORE: [(&str, &str); 4] = [
        ("norm1", "layernorm_before"),
        ("norm2", "layernorm_after"),
        ("mlp.fc1", "intermediate.dense"),
        ("mlp.fc2", "output.dense"),
    ];
    let name = |name: &str| match name.strip_prefix("norm.") {
        Some(last) => format!("vit.layernorm.{last}"),
        None => format!("vit.{}", replaced(&replaced(name, &HF_VIT), &MORE)),
    };
    let names = ["attention.attention.query", "attention.attention.key", "attention.attention.value"];
    let mut all = apart(renamed(tensors, name), names, "attn.qkv");
    all.insert("vit.pooler.dense.weight".into(), hashed("pooler", [12, 12]));
    all
}

/// DINOv2, in files or as version 5's modules are called.
fn hf_dinov2(tensors: &Tensors, five: bool) -> Tensors {
    let name = |name: &str| match name.strip_prefix("norm.") {
        Some(last) => format!("layernorm.{last}"),
        None if five => {
            replaced(&replaced(name, &HF_VIT), &[("attention.output.dense", "attention.o_proj"), ("w3", "down_proj")])
        }
        None => replaced(&replaced(name, &HF_VIT), &[("w12", "weights_in"), ("w3", "weights_out")]),
    };
    let old = ["attention.attention.query", "attention.attention.key", "attention.attention.value"];
    let new = ["attention.q_proj", "attention.k_proj", "attention.v_proj"];
    let mut all = apart(renamed(tensors, name), if five { new } else { old }, "attn.qkv");
    if five {
        let halves = |(name, t): (String, Tensor)| match name.split_once("w12") {
            Some((before, end)) => {
                let half = t.data.len() / 2;
                let shape: Vec<usize> = [&[t.shape.dim(0) / 2], &t.shape.dims()[1..]].concat();
                let part =
                    |i: usize| Tensor::new(lupe::tensor::Shape::new(&shape), t.data[i * half..(i + 1) * half].to_vec());
                vec![(format!("{before}gate_proj{end}"), part(0)), (format!("{before}up_proj{end}"), part(1))]
            }
            None => vec![(name, t)],
        };
        all = all.into_iter().flat_map(halves).collect();
    }
    all.insert("embeddings.mask_token".into(), hashed("mask", [1, 12]));
    all
}

fn hf_clip(tensors: &Tensors) -> Tensors {
    const PAIRS: [(&str, &str); 8] = [
        ("cls_token", "embeddings.class_embedding"),
        ("pos_embed", "embeddings.position_embedding.weight"),
        ("patch_embed.proj", "embeddings.patch_embedding"),
        ("norm_pre", "pre_layrnorm"),
        ("blocks.", "encoder.layers."),
        ("attn.proj", "self_attn.out_proj"),
        ("norm1", "layer_norm1"),
        ("norm2", "layer_norm2"),
    ];
    let name = |name: &str| match name {
        "head.weight" => "visual_projection.weight".into(),
        _ => match name.strip_prefix("norm.") {
            Some(last) => format!("vision_model.post_layernorm.{last}"),
            None => format!("vision_model.{}", replaced(name, &PAIRS)),
        },
    };
    let tensors = without_first_axes(tensors.clone(), ["cls_token", "pos_embed"]);
    let mut all =
        apart(renamed(&tensors, name), ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"], "attn.qkv");
    all.insert("text_model.encoder.layers.0.self_attn.q_proj.weight".into(), hashed("text", [16, 16]));
    all.insert("logit_scale".into(), hashed("scale", [1]));
    all
}

/// As OpenAI has it, with a piece of the texts' tower.
fn as_openai(tensors: &Tensors) -> Tensors {
    let tensors = without_first_axes(tensors.clone(), ["cls_token", "pos_embed"]);
    let mut all = renamed(&tensors, openai);
    let proj = all.remove("visual.proj").unwrap();
    all.insert("visual.proj".into(), proj.permute(&[1, 0]));
    all.insert("transformer.resblocks.0.ln_1.weight".into(), hashed("t", [16]));
    all.insert("positional_embedding".into(), hashed("p", [77, 16]));
    all
}

/// DINOv2 with registers as timm has it: the class token's position is in the class token.
fn timm(tensors: &Tensors) -> Tensors {
    let mut all = renamed(tensors, |name| name.replace("register_tokens", "reg_token"));
    let (pos, cls) = (all.remove("pos_embed").unwrap(), all.remove("cls_token").unwrap());
    let d = pos.shape.last();
    all.insert("cls_token".into(), Tensor::from_fn(cls.shape, |i| cls.data[i] + pos.data[i]));
    all.insert("pos_embed".into(), Tensor::new([1, pos.data.len() / d - 1, d], pos.data[d..].to_vec()));
    all
}

#[test]
fn every_spelling_gives_the_same_bits() {
    let b = Bench::new();
    let [plain, scaled, registered, gated, clip] = [&PLAIN, &SCALED, &REGISTERED, &GATED, &CLIP].map(own);
    let chunked = renamed(&scaled, |n| n.replace("blocks.0.", "blocks.0.0.").replace("blocks.1.", "blocks.3.1."));
    let masked = |mut all: Tensors| {
        all.insert("mask_token".into(), hashed("mask", [1, 12]));
        all
    };
    let files: [(&str, &'static Network, &Tensors, Tensors); 11] = [
        ("dino", &TINY_PLAIN, &plain, renamed(&plain, |n| format!("module.backbone.{n}"))),
        ("hf_vit", &TINY_PLAIN, &plain, hf_vit(&plain)),
        ("dinov2", &TINY_SCALED, &scaled, masked(scaled.clone())),
        ("chunked", &TINY_SCALED, &scaled, masked(chunked)),
        ("hf_dinov2", &TINY_SCALED, &scaled, hf_dinov2(&scaled, false)),
        ("hf_dinov2_5", &TINY_REGISTERED, &registered, hf_dinov2(&registered, true)),
        ("hf_gated", &TINY_GATED, &gated, hf_dinov2(&gated, false)),
        ("hf_gated_5", &TINY_GATED, &gated, hf_dinov2(&gated, true)),
        ("timm_clip", &TINY_CLIP, &clip, clip.clone()),
        ("openai", &TINY_CLIP, &clip, as_openai(&clip)),
        ("hf_clip", &TINY_CLIP, &clip, hf_clip(&clip)),
    ];
    for (name, network, want, file) in files {
        let (got, notes) = read(network, &written(&b, &format!("{name}.safetensors"), &file)).unwrap();
        assert_eq!(got.keys().collect::<Vec<_>>(), want.keys().collect::<Vec<_>>(), "{name}");
        for (key, t) in want {
            assert!(*got[key] == *t, "{name}: {key}");
        }
        // What is known to be needless is left out without a word; the texts' tower is told.
        let told = notes.iter().any(|n| n.contains("left out"));
        assert_eq!(told, ["openai", "hf_clip"].contains(&name), "{name}: {notes:?}");
        let spelled = notes.iter().any(|n| n.contains("are read as those of"));
        assert_eq!(spelled, name.starts_with("hf_") || ["openai", "chunked"].contains(&name), "{name}: {notes:?}");
    }
    // timm adds the class token's position to the class token: the sum is what counts.
    let (got, _) = read(&TINY_REGISTERED, &written(&b, "timm.safetensors", &timm(&registered))).unwrap();
    let sum = |named: &dyn Fn(&str) -> Vec<f32>| {
        let (cls, pos) = (named("cls_token"), named("pos_embed"));
        (cls.iter().zip(&pos).map(|(c, p)| c + p).collect::<Vec<f32>>(), pos[12..].to_vec(), named("register_tokens"))
    };
    assert!(sum(&|n| got[n].data.clone()) == sum(&|n| registered[n].data.clone()));
}

#[test]
fn another_network_s_weights_are_told() {
    let b = Bench::new();
    let [plain, registered, clip] = [&PLAIN, &REGISTERED, &CLIP].map(own);
    let told = |network: &'static Network, file: &Tensors, wants: &[&str]| {
        let error = read(network, &written(&b, "w.safetensors", file)).unwrap_err();
        let text = error.to_string();
        assert_eq!(error.exit_code(), 4, "{text}");
        wants.iter().for_each(|want| assert!(text.contains(want), "{want}: {text}"));
    };
    told(&TINY_CLIP, &plain, &["norm_pre.weight [12] is missing", "patch_embed.proj.bias is not part of this network"]);
    told(&TINY_PLAIN, &clip, &["patch_embed.proj.bias [12] is missing", "norm_pre.weight is not part of this network"]);
    told(&TINY_SCALED, &registered, &["register_tokens is not part of this network"]);
    told(&TINY_REGISTERED, &own(&SCALED), &["register_tokens [1,4,12] is missing"]);
    told(&TINY_PLAIN, &own(&SCALED), &["blocks.0.ls1.gamma is not part of this network"]);
    told(
        &TINY_PLAIN,
        &as_openai(&clip),
        &[
            "under visual, by the names of OpenAI, as tiny",
            "norm_pre.weight is not part",
            "patch_embed.proj.bias [12] is missing",
        ],
    );
    let mut cut = hf_vit(&plain);
    cut.remove("vit.encoder.layer.1.attention.attention.key.weight");
    told(&TINY_PLAIN, &cut, &["blocks.1.attn.qkv.weight [36,12] is missing"]);
}

/// A file of that network's names and shapes whose elements nobody wrote: they are zero, and take no room.
fn hollow(b: &Bench, name: &str, shapes: &[(String, Vec<usize>)]) -> PathBuf {
    let (mut header, mut end) = (serde_json::Map::new(), 0);
    for (name, shape) in shapes {
        let size = 4 * shape.iter().product::<usize>();
        header.insert(name.clone(), json!({"dtype": "F32", "shape": shape, "data_offsets": [end, end + size]}));
        end += size;
    }
    let header = serde_json::Value::Object(header).to_string();
    let bytes = [&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat();
    let path = b.write(name, &bytes);
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len((bytes.len() + end) as u64).unwrap();
    path
}

fn shapes(vit: &Vit) -> Vec<(String, Vec<usize>)> {
    asked(vit).into_iter().map(|(name, shape)| (name, shape.dims().to_vec())).collect()
}

#[test]
fn the_message_names_the_networks_that_fit() {
    let b = Bench::new();
    let dino = hollow(&b, "dino.safetensors", &shapes(&models::vit::DINO_B16));
    let error = read(models::find("clip_vitb16").unwrap(), &dino).unwrap_err().to_string();
    let wants = [
        "norm_pre.weight [768] is missing",
        "patch_embed.proj.bias is not part of this network",
        "its names and shapes are those of dino_vitb16, deit_base_patch16_224",
    ];
    wants.iter().for_each(|want| assert!(error.contains(want), "{want}: {error}"));
    let args = ["embed", "none.png", "--model", "clip_vitb16", "--weights"];
    refused(lupe().args(args).arg(&dino), 4, &["those of dino_vitb16"]);
    let small = hollow(&b, "small.safetensors", &shapes(&models::vit::DINOV2_S14));
    let wrong = read(models::find("vit_s14_focus").unwrap(), &small).unwrap_err().to_string();
    assert!(wrong.contains("pos_embed has shape [1,1370,384], this network wants [1,257,384]"), "{wrong}");
    assert!(wrong.contains("those of dinov2_vits14"), "{wrong}");
}

#[test]
fn inspect_says_which_networks_fit() {
    let b = Bench::new();
    let small = hollow(&b, "small.safetensors", &shapes(&models::vit::DINO_S16));
    let seen = done(lupe().args(["weights", "inspect"]).arg(&small));
    let wants = [
        "fits dino_vits16, deit_small_patch16_224",
        "names        as in the file",
        "batch norms  none; this network has layer norms",
        "shorter edge to 256, bicubic; centre crop 224x224",
        "lupe embed PICTURE --model dino_vits16",
    ];
    wants.iter().for_each(|want| assert!(seen.contains(want), "{want}: {seen}"));
    assert!(!seen.contains("lupe classify"), "{seen}");
    let mut clip: Vec<(String, Vec<usize>)> = shapes(&models::vit::CLIP_B16);
    clip.push(("head.weight".into(), vec![768, 512]));
    for (name, shape) in &mut clip {
        match name.as_str() {
            "cls_token" => *shape = vec![768],
            "pos_embed" => *shape = vec![197, 768],
            _ => {}
        }
        *name = openai(name);
    }
    let path = hollow(&b, "clip.safetensors", &clip);
    let seen = done(lupe().args(["weights", "inspect"]).arg(&path));
    let wants = ["fits clip_vitb16, vit_base_patch16_clip_224", "visual. is removed; those of OpenAI become Lupe's"];
    wants.iter().for_each(|want| assert!(seen.contains(want), "{want}: {seen}"));
    assert!(!seen.contains("classes") && !seen.contains("lupe classify"), "{seen}");
}

#[test]
fn halves_of_different_types_are_told() {
    let b = Bench::new();
    let half = Arc::new(hf_vit(&own(&PLAIN)));
    let shapes: Vec<(String, Vec<usize>)> = half.iter().map(|(n, t)| (n.clone(), t.shape.dims().to_vec())).collect();
    let path = hollow(&b, "mixed.safetensors", &shapes);
    let bytes = std::fs::read(&path).unwrap();
    let text = String::from_utf8_lossy(&bytes[8..8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize])
        .into_owned();
    let mut header: serde_json::Value = serde_json::from_str(&text).unwrap();
    // The same bytes as integers: queries and keys no longer fit together.
    header["vit.encoder.layer.0.attention.attention.key.weight"]["dtype"] = "I32".into();
    let header = header.to_string();
    let data = &bytes[8 + text.len()..];
    let path = b.write("mixed.safetensors", &[&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat());
    let error = read(&TINY_PLAIN, &path).unwrap_err().to_string();
    assert!(error.contains("blocks.0.attn.qkv.weight is made of tensors of different types"), "{error}");
}
