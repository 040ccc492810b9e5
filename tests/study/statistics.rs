//! Statistics against scipy's and scikit-learn's values (`fixtures/statistics.py`), and what was left of the reference of episodes.

use crate::common::vectors::Vectors;
use lupe::methods::metrics::{Confusion, Spread, Welch, holm, ranking, signed_rank, student};
use serde_json::Value as Json;

fn fixture() -> Json {
    serde_json::from_str(include_str!("../fixtures/statistics.json")).unwrap()
}

fn number(v: &Json) -> f64 {
    v.as_f64().unwrap_or_else(|| panic!("{v} is no number"))
}

fn numbers(v: &Json) -> Vec<f64> {
    v.as_array().unwrap().iter().map(number).collect()
}

fn cases(of: &str) -> Vec<Json> {
    let cases = fixture()[of].as_array().unwrap().clone();
    assert!(cases.len() >= 4, "{of}");
    cases
}

/// To a relative 1e-9, and to 1e-15 near 0.
fn near(name: &str, got: f64, want: f64) {
    assert!((got - want).abs() <= 1e-15 + 1e-9 * want.abs(), "{name}: {got}, not {want}");
}

#[test]
fn students_t_is_scipys() {
    for case in cases("student") {
        near(&format!("{} degrees", case["degrees"]), student(number(&case["degrees"])), number(&case["t"]));
    }
    for case in cases("t_intervals") {
        let spread = Spread::of(&numbers(&case["values"])).unwrap();
        near("mean", spread.mean, number(&case["mean"]));
        near("deviation", spread.deviation.unwrap(), number(&case["deviation"]));
        let [low, high] = spread.ends().unwrap();
        near("low", low, number(&case["low"]));
        near("high", high, number(&case["high"]));
    }
}

#[test]
fn signed_ranks_are_scipys() {
    for case in cases("wilcoxon") {
        let (name, differences) = (case["name"].as_str().unwrap(), numbers(&case["differences"]));
        match (signed_rank(&differences), case["p"].as_f64()) {
            (Some(got), Some(want)) => near(name, got, want),
            (got, want) => assert_eq!(got, want, "{name}"),
        }
        let turned: Vec<f64> = differences.iter().rev().map(|d| -d).collect();
        match (signed_rank(&turned), signed_rank(&differences)) {
            (Some(got), Some(want)) => near(name, got, want),
            (got, want) => assert_eq!(got, want, "{name}, turned around"),
        }
    }
}

#[test]
fn unpaired_differences_are_scipys() {
    for case in cases("welch") {
        let welch = Welch::of(&numbers(&case["one"]), &numbers(&case["other"])).unwrap();
        near("mean", welch.mean, number(&case["mean"]));
        let half = welch.interval.unwrap();
        near("low", welch.mean - half, number(&case["low"]));
        near("high", welch.mean + half, number(&case["high"]));
        near("p", welch.p.unwrap(), number(&case["p"]));
    }
}

#[test]
fn corrections_are_holms() {
    for case in cases("holm") {
        let p: Vec<Option<f64>> = numbers(&case["p"]).into_iter().map(Some).collect();
        for (got, want) in holm(&p).into_iter().zip(numbers(&case["held"])) {
            near("held", got.unwrap(), want);
        }
    }
}

#[test]
fn confusions_are_scikit_learns() {
    for case in cases("confusion") {
        let mut confusion = Confusion::new(case["classes"].as_u64().unwrap() as usize);
        for (is, said) in numbers(&case["true"]).into_iter().zip(numbers(&case["said"])) {
            confusion.add(is as usize, said as usize);
        }
        near("accuracy", confusion.accuracy().unwrap(), number(&case["accuracy"]));
        near("balanced accuracy", confusion.balanced_accuracy().unwrap(), number(&case["balanced_accuracy"]));
        near("macro F1", confusion.macro_f1().unwrap(), number(&case["macro_f1"]));
    }
}

/// The rest of it is in episodes.rs.
#[test]
fn rankings_and_collapsed_classes_of_the_reference() {
    let v = Vectors::open("episode_metrics.safetensors");
    let value = |name: &str| f64::from(v.get(name).data[0]);
    // What is kept as f64 is compared as f32 here.
    let near = |name: &str, got: f64| assert!((got - value(name)).abs() < 1e-7, "{name}: {got}, not {}", value(name));
    let (scores, labels) = (v.get("bin.scores").data, v.get("bin.labels").data);
    let samples: Vec<(f32, bool)> = scores.into_iter().zip(labels.into_iter().map(|l| l > 0.5)).collect();
    let ranked = ranking(&samples).unwrap();
    near("bin.auroc__f64", ranked.auroc.unwrap());
    near("bin.average_precision__f64", ranked.ap.unwrap());
    near("bin.f1_max__f64", ranked.f1_max.unwrap());
    near("bin.f1_max_threshold", ranked.f1_threshold.unwrap());
    let (mut confusion, mut collapsed) = (Confusion::new(4), Confusion::new(2));
    for (at, n) in v.get("conf.matrix_rows_true").data.into_iter().enumerate() {
        for _ in 0..n as usize {
            confusion.add(at / 4, at % 4);
            collapsed.add(usize::from(at / 4 > 0), usize::from(at % 4 > 0));
        }
    }
    near("conf.macro_f1__f64", confusion.macro_f1().unwrap());
    near("conf.balanced_accuracy__f64", confusion.balanced_accuracy().unwrap());
    near("conf.collapsed_accuracy__f64", collapsed.accuracy().unwrap());
    let flat: Vec<f32> = collapsed.rows().concat().into_iter().map(|n| n as f32).collect();
    assert_eq!(flat, v.get("conf.collapsed_2way_[tn,fp,fn,tp]").data);
}
