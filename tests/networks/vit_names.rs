//! Names of vision transformers' weights as publishers spell them: the same tensors bit for bit; what belongs to another network is told.

use crate::common::program::{Bench, done, lupe, refused};
use crate::common::spelled::{Tensors, as_openai, hf_clip, hf_dinov2, hf_vit, renamed, timm, torchscript};
use crate::common::vit::{asked, hashed, openai, weights};
use lupe::engine::Named;
use lupe::models::vit::{Head, Mlp, NETWORKS, Vit};
use lupe::models::{self, Network};
use lupe::tensor::Tensor;
use lupe::weights::{WeightsFile, safetensors};
use serde_json::json;
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

/// OpenAI's own files: a module of TorchScript in half precision, the texts' tower beside the pictures'.
#[test]
fn openai_s_archive() {
    let b = Bench::new();
    let clip = own(&CLIP);
    let path = b.write("ViT-B-16.pt", &torchscript(&as_openai(&clip)));
    let (got, notes) = read(&TINY_CLIP, &path).unwrap();
    assert_eq!(got.keys().collect::<Vec<_>>(), clip.keys().collect::<Vec<_>>());
    for (name, t) in &clip {
        let rounded: Vec<f32> = t.data.iter().map(|v| half::f16::from_f32(*v).to_f32()).collect();
        assert!(got[name].shape == t.shape && got[name].data == rounded, "{name}");
    }
    assert!(notes.iter().any(|n| n.contains("are under visual")), "{notes:?}");
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
        "batch norms  none; this network has no batch norms",
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
fn commands_tell_what_a_network_does_not_have() {
    let b = Bench::new();
    let small = hollow(&b, "small.safetensors", &shapes(&models::vit::DINO_S16));
    let picture = b.picture("a.png");
    let with = |words: &[&str]| {
        let mut command = lupe();
        command.args(words).arg("--weights").arg(&small);
        command
    };
    let size = "225: must be a multiple of 16, the edge of the patches of dino_vits16, such as 224 or 240";
    refused(&mut with(&["plan", "dino_vits16", "--size", "225"]), 2, &[&format!("--size {size}")]);
    let data = b.dir.path().to_str().unwrap();
    let fit = ["fit", "patchcore", data, "-o", "p.lupe", "--backbone", "dino_vits16"];
    refused(&mut with(&[&fit[..], &["--size", "225"]].concat()), 2, &[&format!("size {size}")]);
    refused(&mut with(&[&fit[..], &["--layers", "cls"]].concat()), 2, &["cls is not a feature map"]);
    let picture = picture.to_str().unwrap();
    refused(
        &mut with(&["classify", picture, "--model", "dino_vits16"]),
        2,
        &["dino_vits16 gives features and has no classes", "lupe embed"],
    );
    refused(
        &mut with(&["embed", picture, "--model", "dino_vits16", "--tap", "pool"]),
        2,
        &["unknown place `pool`; available: block0, block1"],
    );
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
