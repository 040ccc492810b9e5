//! `lupe classify`: the recorded classes of recorded pictures, names and what is assumed of them, and every refusal.

use crate::common::counts::counted;
use crate::common::program::{Bench, done, lupe, no_gpu, refused, text};
use crate::common::sweep::gpu;
use crate::common::vectors::Vectors;
use lupe::data::Prepared;
use lupe::error::Error;
use lupe::methods::RunOptions;
use lupe::methods::classify::{Classes, Labels, Likely, PLACE, likeliest};
use lupe::methods::embed::Embedder;
use lupe::models::{self, stand_in};
use lupe::tensor::Tensor;
use lupe::weights::{Weights, safetensors};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// EfficientNet-Lite0 as it is shipped.
const LITE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/weights/efficientnet_lite0.f16.safetensors");

/// A cup of espresso: tests/fixtures/README.md.
const COFFEE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/coffee.jpg");

fn classify(words: &[&str]) -> Command {
    let mut command = lupe();
    command.arg("classify").args(words);
    command
}

/// With EfficientNet-Lite0.
fn lite(words: &[&str]) -> Command {
    let mut command = classify(&["--model", "efficientnet_lite0", "--weights", LITE]);
    command.args(words);
    command
}

/// With a ResNet-18 of these weights.
fn resnet(weights: &Path, words: &[&str]) -> Command {
    let mut command = classify(&["--model", "resnet18", "--weights"]);
    command.arg(weights).args(words);
    command
}

/// Weights of a ResNet-18 whose classifier looks at nothing and says this of every picture; without logits it has none.
fn says(b: &Bench, name: &str, logits: &[f32]) -> PathBuf {
    head(b, name, &Tensor::zeros([logits.len(), 512]), logits)
}

fn head(b: &Bench, name: &str, weight: &Tensor, bias: &[f32]) -> PathBuf {
    static DRAWN: OnceLock<Weights> = OnceLock::new();
    let drawn = DRAWN.get_or_init(|| stand_in::weights(models::find("resnet18").unwrap()));
    let own = drawn.tensors().iter().filter(|(k, _)| !k.starts_with("fc.")).map(|(k, t)| (k.clone(), &**t));
    let bias = Tensor::new([bias.len()], bias.to_vec());
    let fc = [("fc.weight".to_string(), weight), ("fc.bias".to_string(), &bias)];
    let all: Vec<(String, &Tensor)> = own.chain(fc.into_iter().filter(|_| !bias.data.is_empty())).collect();
    b.write(name, &safetensors::write(&all).unwrap())
}

/// Logits of which the softmax is 1/28, 2/28, …, 7/28.
fn seven() -> Vec<f32> {
    (1..=7).map(|k| (k as f32).ln()).collect()
}

/// Stdout and stderr of a command that must end well.
fn ended(command: &mut Command) -> (String, String) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", text(&output.stderr));
    (text(&output.stdout), text(&output.stderr))
}

