//! What a model of classes says of pictures: labels, probabilities, margins and scores, by hand in f64; and its metrics.

use crate::common::parts::{part, spoiled, verb};
use crate::common::program::{Bench, done, no_gpu, refused};
use crate::common::results::lines;
use crate::common::sweep::gpu;
use lupe::data::dataset::Classes;
use lupe::data::load::Loading;
use lupe::methods::RunOptions;
use lupe::methods::metrics::ranking;
use lupe::methods::prototype::ModelFile;
use lupe::methods::vector::{Source, Vectors, preprocess};
use lupe::models::{EMBEDDED, open};
use lupe::watch::Unwatched;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// A folder of classes, pictures `from` to `to` of each: parts as they are, with a dark spot, or turned red, green or blue.
fn folder(root: PathBuf, classes: &[&str], from: u64, to: u64) -> PathBuf {
    for (class, n) in classes.iter().flat_map(|class| (from..to).map(move |n| (class, n))) {
        let path = root.join(class).join(format!("{n:03}.png"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut made = if *class == "spot" { spoiled(n, 64, 64).0 } else { part(n, 64, 64) };
        if let Some(channel) = ["red", "green", "blue"].iter().position(|colour| colour == class) {
            made.pixels_mut().for_each(|p| p.0[channel] = 255);
        }
        made.save(path).unwrap();
    }
    root
}

fn fit(b: &Bench, name: &str, classes: &[&str], more: &[&str]) -> PathBuf {
    let (data, model) = (folder(b.path(&format!("{name} support")), classes, 0, 4), b.path(&format!("{name}.lupe")));
    done(verb(&["fit", "prototype", "--size", "64"]).args(more).arg(data).arg("-o").arg(&model));
    model
}

fn near(got: &Value, want: f64, what: &str) {
    let got = got.as_f64().unwrap_or_else(|| panic!("{what}: {got}"));
    assert!((got - want).abs() <= 1e-9 * want.abs().max(1.0), "{what}: {got} for {want}");
}

/// Squared distances of every picture to the mean of every class, in f64, in the order of the pictures' names.
fn distances(model: &Path, data: &Path) -> Vec<Vec<f64>> {
    let (network, weights) = open(EMBEDDED.name, None).unwrap();
    let source = Source { network, weights: &weights, place: "pool", preprocess: preprocess(network, 64, false) };
    let mut planned = pollster::block_on(Vectors::new(gpu(), source, &RunOptions::default())).unwrap();
    let means: Vec<Vec<f64>> =
        ModelFile::from_bytes(&fs::read(model).unwrap(), "m").unwrap().classes.values().map(|c| c.mean()).collect();
    let mut found = vec![];
    let mut take = |_, vector: Vec<f32>| {
        let squares = |mean: &Vec<f64>| vector.iter().zip(mean).map(|(v, m)| (f64::from(*v) - m).powi(2)).sum();
        found.push(means.iter().map(squares).collect());
        Ok(())
    };
    let samples = Classes::open(data, false).unwrap().to_test_on().test;
    pollster::block_on(planned.each(&samples, &Loading::default(), &Unwatched, &mut take)).unwrap();
    found
}

#[test]
fn a_picture_has_label_probabilities_margin_and_score() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let classes = ["good", "red", "spot"];
    let (model, data) = (fit(&b, "m", &classes, &["--scale", "0.05"]), folder(b.path("data"), &classes, 50, 53));
    let said = done(verb(&["predict"]).arg(&model).arg(&data).arg("-o").arg(b.path("out")));
    assert!(said.contains("labels    good ") && said.contains("none is accepted or rejected"), "{said}");
    let lines = lines(&b.path("out"));
    assert_eq!(lines.len(), 9);
    for (line, squares) in lines.iter().zip(distances(&model, &data)) {
        let powers: Vec<f64> = squares.iter().map(|d| (-0.05 * d).exp()).collect();
        let sum: f64 = powers.iter().sum();
        for (name, power) in classes.iter().zip(&powers) {
            near(&line["probabilities"][name], power / sum, name);
        }
        near(&line["score"], ((powers[1] + powers[2]) / powers[0]).ln(), "score");
        let mut sorted = squares.clone();
        sorted.sort_by(f64::total_cmp);
        near(&line["margin"], 0.05 * (sorted[1] - sorted[0]), "margin");
        let nearest = squares.iter().position(|d| *d == sorted[0]).unwrap();
        assert_eq!((&line["predicted"], &line["method"]), (&json!(classes[nearest]), &json!("prototype")));
        assert!(line["above"].is_null() && line["limit"].is_null() && line["peak"].is_null(), "{line}");
    }
    // The same as a table.
    done(verb(&["predict", "--format", "csv"]).arg(&model).arg(&data).arg("-o").arg(b.path("table")));
    let table = fs::read(b.path("table/results.csv")).unwrap();
    let mut table = csv::Reader::from_reader(table.as_slice());
    let header = table.headers().unwrap().iter().skip(15).collect::<Vec<_>>().join(",");
    assert_eq!(header, "pixel_limit,margin,probability good,probability red,probability spot");
    for (row, line) in table.records().zip(&lines) {
        let row = row.unwrap();
        assert_eq!((&row[0], &row[13]), (line["path"].as_str().unwrap(), line["predicted"].as_str().unwrap()));
        near(&line["margin"], row[16].parse().unwrap(), "margin");
        near(&line["probabilities"]["spot"], row[19].parse().unwrap(), "probability");
    }
}

/// Nothing is rejected by itself: a limit has to be stated, and 0 rejects what is likelier not good than good.
#[test]
fn a_limit_has_to_be_stated() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (model, data) = (fit(&b, "m", &["good", "spot"], &[]), folder(b.path("data"), &["good", "spot"], 50, 52));
    let predict = || {
        let mut command = verb(&["predict", "--exit-code"]);
        command.arg(&model).arg(&data).arg("-o").arg(b.path("out"));
        command
    };
    refused(&mut predict(), 2, &["has no limit", "--rule fixed=SCORE` sets one"]);
    let limit = |rule: &str| {
        let mut command = verb(&["limit", "--rule", rule]);
        command.arg(&model);
        command
    };
    refused(&mut limit("max"), 2, &["rule max: a model of prototypes has no training scores", "fixed=0"]);
    refused(&mut limit("fixed=0,1"), 2, &["has no pixels; expected fixed=SCORE"]);
    let said = done(&mut limit("fixed=0"));
    assert!(said.contains("limit     0.0000 for pictures, stated by hand"), "{said}");
    refused(&mut predict(), 1, &["pictures are above the limit"]);
    for line in lines(&b.path("out")) {
        assert_eq!(line["above"], line["predicted"] == "spot", "{line}");
        assert_eq!((&line["limit"], &line["limit_rule"]), (&json!(0.0), &json!("fixed=0")));
    }
    let other = fit(&b, "other", &["red", "spot"], &[]);
    let mut command = verb(&["limit", "--rule", "fixed=0"]);
    refused(command.arg(other), 2, &["none of the classes (red, spot) is called good"]);
}

