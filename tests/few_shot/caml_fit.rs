//! `lupe fit caml` and what follows it, with the network that is built in as encoder and a checkpoint made by hand.

use crate::common::caml::{Named, by_hand, changed, file, upside_down};
use crate::common::parts::{part, spoiled, verb};
use crate::common::program::{Bench, done, no_gpu, refused, text};
use lupe::methods::caml::ModelFile;
use lupe::tensor::Tensor;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// A narrow place of the built-in network, and its values: at its end there are 1280, and transformers grow with their square.
const PLACE: &str = "block15";
const FEATURES: usize = 320;

fn tensors() -> &'static [Named] {
    static TENSORS: OnceLock<Vec<Named>> = OnceLock::new();
    TENSORS.get_or_init(|| by_hand(FEATURES).1)
}

/// Pictures `from` to `to` of each class: `spot` has a dark spot, colours their channel at its highest, `good` nothing.
fn folder(root: PathBuf, classes: &[&str], from: u64, to: u64) -> PathBuf {
    for (class, n) in classes.iter().flat_map(|class| (from..to).map(move |n| (class, n))) {
        let path = root.join(class).join(format!("{n:03}.png"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut made = if *class == "spot" { spoiled(n, 64, 64).0 } else { part(n, 64, 64) };
        let full: &[usize] = match *class {
            "red" => &[0],
            "green" => &[1],
            "blue" => &[2],
            "violet" => &[0, 2],
            "yellow" => &[0, 1],
            _ => &[],
        };
        made.pixels_mut().for_each(|p| full.iter().for_each(|c| p.0[*c] = 255));
        made.save(path).unwrap();
    }
    root
}

/// `lupe fit caml` of a small input.
fn fit(data: &Path, checkpoint: &Path, model: &Path, more: &[&str]) -> Command {
    let mut command = verb(&["fit", "caml", "--encoder", "efficientnet_lite0", "--place", PLACE, "--size", "64"]);
    command.arg(data).arg("--checkpoint").arg(checkpoint).arg("-o").arg(model).args(more);
    command
}

fn checkpoint(b: &Bench) -> PathBuf {
    b.write("model.safetensors", &file(tensors()))
}

/// The results of `lupe predict`.
fn predicted(b: &Bench, model: &Path, checkpoint: &Path, data: &Path, more: &[&str]) -> Vec<Value> {
    let out = b.path("results");
    done(verb(&["predict"]).arg(model).arg(data).arg("--checkpoint").arg(checkpoint).arg("-o").arg(&out).args(more));
    let lines = text(&fs::read(out.join("results.ndjson")).unwrap());
    lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

/// How many pictures were called what they are: the folder that they lie in.
fn right(lines: &[Value]) -> usize {
    let class = |l: &Value| l["path"].as_str().unwrap().split('/').next().unwrap().to_string();
    lines.iter().filter(|l| l["predicted"] == class(l)).count()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value}"))
}

#[test]
fn pictures_get_the_label_of_what_they_are_like() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (checkpoint, model) = (checkpoint(&b), b.path("m.lupe"));
    let data = folder(b.path("support"), &["good", "red", "blue"], 0, 3);
    fs::remove_file(data.join("red/002.png")).unwrap();
    fs::copy(data.join("blue/000.png"), data.join("blue/copy.png")).unwrap();
    let run = fit(&data, &checkpoint, &model, &[]).output().unwrap();
    let (out, told) = (text(&run.stdout), text(&run.stderr));
    assert!(run.status.success(), "{told}");
    assert!(out.contains("classes   blue 3, good 3, red 2") && out.contains("labels    5, in their order"), "{out}");
    assert!(out.contains("Next: lupe predict") && out.contains("--checkpoint"), "{out}");
    for part in
        ["3 classes with 2 to 4 each are outside of that", "1 of the pictures are copies of others", "9 files found"]
    {
        assert!(told.contains(part), "{part}: {told}");
    }
    let kept = fs::read(&model).unwrap();
    assert!(kept.len() < 100_000, "{} bytes: neither encoder nor checkpoint", kept.len());
    done(&mut fit(&data, &checkpoint, &b.path("again.lupe"), &["--batch", "1"]));
    assert!(fs::read(b.path("again.lupe")).unwrap() == kept, "the same bytes");
    let read = ModelFile::from_bytes(&kept, "m").unwrap();
    assert_eq!((read.pictures.len(), read.labels()), (8, vec![0, 0, 0, 1, 1, 1, 2, 2]));

    let queries = folder(b.path("queries"), &["good", "red", "blue"], 50, 54);
    let lines = predicted(&b, &model, &checkpoint, &queries, &[]);
    assert_eq!((right(&lines), lines.len()), (12, 12), "{lines:?}");
    for line in &lines {
        let p: Vec<f64> = ["blue", "good", "red"].map(|class| number(&line["probabilities"][class])).into();
        assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{line}");
        let mut sorted = p.clone();
        sorted.sort_by(|a, b| b.total_cmp(a));
        assert!((number(&line["margin"]) - (sorted[0] / sorted[1]).ln()).abs() < 1e-6, "{line}");
        assert!((number(&line["score"]) - ((p[0] + p[2]) / p[1]).ln()).abs() < 1e-6, "{line}");
    }
    for batch in ["1", "3", "32"] {
        assert!(predicted(&b, &model, &checkpoint, &queries, &["--batch", batch]) == lines, "batch {batch}");
    }
    followed(&b, &model, &checkpoint, &queries);
}

/// What the other commands say of a model.
fn followed(b: &Bench, model: &Path, checkpoint: &Path, queries: &Path) {
    let out = b.path("evaluated");
    let mut eval = verb(&["eval"]);
    let said = done(eval.arg(model).arg(queries).arg("--checkpoint").arg(checkpoint).arg("-o").arg(&out));
    assert!(said.contains("accuracy  1.0000, balanced 1.0000"), "{said}");
    let inspected = done(verb(&["weights", "inspect"]).arg(model));
    for part in ["a model of CAML", "model.safetensors, 1 blocks of 336; not in the file", "blue 3, good 3, red 2"] {
        assert!(inspected.contains(part), "{part}: {inspected}");
    }
    for command in [&["verify"][..], &["plan"], &["profile", "--repeats", "2"]] {
        done(verb(command).arg(model).arg("--checkpoint").arg(checkpoint));
    }
    done(verb(&["limit"]).arg(model).args(["--rule", "fixed=0"]));
    let lines = predicted(b, model, checkpoint, queries, &[]);
    let above = |l: &Value| l["above"] == Value::Bool(!l["path"].as_str().unwrap().starts_with("good"));
    assert!(lines.iter().all(above), "{lines:?}");
}

/// An average changes probabilities a little and, here, no label; six classes are told apart in each way that can be asked for.
#[test]
fn averages_and_more_classes_than_labels() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (checkpoint, model) = (checkpoint(&b), b.path("m.lupe"));
    let two = folder(b.path("two"), &["good", "red"], 0, 2);
    let queries = folder(b.path("queries"), &["good", "red"], 50, 52);
    let probabilities = |average: &str| {
        done(&mut fit(&two, &checkpoint, &model, &["--average", average]));
        let lines = predicted(&b, &model, &checkpoint, &queries, &[]);
        assert_eq!(right(&lines), 4, "{average}");
        lines.iter().map(|l| number(&l["probabilities"]["red"])).collect::<Vec<_>>()
    };
    let [one, five, all] = ["1", "5", "all"].map(probabilities);
    assert!(one != five && five != all);
    let near = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 0.05);
    assert!(near(&one, &all) && near(&five, &all), "{one:?} {five:?} {all:?}");

    let six = ["blue", "good", "green", "red", "violet", "yellow"];
    let (data, queries) = (folder(b.path("six"), &six, 0, 2), folder(b.path("six queries"), &six, 50, 52));
    fs::remove_file(data.join("green/001.png")).unwrap(); // so that subsets are of several sizes
    let want =
        "6 classes, and the checkpoint tells 5 apart; choose with --many-classes what to do: subsets, one-vs-rest";
    refused(&mut fit(&data, &checkpoint, &b.path("none.lupe"), &[]), 2, &[want]);
    for (how, words) in
        [("subsets", "6 classes by subsets"), ("one-vs-rest", "by one-vs-rest"), ("two-stage", "by two-stage")]
    {
        let said = done(&mut fit(&data, &checkpoint, &model, &["--many-classes", how]));
        assert!(said.contains(words), "{said}");
        let lines = predicted(&b, &model, &checkpoint, &queries, &[]);
        assert!(right(&lines) >= 11, "{how}: {} of 12 right", right(&lines));
        let sums = lines.iter().map(|l| six.map(|class| number(&l["probabilities"][class])).iter().sum::<f64>());
        assert!(sums.into_iter().all(|sum| (sum - 1.0).abs() < 1e-9), "{how}");
        assert!(predicted(&b, &model, &checkpoint, &queries, &["--batch", "1"]) == lines, "{how}: batch 1");
    }
}