fn objects(stdout: &str) -> Vec<Value> {
    stdout.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

fn probability(class: &Value) -> f64 {
    class["probability"].as_f64().unwrap()
}

#[test]
fn recorded_pictures_have_their_recorded_classes() {
    if no_gpu() {
        return;
    }
    let (real, recorded) = (Vectors::open("real/real_nets.safetensors"), "real/efficientnet_lite0.safetensors");
    let recorded = Vectors::open(recorded);
    let (network, weights) = models::open("efficientnet_lite0", Some(&Path::new(LITE).into())).unwrap();
    let (places, options) = ([PLACE.to_string()], RunOptions { batch: 2, ..RunOptions::default() });
    let planned = Embedder::new(gpu(), (network, &weights), &places, [224; 2], &options);
    let mut embedder = pollster::block_on(planned).unwrap();
    let crop = |k: usize| real.get(&format!("{k}.crop_u8_hwc")).data.iter().map(|&v| v as u8).collect();
    let pictures = [0, 1].map(|k| Prepared::Bytes { rgb: crop(k), size: [224; 2] });
    let found = pollster::block_on(embedder.run(&pictures)).unwrap();
    let classes = Classes::new(network, &weights, None, false).unwrap();
    assert_eq!(classes.count(), 1000);
    for (k, values) in found.iter().enumerate() {
        let wanted = recorded.get(&format!("{k}.logits")).data;
        let sum: f64 = wanted.iter().map(|v| f64::from(*v).exp()).sum();
        let mut order: Vec<usize> = (0..1000).collect();
        order.sort_by(|a, b| wanted[*b].total_cmp(&wanted[*a]));
        let top = likeliest(&values[0].data, 5).unwrap();
        println!("picture {k}: {:?}", top.iter().map(|l| (classes.name(l.class), l.probability)).collect::<Vec<_>>());
        assert_eq!(top.iter().map(|l| l.class).collect::<Vec<_>>(), order[..5], "picture {k}");
        for Likely { class, probability } in top {
            let want = f64::from(wanted[class]).exp() / sum;
            assert!((probability - want).abs() < 0.005, "picture {k}, class {class}: {probability}, recorded {want}");
        }
    }
}

#[test]
fn a_cup_of_espresso_is_one() {
    if no_gpu() {
        return;
    }
    let told = done(&mut lite(&[COFFEE]));
    let rows: Vec<&str> = told.lines().collect();
    assert_eq!(rows.len(), 6, "{told}");
    assert_eq!(rows[0].split_whitespace().collect::<Vec<_>>(), ["picture", "class", "name", "probability"]);
    assert!(rows[1].trim_start().starts_with(COFFEE) && rows[1].contains("967") && rows[1].contains("espresso"));
    assert!(rows[2..].iter().all(|r| !r.contains("coffee.jpg") && r.trim_end().ends_with(" %")), "{told}");
    let all = objects(&done(&mut lite(&[COFFEE, "--json", "--top", "1000"])));
    assert_eq!((all.len(), &all[0]["path"]), (1, &Value::from(COFFEE)));
    assert_eq!(all[0]["model"], "efficientnet_lite0");
    let classes = all[0]["classes"].as_array().unwrap();
    assert_eq!((classes.len(), &classes[0]["name"], &classes[0]["class"]), (1000, &"espresso".into(), &967.into()));
    assert!(probability(&classes[0]) > 0.5, "{}", classes[0]);
    assert!(rows[1].contains(&format!("{:.3} %", 100.0 * probability(&classes[0]))), "{told}");
    assert!((classes.iter().map(probability).sum::<f64>() - 1.0).abs() < 1e-12);
    assert!(classes.windows(2).all(|w| probability(&w[0]) >= probability(&w[1])));
    let mut numbers: Vec<u64> = classes.iter().map(|c| c["class"].as_u64().unwrap()).collect();
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..1000));
    let one = done(&mut lite(&[COFFEE, "--top", "1"]));
    assert_eq!(one.lines().count(), 2, "{one}");
    assert!(one.lines().nth(1).unwrap().split_whitespace().eq(rows[1].split_whitespace()), "{one}");
}

#[test]
fn the_batch_changes_nothing_and_every_picture_is_counted() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let other = b.picture("b.png");
    let small = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/sample_61x47.png");
    let words = [COFFEE, other.to_str().unwrap(), small];
    let at = |batch: &str, more: &[&str]| ended(lite(&words).args(["--batch", batch]).args(more));
    let ((table, told), (json, _)) = (at("1", &[]), at("1", &["--json"]));
    assert!(table == at("3", &[]).0 && json == at("3", &["--json"]).0, "the batch shows");
    counted(&told, 3, &[]);
    let found = objects(&json);
    assert_eq!(found.iter().map(|o| o["path"].as_str().unwrap()).collect::<Vec<_>>(), words);
    assert!(found[0]["classes"] != found[1]["classes"] && found[1]["classes"] != found[2]["classes"]);
    assert_eq!(table.lines().count(), 16, "{table}");
}