fn eval(b: &Bench, model: &Path, data: &Path) -> (String, Value) {
    let said = done(verb(&["eval"]).arg(model).arg(data).arg("-o").arg(b.path("evaluated")));
    (said, serde_json::from_slice(&fs::read(b.path("evaluated/metrics.json")).unwrap()).unwrap())
}

#[test]
fn metrics_of_classes_follow_from_the_lines() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let classes = ["good", "red", "spot"];
    let model = fit(&b, "m", &classes, &[]);
    let data = folder(folder(b.path("data"), &["good", "spot"], 60, 66), &["red"], 60, 62);
    fs::rename(data.join("spot/060.png"), data.join("red/spot.png")).unwrap(); // one that is taken for another class
    // One that the model was fitted on does not count.
    fs::copy(b.path("m support/good/000.png"), data.join("good/known.png")).unwrap();
    let (said, metrics) = eval(&b, &model, &data);
    let lines = lines(&b.path("evaluated"));
    let of = |is: &str, label: &str| lines.iter().filter(|l| l["label"] == is && l["predicted"] == label).count();
    let found = &metrics["classes"];
    let mut recalls = vec![];
    for is in classes {
        classes.iter().for_each(|label| assert_eq!(found["confusion"][is][label], of(is, label), "{is} {label}"));
        let all = lines.iter().filter(|l| l["label"] == is).count();
        recalls.push(of(is, is) as f64 / all as f64);
        near(&found["recall"][is], of(is, is) as f64 / all as f64, is);
        assert_eq!(found["pictures"][is], all);
    }
    assert_eq!((lines.len(), of("red", "red") < 3), (14, true), "{lines:#?}");
    near(&found["accuracy"], classes.iter().map(|c| of(c, c)).sum::<usize>() as f64 / 14.0, "accuracy");
    near(&found["balanced_accuracy"], recalls.iter().sum::<f64>() / 3.0, "balanced");
    near(&found["majority"], 6.0 / 14.0, "majority");
    let samples: Vec<(f64, bool)> =
        lines.iter().map(|l| (l["score"].as_f64().unwrap(), l["label"] != "good")).collect();
    near(&metrics["image"]["auroc"], ranking(&samples).unwrap().auroc.unwrap(), "auroc");
    assert_eq!((&metrics["counts"]["skipped_seen"], &metrics["at_limit"]), (&json!(1), &Value::Null));
    let accuracy = found["accuracy"].as_f64().unwrap();
    assert!(said.contains(&format!("accuracy  {accuracy:.4}, balanced")) && said.contains("recall"), "{said}");
}