#[test]
fn a_flipped_checkpoint_is_refused_or_turned_round() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (sound, model) = (checkpoint(&b), b.path("m.lupe"));
    let flipped = b.write("flipped.safetensors", &file(&changed(tensors(), "output_proj.weight", upside_down)));
    let blind =
        b.write("blind.safetensors", &file(&changed(tensors(), "output_proj.weight", |t| Tensor::zeros(t.shape))));
    let data = folder(b.path("support"), &["good", "red"], 0, 2);
    let want = ["flipped.safetensors: label-flipped checkpoint", "with --reverse-labels its answers are turned round"];
    refused(&mut fit(&data, &flipped, &model, &[]), 4, &want);
    let want = ["gives labels in their own order; leave --reverse-labels out"];
    refused(&mut fit(&data, &sound, &model, &["--reverse-labels"]), 4, &want);
    assert!(!model.exists());
    let said = done(&mut fit(&data, &flipped, &model, &["--reverse-labels"]));
    assert!(said.contains("read in the reverse order"), "{said}");
    let queries = folder(b.path("queries"), &["good", "red"], 50, 52);
    let turned = predicted(&b, &model, &flipped, &queries, &[]);
    done(&mut fit(&data, &sound, &model, &[]));
    let straight = predicted(&b, &model, &sound, &queries, &[]);
    let said = |lines: &[Value]| lines.iter().map(|l| l["probabilities"].clone()).collect::<Vec<_>>();
    assert!(right(&straight) == 4 && said(&turned) == said(&straight));
    let run = fit(&data, &blind, &model, &[]).output().unwrap();
    let told = text(&run.stderr);
    assert!(
        run.status.success()
            && told.contains("warning: shown one feature for each label, the checkpoint calls them [0, 0, 0"),
        "{told}"
    );
}