#[test]
fn what_is_assumed_of_names_is_told() {
    let b = Bench::new();
    let picture = b.picture("a.png");
    let (seven, thousand) = (says(&b, "seven.safetensors", &seven()), says(&b, "thousand.safetensors", &[0.5; 1000]));
    let seven_names =
        b.write("names.txt", "\u{feff}good\r\nscratch\r\ndent\r\n Öl \r\n5\r\nhole\r\ncrack\r\n\r\n".as_bytes());
    if no_gpu() {
        return;
    }
    let run = |weights: &Path, words: &[&str]| ended(resnet(weights, words).arg(&picture));
    let (out, err) = run(&seven, &[]);
    assert!(
        err.contains("note: ") && err.contains("seven.safetensors: nothing says what its 7 classes are called"),
        "{err}"
    );
    assert!(err.contains("--labels FILE"), "{err}");
    let cells: Vec<Vec<&str>> = out.lines().skip(1).map(|l| l.split_whitespace().collect()).collect();
    assert_eq!(cells[0][1..], ["6", "class", "6", "25.000", "%"], "{out}");
    assert_eq!(
        cells[1..],
        [
            ["5", "class", "5", "21.429", "%"],
            ["4", "class", "4", "17.857", "%"],
            ["3", "class", "3", "14.286", "%"],
            ["2", "class", "2", "10.714", "%"],
        ]
    );
    let (out, err) = run(&seven, &["--json", "--top", "7", "-q"]);
    let classes = &objects(&out)[0]["classes"];
    assert_eq!((err.as_str(), &classes[6]["class"], &classes[6]["name"]), ("", &0.into(), &Value::Null));
    assert!((probability(&classes[6]) - 1.0 / 28.0).abs() < 1e-8, "{classes}");
    let (out, err) = run(&seven, &["--labels", seven_names.to_str().unwrap(), "--top", "4"]);
    assert!(!err.contains("labels") && !err.contains("numbered"), "{err}");
    let names: Vec<&str> = out.lines().skip(1).map(|l| l.split_whitespace().rev().nth(2).unwrap()).collect();
    assert_eq!(names, ["crack", "hole", "5", "Öl"], "{out}");
    // As many classes as ImageNet has are taken for its own, aloud; equally likely ones stand in their order.
    let (out, err) = run(&thousand, &["--json"]);
    assert!(err.contains("thousand.safetensors: its 1000 classes are taken for ImageNet's"), "{err}");
    let names: Vec<Value> = objects(&out)[0]["classes"].as_array().unwrap().iter().map(|c| c["name"].clone()).collect();
    assert_eq!(names, ["tench", "goldfish", "great white shark", "tiger shark", "hammerhead"]);
}

#[test]
fn names_that_do_not_fit_are_refused() {
    let b = Bench::new();
    let (picture, weights) = (b.picture("a.png"), says(&b, "seven.safetensors", &seven()));
    fs::create_dir(b.path("folder")).unwrap();
    let given = |labels: &Path, code: i32, want: &[&str]| {
        refused(resnet(&weights, &["--labels"]).arg(labels).arg(&picture), code, want)
    };
    let file = |name: &str, bytes: &[u8], want: &[&str]| given(&b.write(name, bytes), 3, &[&[name], want].concat());
    let advice = "expected a text file with one name a line, in the order of the classes";
    file("three.txt", b"a\nb\nc\n", &["number of names is 3, of classes in", "seven.safetensors 7", advice]);
    file("eight.txt", b"a\nb\nc\nd\ne\nf\ng\nh", &["number of names is 8", advice]);
    file("gap.txt", b"a\nb\n\nd\ne\nf\ng", &["line 3 is empty", advice]);
    file("none.txt", b"\n\n", &["is empty", advice]);
    file("steering.txt", b"a\nb\x1b[2J\nc\nd\ne\nf\ng", &["line 2 holds a control character: `b\\u{1b}[2J`", advice]);
    file("picture.txt", &fs::read(COFFEE).unwrap(), &["is no text in UTF-8", advice]);
    given(&b.path("folder"), 3, &["folder: is a folder", advice]);
    given(&b.path("missing.txt"), 3, &["missing.txt: cannot be read"]);
    refused(lite(&[COFFEE, "--labels"]).arg(b.path("three.txt")), 3, &["number of names is 3", "1000"]);
}

