//! `lupe fit pmf`: prototypes by cosine, with the scale and bias of a checkpoint laid out as the released ones are.

use crate::common::parts::{part, spoiled, verb};
use crate::common::program::{Bench, done, no_gpu, refused};
use crate::common::skip::skip;
use crate::common::torch::{Entry, Pickle, put, record, zip};
use crate::common::vectors::path;
use lupe::methods::prototype::head::Distance;
use lupe::methods::prototype::{ModelFile, Preset, Scalars};
use lupe::models::{EMBEDDED, open};
use lupe::tensor::Tensor;
use lupe::weights::WeightsFile;
use lupe::weights::safetensors::write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn data(b: &Bench) -> PathBuf {
    let root = b.path("data");
    for (class, n) in [("good", 0), ("good", 1), ("spot", 2), ("spot", 3)] {
        fs::create_dir_all(root.join(class)).unwrap();
        let made = if class == "spot" { spoiled(n, 64, 64).0 } else { part(n, 64, 64) };
        made.save(root.join(format!("{class}/{n}.png"))).unwrap();
    }
    root
}

fn fit(data: &Path, model: &Path, more: &[&str]) -> Command {
    let mut command = verb(&["fit", "pmf"]);
    command.arg(data).arg("-o").arg(model).args(more);
    command
}

fn file(model: &Path) -> ModelFile {
    ModelFile::from_bytes(&fs::read(model).unwrap(), "m").unwrap()
}

/// A checkpoint laid out as the released ones: the backbone's weights below `model.backbone`, and what else is given.
fn checkpoint(b: &Bench, name: &str, more: &[(&str, &Tensor)]) -> PathBuf {
    let (_, weights) = open(EMBEDDED.name, None).unwrap();
    let own = weights.tensors().iter().map(|(k, t)| (format!("model.backbone.{k}"), &**t));
    let more = more.iter().map(|(k, t)| (k.to_string(), *t));
    b.write(name, &write(&own.chain(more).collect::<Vec<_>>()).unwrap())
}

/// The layout of released checkpoints, as PyTorch writes them: the scalars stand beside the backbone in `model`.
#[test]
fn scale_and_bias_of_pytorchs_files() {
    let read = |file: &Path| Scalars::read(&WeightsFile::from(file)).unwrap();
    for file in ["pth/zip_nested_pmf_style.pth", "pth/legacy_nested_pmf_style.pth", "pth/zip_state_dict.pth"] {
        assert_eq!(read(&path(file)), None, "{file} has a bias, but no scale");
    }
    let b = Bench::new();
    let names = [("bias", "0"), ("scale_cls", "1"), ("backbone.norm.bias", "2")];
    let entries = names.map(|(name, key)| Entry::new(name, &[1], "FloatStorage", key));
    let model = Pickle::new().op(b"}").text("model").global("collections", "OrderedDict").op(b")R");
    let pickle = put(model, &entries).op(b"s").text("epoch").op(b"K\x03s").done();
    let mut records = vec![record("best/data.pkl", &pickle), record("best/version", b"3\n")];
    let values = [("0", 0.5f32), ("1", 12.25), ("2", 9.0)];
    records.extend(values.map(|(key, value)| record(&format!("best/data/{key}"), &value.to_le_bytes())));
    let found = read(&b.write("best.pth", &zip(&records)));
    assert_eq!(found, Some(Scalars { scale: 12.25, bias: 0.5 }));
}

#[test]
fn a_checkpoint_brings_its_scale_and_bias() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (data, model) = (data(&b), b.path("m.lupe"));
    let [scale, bias] = [7.5, -0.25].map(|v| Tensor::new([1], vec![v]));
    let best = checkpoint(&b, "best.safetensors", &[("model.scale_cls", &scale), ("model.bias", &bias)]);
    let small = ["--backbone", EMBEDDED.name, "--size", "64"];
    let with = |file: &Path, more: &[&str]| {
        fit(&data, &model, &[&small[..], &["--weights", file.to_str().unwrap()], more].concat())
    };
    let said = done(&mut with(&best, &[]));
    assert!(said.contains("distance  cosine, scale 7.5, bias -0.25"), "{said}");
    let found = file(&model);
    assert_eq!(
        (found.config.preset, found.config.head.distance, found.config.size),
        (Preset::Pmf, Distance::Cosine, 64)
    );
    // As prototypes by cosine have it, whose pictures are resized by the network's own filter: bicubic here, bilinear there.
    assert!(found.config.preprocess(EMBEDDED).filter == lupe::data::Filter::Bilinear);
    done(&mut fit(&data, &b.path("p.lupe"), &small));
    let plain = file(&b.path("p.lupe"));
    assert_eq!((plain.config.head.scale, plain.config.head.bias), (10.0, 0.0));
    assert_eq!(plain.classes, found.classes, "the same vectors");
    let out = b.path("out");
    done(verb(&["predict"]).arg(&model).arg(&data).arg("-o").arg(&out));
    let lines = fs::read_to_string(out.join("results.ndjson")).unwrap();
    assert!(lines.lines().count() == 4 && lines.contains("\"predicted\":\"spot\""), "{lines}");
    let said = done(verb(&["weights", "inspect"]).arg(&model));
    assert!(said.contains("P>M>F before its fine-tuning") && said.contains("cosine, scale 7.5, bias -0.25"), "{said}");
    // Half of the two, and two of one.
    let half = checkpoint(&b, "half.safetensors", &[("model.scale_cls", &scale)]);
    refused(&mut with(&half, &[]), 4, &["has no model.bias beside its scale_cls"]);
    let two = [("model.scale_cls", &scale), ("ema.scale_cls", &scale)];
    refused(
        &mut with(&checkpoint(&b, "two.safetensors", &two), &[]),
        4,
        &["has both ema.scale_cls and model.scale_cls"],
    );
    let mut add = verb(&["fit", "pmf", "--place", "logits", "--add"]);
    refused(add.arg(&model).arg(&data), 2, &["--place logits: "]);
    // The published network has no built-in weights.
    refused(&mut fit(&data, &model, &[]), 2, &["dino_vits16 has no built-in weights"]);
}

/// A vision transformer: its class token, at a size that its patches divide.
#[test]
fn a_vision_transformer_gives_its_class_token() {
    let weights = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/weights/vit_s14_focus.safetensors");
    if no_gpu() {
        return;
    }
    if !weights.exists() {
        return skip("a_vision_transformer_gives_its_class_token", "../shared/weights is not here");
    }
    let b = Bench::new();
    let (data, model) = (data(&b), b.path("m.lupe"));
    let own = ["--backbone", "vit_s14_focus", "--weights", weights.to_str().unwrap(), "--no-embed-backbone", "--size"];
    refused(&mut fit(&data, &model, &[&own[..], &["128"]].concat()), 2, &["size 128: must be a multiple of 14"]);
    let said = done(&mut fit(&data, &model, &[&own[..], &["56"]].concat()));
    assert!(said.contains("vectors   384 values: vit_s14_focus, cls"), "{said}");
}
