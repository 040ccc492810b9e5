//! EfficientAD on real pictures, by the commands: a narrow teacher distilled from the built-in network, a student trained on good hazelnuts,
//! and what it says of those that are coloured. It takes minutes: `LUPE_FULL` asks for it.

use crate::common::dino::shared;
use crate::common::parts::verb;
use crate::common::program::{Bench, done};
use crate::common::skip::{MINUTES, skip, this_test};
use std::fs;
use std::path::Path;

/// The losses of a training, step by step: the means of the first twentieth and of the last.
fn ends(table: &Path, column: &str) -> [f64; 2] {
    let text = fs::read_to_string(table).unwrap();
    let at = text.lines().next().unwrap().split(',').position(|name| name == column).unwrap();
    let value = |line: &str| line.split(',').nth(at).unwrap().parse::<f64>().unwrap();
    let all: Vec<f64> = text.lines().skip(1).map(value).collect();
    let few = all.len() / 20;
    [&all[..few], &all[all.len() - few..]].map(|part| part.iter().sum::<f64>() / few as f64)
}

#[test]
fn coloured_hazelnuts_by_a_teacher_of_the_built_in_network() {
    if !shared("data/hazelnut").exists() {
        return skip(&this_test(), "../shared/data/hazelnut is not here");
    }
    if std::env::var_os("LUPE_FULL").is_none() {
        return skip(&this_test(), MINUTES);
    }
    let (b, nuts) = (Bench::new(), shared("data/hazelnut"));
    let (teacher, model, out) = (b.path("teacher.safetensors"), b.path("nuts.lupe"), b.path("out"));
    let mut distill = verb(&["distill", "--narrow", "8", "--image-size", "128", "--batch", "2", "--layers", "block4"]);
    let said = done(distill.args(["--steps", "800"]).arg(nuts.join("train/good")).arg("-o").arg(&teacher));
    println!("{said}");
    let mut fit = verb(&["fit", "efficientad", "--penalty", "none", "--steps", "600", "--teacher"]);
    println!("{}", done(fit.arg(&teacher).arg(&nuts).arg("-o").arg(&model)));
    // Autoencoder and student begin by both saying almost nothing, so that the loss between them rises before it falls.
    for (column, factor) in [("hard", 0.6), ("autoencoder", 0.98)] {
        let [first, last] = ends(&b.path("nuts.lupe.losses.csv"), column);
        println!("{column}: {first:.4} over the first twentieth of the steps, {last:.4} over the last");
        assert!(last < factor * first, "{column}: {first} and {last}");
    }
    println!("{}", done(verb(&["eval", "--no-heatmaps"]).arg(&model).arg(&nuts).arg("-o").arg(&out)));
    let metrics: serde_json::Value = serde_json::from_slice(&fs::read(out.join("metrics.json")).unwrap()).unwrap();
    let [image, pixel] = [&metrics["image"]["auroc"], &metrics["pixel"]["auroc"]].map(|m| m.as_f64().unwrap());
    println!("image AUROC {image}, pixel AUROC {pixel}");
    assert!(image > 0.95 && pixel > 0.75, "image AUROC {image}, pixel AUROC {pixel}");
}