/// Where no class is good there is nothing to rank: the scores say how doubtful labels are.
#[test]
fn without_a_good_class_there_are_no_metrics_of_defects() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let (model, data) = (fit(&b, "m", &["red", "spot"], &[]), folder(b.path("data"), &["red", "spot"], 50, 53));
    let (said, metrics) = eval(&b, &model, &data);
    assert_eq!(metrics["classes"]["accuracy"], 1.0, "{metrics}");
    assert_eq!(metrics["image"]["undefined"]["auroc"], "the model has no class called good", "{metrics}");
    assert!(said.contains("undefined image: the model has no class called good"), "{said}");
    for line in lines(&b.path("evaluated")) {
        let p = line["probabilities"][line["predicted"].as_str().unwrap()].as_f64().unwrap();
        assert!(p >= 0.5 && line["score"].as_f64().unwrap() <= 0.0, "{line}");
    }
    // A method that does not classify takes no such folder.
    let (patchcore, good) = (b.path("p.lupe"), folder(b.path("parts"), &["good"], 0, 3));
    done(verb(&["fit", "patchcore", "--size", "64"]).arg(&good).arg("-o").arg(&patchcore));
    let mut command = verb(&["eval"]);
    refused(command.arg(&patchcore).arg(&data).arg("-o").arg(b.path("none")), 3, &["has no good pictures; expected"]);
}

/// Of two classes one of which is good, the other is every kind of defect; any other label is told.
#[test]
fn labels_that_are_no_class() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let model = fit(&b, "bad", &["good", "red"], &[]);
    let data = folder(b.path("data"), &["good", "red", "spot"], 50, 52);
    let (_, metrics) = eval(&b, &model, &data);
    assert_eq!(
        (&metrics["classes"]["pictures"], &metrics["classes"]["other_labels"]),
        (&json!({"good": 2, "red": 4}), &json!({}))
    );
    let model = fit(&b, "three", &["good", "red", "blue"], &[]);
    let (said, metrics) = eval(&b, &model, &data);
    assert_eq!(metrics["classes"]["other_labels"], json!({"spot": 2}), "{metrics}");
    assert_eq!(metrics["classes"]["recall"]["blue"], Value::Null, "{metrics}");
    assert!(said.contains("2 pictures have other labels"), "{said}");
}