#[test]
fn what_cannot_be_is_told() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (sound, model) = (checkpoint(&b), b.path("m.lupe"));
    let data = folder(b.path("support"), &["good", "red"], 0, 2);
    let told = |data: &Path, checkpoint: &Path, more: &[&str], code: i32, want: &[&str]| {
        refused(&mut fit(data, checkpoint, &model, more), code, want);
        assert!(!model.exists(), "{want:?}");
    };
    told(&folder(b.path("one"), &["good"], 0, 2), &sound, &[], 3, &["has one class, good; expected two or more"]);
    told(&data, &sound, &["--average", "21"], 2, &["--average 21: must be between 1 and 20, or all"]);
    told(&data, &sound, &["--average", "none"], 2, &["expected a number from 1 on, or all"]);
    told(
        &data,
        &sound,
        &["--many-classes", "subsets"],
        2,
        &["2 classes have a label each of the 5; leave the flag out"],
    );
    told(&data, &data.join("good/000.png"), &[], 4, &["000.png"]);
    let encoder = concat!(env!("CARGO_MANIFEST_DIR"), "/weights/efficientnet_lite0.f16.safetensors");
    told(
        &data,
        Path::new(encoder),
        &[],
        4,
        &["not a checkpoint of CAML", "an encoder's weights are given by --weights"],
    );
    let missing: Vec<Named> = tensors().iter().filter(|t| !t.0.ends_with("unk_emb")).cloned().collect();
    let missing = b.write("missing.safetensors", &file(&missing));
    told(&data, &missing, &[], 4, &["transformer_encoder.unk_emb [1, 1, 16] is missing"]);
    refused(&mut fit(&data, &sound, &sound, &[]), 2, &["is an input of this command"]);
    // An encoder that gives other features; none named, and the released one's weights are not built in.
    let whole = |checkpoint: &Path, more: &[&str]| {
        let mut command = verb(&["fit", "caml"]);
        command.arg(&data).arg("--checkpoint").arg(checkpoint).arg("-o").arg(&model).args(more);
        command
    };
    let of_resnet = b.write("512.safetensors", &file(&by_hand(512).1));
    let want =
        "takes features of 512 values, and efficientnet_lite0 gives features of 1280 values; its encoder is resnet34";
    refused(&mut whole(&of_resnet, &["--encoder", "efficientnet_lite0"]), 4, &[want]);
    refused(&mut whole(&of_resnet, &[]), 2, &["resnet34 has no built-in weights"]);
    let want = ["takes features of 320 values, which no released checkpoint does", "--encoder"];
    refused(&mut whole(&sound, &[]), 2, &want);
    let place = ["fit", "caml", "--encoder", "efficientnet_lite0", "--place", "block99"];
    let mut unknown = verb(&place);
    unknown.arg(&data).arg("--checkpoint").arg(&sound).arg("-o").arg(&model);
    refused(&mut unknown, 2, &["unknown place `block99`; available: block0, "]);

    done(&mut fit(&data, &sound, &model, &[]));
    let predict = |more: &[&str], code: i32, want: &str| {
        let (mut command, out) = (verb(&["predict"]), b.path("results"));
        refused(command.arg(&model).arg(&data).args(more).arg("-o").arg(&out), code, &[want]);
        assert!(!out.exists(), "{want}");
    };
    predict(&[], 2, "does not hold its checkpoint: give --checkpoint FILE; at the fit it was called model.safetensors");
    let other =
        b.write("other.safetensors", &file(&changed(tensors(), "elmes_scale", |_| Tensor::new([1], vec![2.0]))));
    predict(&["--checkpoint", other.to_str().unwrap()], 4, "not the checkpoint that the model was fitted with");
    let mut network = verb(&["plan", "efficientnet_lite0", "--checkpoint"]);
    refused(network.arg(&sound), 2, &["--checkpoint: a network has none"]);
    let prototypes = b.path("prototypes.lupe");
    done(verb(&["fit", "prototype", "--size", "64"]).arg(&data).arg("-o").arg(&prototypes));
    let mut command = verb(&["plan"]);
    let want = ["--checkpoint: a model of prototype has none; leave the flag out"];
    refused(command.arg(&prototypes).arg("--checkpoint").arg(&sound), 2, &want);
}

