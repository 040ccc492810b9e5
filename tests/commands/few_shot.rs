//! `lupe demo few-shot`, as a user meets it.

use crate::common::program::{Bench, done, lupe, no_gpu, refused, text};
use crate::common::results::contents;
use serde_json::Value;
use std::fs;

#[test]
fn three_classes_and_a_detector_from_a_few_tiles() {
    if no_gpu() {
        return;
    }
    let b = Bench::new();
    let demo = || {
        let mut command = lupe();
        command.args(["demo", "few-shot", "--json", "-q", "-o"]).arg(b.path("demo"));
        command
    };
    let output = demo().output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", text(&output.stderr));
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    let classes = &said["classes"];
    for class in ["brick", "grass", "gravel"] {
        assert_eq!(classes["pictures"][class], 11, "{said}");
        assert!(classes["recall"][class].as_f64().unwrap() >= 0.9, "{said}");
    }
    assert!((classes["majority"].as_f64().unwrap() - 1.0 / 3.0).abs() < 1e-12, "{said}");
    // 0.825 and 0.925 on Mesa's software driver.
    assert!(said["detector"]["image_auroc"].as_f64().unwrap() > 0.75, "{said}");
    assert!(said["detector"]["pixel_auroc"].as_f64().unwrap() > 0.85, "{said}");
    let sheet = image::open(b.path("demo/contact_sheet.png")).unwrap();
    assert!(sheet.width() > 1500 && sheet.height() > 500, "{}x{}", sheet.width(), sheet.height());
    // No tile is learnt from and asked for; the classes of the queries follow from the folders that they lie in.
    let results = fs::read_to_string(b.path("demo/labels/results.ndjson")).unwrap();
    assert_eq!(results.lines().count(), 33);
    for line in results.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let path = line["path"].as_str().unwrap();
        assert!(path.starts_with(&format!("{}/", line["label"].as_str().unwrap())), "{line}");
        assert!(!b.path("demo/tiles/support").join(path).exists(), "{path} is learnt from, too");
    }
    let foreign = b.picture("demo/tiles/support/brick/mine.png");
    refused(&mut demo(), 2, &["tiles/support/brick/mine.png in it is not the demo's", "-o"]);
    assert!(foreign.exists());
    let mine = b.path("mine");
    fs::create_dir(&mine).unwrap();
    fs::write(mine.join("notes.txt"), "mine").unwrap();
    refused(lupe().args(["demo", "few-shot", "-o"]).arg(&mine), 2, &["notes.txt in it is not the demo's"]);
    assert_eq!(contents(&mine).len(), 1);
    assert!(done(lupe().args(["demo", "few-shot", "--help"])).contains("lupe-few-shot"));
}