#[test]
fn numbers_of_classes_are_between_one_and_all() {
    let b = Bench::new();
    let weights = says(&b, "seven.safetensors", &seven());
    refused(&mut lite(&[COFFEE, "--top", "0"]), 2, &["--top 0: must be between 1 and 1000, the number of classes"]);
    refused(&mut lite(&[COFFEE, "--top", "1001"]), 2, &["--top 1001: must be between 1 and 1000"]);
    refused(&mut resnet(&weights, &[COFFEE, "--top", "8"]), 2, &["--top 8: must be between 1 and 7"]);
    refused(&mut lite(&[COFFEE, "--top", "-1"]), 2, &["--top"]);
    refused(&mut lite(&[COFFEE, "--top", "five"]), 2, &["--top"]);
}

#[test]
fn weights_without_a_classifier_are_refused_with_what_to_do() {
    let b = Bench::new();
    let advice = ["resnet18 (fc.weight, fc.bias)", "there are no classes", models::EMBEDDED.name, "`lupe embed`"];
    let none = says(&b, "none.safetensors", &[]);
    refused(&mut resnet(&none, &[COFFEE]), 4, &[&["none.safetensors"], &advice[..]].concat());
    let narrow = head(&b, "narrow.safetensors", &Tensor::zeros([7, 511]), &seven());
    refused(&mut resnet(&narrow, &[COFFEE]), 4, &advice);
    let inspected = |file: &Path| done(lupe().args(["weights", "inspect"]).arg(file));
    let line = |file: &Path| format!("lupe classify PICTURE --model resnet18 --weights {}", file.display());
    let seven = says(&b, "seven.safetensors", &seven());
    assert!(inspected(&seven).contains(&line(&seven)) && !inspected(&narrow).contains("lupe classify"));
    let (network, weights) = models::open("efficientnet_lite0", Some(&Path::new(LITE).into())).unwrap();
    let headless = Weights::from_tensors(
        weights.tensors().iter().filter(|(k, _)| !k.starts_with("_fc.")).map(|(k, t)| (k.clone(), (**t).clone())),
    );
    match Classes::new(network, &headless, Some(Labels::imagenet()), true).unwrap_err() {
        Error::Weights(told) => assert!(told[0].contains("efficientnet_lite0 (_fc.weight, _fc.bias)"), "{told:?}"),
        other => panic!("{other}"),
    }
}

#[test]
fn logits_that_are_not_finite_are_an_error() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let huge = head(&b, "huge.safetensors", &Tensor::from_fn([7, 512], |_| 3e38), &seven());
    let want = ["coffee.jpg: logits contains a number that is not finite", "do the weights belong to resnet18?"];
    let mut command = resnet(&huge, &[COFFEE]);
    refused(&mut command, 7, &want);
    assert_eq!(text(&command.output().unwrap().stdout), "");
}

#[test]
fn pictures_flags_and_weights_are_refused_as_elsewhere() {
    let b = Bench::new();
    let (good, bad) = (b.picture("a.png"), b.write("text.png", b"no picture"));
    let picture = good.to_str().unwrap();
    refused(&mut classify(&[]), 2, &["PICTURE"]);
    refused(&mut lite(&[picture, "--tap", "pool"]), 2, &["--tap"]);
    refused(&mut lite(&[picture, "--batch", "0"]), 2, &["--batch"]);
    refused(&mut classify(&[picture, "--strict"]), 2, &["--weights"]);
    refused(&mut classify(&[picture, "--model", "resnet19"]), 2, &["unknown network `resnet19`; available: "]);
    refused(&mut classify(&[picture, "--model", "resnet18"]), 2, &["resnet18 has no built-in weights", "--weights"]);
    let tree = ["--model", "efficientnet_lite0", "--weights", LITE, "--tree", "ema", picture];
    refused(&mut classify(&tree), 2, &["unknown tree `ema`"]);
    refused(resnet(&bad, &[picture]).arg("--strict"), 4, &["text.png"]);
    refused(lite(&[]).arg(b.path("missing.png")), 3, &["missing.png: cannot be read"]);
    refused(lite(&[]).arg(b.path("")), 3, &["is a folder; name the pictures in it"]);
    refused(lite(&[]).arg(&bad), 3, &["text.png", "not a PNG, JPEG"]);
    if no_gpu() {
        return;
    }
    let mut command = lite(&[picture]);
    refused(command.arg(&bad), 3, &["text.png", "not a PNG, JPEG"]);
    assert_eq!(text(&command.output().unwrap().stdout), "", "an answer for some pictures only");
}