/// Episodes of classes that are easily told apart, on the device; twice the same bytes, however many queries a run.
#[test]
fn episodes_are_learned_by_the_transformer() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (checkpoint, data) = (checkpoint(&b), folder(b.path("data"), &["good", "red"], 0, 5));
    let episodes = |more: &[&str]| {
        let mut command = verb(&["episodes", "--method", "caml", "--backbone", "efficientnet_lite0", "--size", "64"]);
        command.args(["--place", PLACE, "--shots", "1,2", "--queries", "3", "--episodes", "5"]).args(more);
        command.arg(&data);
        command
    };
    let given = ["--checkpoint", checkpoint.to_str().unwrap()];
    let files = ["one", "two"].map(|name| {
        let out = b.path(name);
        let said = done(episodes(&given).arg("-o").arg(&out));
        assert!(said.contains("method    caml, block15 of efficientnet_lite0"), "{said}");
        ["episodes.jsonl", "summary.json"].map(|file| text(&fs::read(out.join(file)).unwrap()))
    });
    assert!(files[0] == files[1], "twice the same bytes");
    let summary: Value = serde_json::from_str(&files[0][1]).unwrap();
    assert_eq!(summary["facts"]["checkpoint"]["file"], "model.safetensors");
    for shots in [0, 1] {
        let accuracy = number(&summary["results"][shots]["accuracy"]["mean"]);
        assert!(accuracy > 0.9, "{accuracy}");
    }
    refused(&mut episodes(&[]), 2, &["--checkpoint <FILE>"]);
    refused(&mut episodes(&[&given[..], &["--center"]].concat()), 2, &["leave them out with --method caml"]);
    let mut prototypes = verb(&["episodes"]);
    refused(prototypes.args(given).arg(&data), 2, &["--checkpoint: only --method caml has one"]);
    refused(&mut episodes(&[&given[..], &["--average", "21"]].concat()), 2, &["must be between 1 and 20"]);
}

/// An encoder with features of the right length that no released checkpoint was trained on is taken, with a word.
#[test]
fn another_encoder_of_the_same_width_is_told() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (wide, model) = (b.write("1280.safetensors", &file(&by_hand(1280).1)), b.path("m.lupe"));
    let data = folder(b.path("support"), &["good", "red"], 0, 1);
    let mut command = verb(&["fit", "caml", "--encoder", "efficientnet_lite0", "--size", "64"]);
    let run = command.arg(&data).arg("--checkpoint").arg(&wide).arg("-o").arg(&model).output().unwrap();
    let told = text(&run.stderr);
    let want = "CAML_Laion2b was released with features of vit_huge_patch14_clip_224, not of efficientnet_lite0";
    assert!(run.status.success() && told.contains(want), "{told}");
}

/// Any changed byte is found or changes nothing.
#[test]
fn a_damaged_file_is_refused() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let model = b.path("m.lupe");
    done(&mut fit(&folder(b.path("data"), &["good", "red"], 0, 1), &checkpoint(&b), &model, &[]));
    let bytes = fs::read(&model).unwrap();
    let whole = ModelFile::from_bytes(&bytes, "m").unwrap().to_bytes().unwrap();
    assert!(whole == bytes, "read and written again");
    for at in (0..bytes.len()).step_by(101) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 4;
        let read = ModelFile::from_bytes(&damaged, "m");
        assert!(read.is_err() || read.is_ok_and(|m| m.to_bytes().unwrap() == whole), "byte {at}");
    }
}
