//! Weights of vision transformers as their publishers name them, made from Lupe's own names without a look at its tables.

use super::torch::{Entry, Pickle, put, record, zip};
use super::vit::{hashed, openai};
use lupe::tensor::Tensor;
use std::collections::BTreeMap;

pub type Tensors = BTreeMap<String, Tensor>;

/// Every name renamed.
pub fn renamed(tensors: &Tensors, name: impl Fn(&str) -> String) -> Tensors {
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
pub fn hf_vit(tensors: &Tensors) -> Tensors {
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
pub fn hf_dinov2(tensors: &Tensors, five: bool) -> Tensors {
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

pub fn hf_clip(tensors: &Tensors) -> Tensors {
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
pub fn as_openai(tensors: &Tensors) -> Tensors {
    let tensors = without_first_axes(tensors.clone(), ["cls_token", "pos_embed"]);
    let mut all = renamed(&tensors, openai);
    let proj = all.remove("visual.proj").unwrap();
    all.insert("visual.proj".into(), proj.permute(&[1, 0]));
    all.insert("transformer.resblocks.0.ln_1.weight".into(), hashed("t", [16]));
    all.insert("positional_embedding".into(), hashed("p", [77, 16]));
    all
}

/// DINOv2 with registers as timm has it: the class token's position is in the class token.
pub fn timm(tensors: &Tensors) -> Tensors {
    let mut all = renamed(tensors, |name| name.replace("register_tokens", "reg_token"));
    let (pos, cls) = (all.remove("pos_embed").unwrap(), all.remove("cls_token").unwrap());
    let d = pos.shape.last();
    all.insert("cls_token".into(), Tensor::from_fn(cls.shape, |i| cls.data[i] + pos.data[i]));
    all.insert("pos_embed".into(), Tensor::new([1, pos.data.len() / d - 1, d], pos.data[d..].to_vec()));
    all
}

/// A TorchScript archive in half precision: modules are objects in objects.
pub fn torchscript(tensors: &Tensors) -> Vec<u8> {
    let storage = |t: &Tensor| t.data.iter().flat_map(|v| half::f16::from_f32(*v).to_le_bytes()).collect::<Vec<u8>>();
    let numbered: Vec<(String, &Tensor)> = tensors.iter().map(|(name, t)| (name.clone(), t)).collect();
    let mut records = vec![
        record("archive/data.pkl", &module(Pickle::new(), "", &numbered, &numbered).done()),
        record("archive/code/__torch__.py", b""),
        record("archive/constants.pkl", &Pickle::new().op(b")").done()),
        record("archive/version", b"3\n"),
    ];
    records.extend(numbered.iter().enumerate().map(|(i, (_, t))| record(&format!("archive/data/{i}"), &storage(t))));
    zip(&records)
}

/// The object of the tensors whose names begin with `path`.
fn module(pickle: Pickle, path: &str, under: &[(String, &Tensor)], all: &[(String, &Tensor)]) -> Pickle {
    let mut pickle = pickle.global("__torch__.multimodal", "Module").op(b")\x81}").text("training").op(b"\x89s");
    let mut parts: Vec<&str> = under.iter().map(|(name, _)| name[path.len()..].split('.').next().unwrap()).collect();
    parts.dedup();
    for part in parts {
        let whole = format!("{path}{part}");
        let inner: Vec<_> = under.iter().filter(|(n, _)| n.starts_with(&format!("{whole}."))).cloned().collect();
        pickle = match all.iter().position(|(name, _)| *name == whole) {
            Some(i) => put(pickle, &[Entry::new(part, all[i].1.shape.dims(), "HalfStorage", &i.to_string())]),
            None => module(pickle.text(part), &format!("{whole}."), &inner, all).op(b"s"),
        };
    }
    pickle.op(b"b")
}
