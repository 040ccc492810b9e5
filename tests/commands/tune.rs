//! `lupe tune`: tables that change no bit, tables that do not fit.

use crate::common::program::{Bench, done, lupe, no_gpu, refused, text};
use crate::common::thin;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The program with a cache folder of the test's own.
fn with_cache(b: &Bench) -> Command {
    let mut command = lupe();
    command.env("XDG_CACHE_HOME", b.path("cache"));
    command
}

fn table(b: &Bench) -> PathBuf {
    let mut files = fs::read_dir(b.path("cache/lupe/tuning")).unwrap().map(|f| f.unwrap().path());
    let found = files.next().unwrap();
    assert!(files.next().is_none());
    found
}

fn features(b: &Bench, name: &str, more: &[&str]) -> (Vec<u8>, String) {
    let out = b.path(name);
    let mut command = with_cache(b);
    command.arg("embed").arg(b.path("part.png")).args(["--model", thin::NAME, "--weights", thin::FILE]);
    command.args(["--tap", "layer3", "-o"]).arg(&out).args(more);
    let ran = command.output().unwrap();
    assert!(ran.status.success(), "{}", text(&ran.stderr));
    let said = text(&ran.stderr);
    let told = said.lines().filter(|line| !line.contains("is your processor")).map(|line| format!("{line}\n"));
    (fs::read(out).unwrap(), told.collect())
}

fn edited(path: &Path, edit: impl Fn(&mut Value)) {
    let mut table: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    edit(&mut table);
    fs::write(path, table.to_string()).unwrap();
}

#[test]
fn a_table_changes_kernels_and_no_bit() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    b.picture("part.png");
    let plain = features(&b, "plain.npy", &[]);
    let tune = ["tune", thin::NAME, "--repeats", "3", "--json", "-q"];
    let seen: Value = serde_json::from_str(&done(with_cache(&b).args(tune))).unwrap();
    let nodes = seen["nodes"].as_array().unwrap();
    assert!(nodes.len() > 10, "{} kinds of nodes", nodes.len());
    for n in nodes {
        let all = n["candidates"].as_array().unwrap();
        assert!(all.len() > 1 && all.iter().all(|c| c["same_order"] == true && c["us"].as_f64().unwrap() > 0.0), "{n}");
    }
    // Whatever was chosen, take the last candidate of every node: as far from the default as a table may go.
    let last = |n: &Value| n["candidates"].as_array().unwrap().last().unwrap()["label"].clone();
    edited(&table(&b), |t| {
        assert_eq!(t["labels"].as_object().unwrap().len(), nodes.len());
        nodes.iter().for_each(|n| t["labels"][n["key"].as_str().unwrap()] = last(n));
    });
    let tuned = features(&b, "tuned.npy", &[]);
    assert!(tuned.0 == plain.0, "a tuned plan gives other bits");
    assert!(tuned.1.starts_with("counted   1 files found") && tuned.1.lines().count() == 1, "{}", tuned.1);
    let plan = |more: &[&str]| done(with_cache(&b).args(["plan", thin::NAME, "-q"]).args(more));
    let (taken, default) = (plan(&[]), plan(&["--deterministic"]));
    assert!(taken.matches("tn1u").count() > default.matches("tn1u").count(), "plans read the table: {taken}");
    // The same table says that it was chosen by --fast, is for another driver, is no table.
    edited(&table(&b), |t| t["fast"] = true.into());
    assert!(features(&b, "fast.npy", &[]).1.contains("--fast"));
    assert_eq!(features(&b, "deterministic.npy", &["--deterministic"]).1, tuned.1, "no note");
    edited(&table(&b), |t| t["driver"] = "another 1.0".into());
    let other = features(&b, "other.npy", &[]);
    assert!(other.1.contains("it is for driver another 1.0") && other.0 == plain.0, "{}", other.1);
    fs::write(table(&b), "{").unwrap();
    let broken = features(&b, "broken.npy", &[]);
    assert!(broken.1.contains("it cannot be read") && broken.0 == plain.0, "{}", broken.1);
}

#[test]
fn scores_of_a_fitted_model_stay_the_same() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    b.picture("part.png");
    fs::create_dir(b.path("good")).unwrap();
    for i in 0..3 {
        b.picture(&format!("good/{i}.png"));
    }
    let model = b.path("m.lupe");
    let fit = |b: &Bench, model: &Path| {
        let mut command = with_cache(b);
        command.args(["fit", "patchcore"]).arg(b.path("good")).arg("-o").arg(model);
        done(command.args(["--size", "64", "--test-split", "0", "-q"]));
    };
    fit(&b, &model);
    let predict = |out: &str| {
        let mut command = with_cache(&b);
        command.args(["predict"]).arg(&model).arg(b.path("part.png")).args(["--maps=npy", "-q", "-o"]);
        done(command.arg(b.path(out)));
        fs::read(b.path(out).join("results.ndjson")).unwrap()
    };
    let plain = predict("plain");
    let seen: Value =
        serde_json::from_str(&done(with_cache(&b).arg("tune").arg(&model).args(["--repeats", "2", "--json", "-q"])))
            .unwrap();
    let keys: Vec<&str> = seen["nodes"].as_array().unwrap().iter().map(|n| n["key"].as_str().unwrap()).collect();
    for op in ["Conv2d", "Scan", "Apart", "Nearest"] {
        assert!(keys.iter().any(|k| k.starts_with(op)), "{op} is not tuned: {keys:?}");
    }
    let last = |n: &Value| n["candidates"].as_array().unwrap().last().unwrap()["label"].clone();
    edited(&table(&b), |t| {
        seen["nodes"].as_array().unwrap().iter().for_each(|n| t["labels"][n["key"].as_str().unwrap()] = last(n));
    });
    assert_eq!(predict("tuned"), plain);
    let again = b.path("again.lupe");
    fit(&b, &again);
    assert!(fs::read(&model).unwrap() == fs::read(&again).unwrap(), "a fit by a table gives other bytes");
}

#[test]
fn what_is_wrong_is_said() {
    let b = Bench::new();
    refused(with_cache(&b).args(["tune", "resnet19"]), 2, &["unknown network `resnet19`"]);
    if no_gpu() {
        return;
    }
    let tune = ["tune", "resnet18", "--size", "32", "--repeats", "1", "-q"];
    refused(with_cache(&b).args(tune).args(["--device", "nonesuch"]), 5, &["there is no adapter"]);
    let file = b.write("file", b"");
    refused(lupe().env("XDG_CACHE_HOME", &file).args(tune), 10, &["tuning"]);
    refused(with_cache(&b).args(tune).args(["--limit-memory", "1M"]), 6, &["1.0 MiB"]);
}
