//! The part `golden`: scores of the demo's pictures, beside those that the software device gave when the kit was built.
//!
//! Once with the model that was fitted there, so that networks and search alone differ; once fitted here, as `lupe demo` does it.

use super::args::Args;
use super::context::{Context, made, read, write};
use super::md::{Page, digits, list, number, short, table, text};
use lupe::{Error, Result};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Makes the files of a kit on the device that `-d` names.
pub fn make(args: &Args, folder: &Path) -> Result<()> {
    let lupe = args.lupe()?;
    let device = args.device.as_deref().unwrap_or("auto");
    let work = tempfile::tempdir().map_err(|e| Error::Output(format!("no folder to work in: {e}")))?;
    let ask = |words: &[&str]| -> Result<Value> {
        let words = [words, &["-q", "--json", "--no-reexec", "-d", device]].concat();
        let output = Command::new(&lupe).args(&words).output();
        let output = output.map_err(|e| Error::Input(format!("{}: {e}", lupe.display())))?;
        let fail = |what: String| Error::Input(format!("lupe {}: {what}", words.join(" ")));
        if !output.status.success() {
            return Err(fail(String::from_utf8_lossy(&output.stderr).into_owned()));
        }
        serde_json::from_slice(&output.stdout).map_err(|e| fail(e.to_string()))
    };
    let [demo, model] = [work.path().join("demo"), made(folder.to_path_buf())?.join("golden.lupe")];
    let results = work.path().join("results");
    ask(&["demo", "-o", &word(&demo)])?;
    let data = word(&demo.join("parts"));
    ask(&["fit", "patchcore", &data, "-o", &word(&model), "--preset", "official", "--no-crop", "--no-embed-backbone"])?;
    let metrics = ask(&["eval", &word(&model), &data, "-o", &word(&results), "--no-heatmaps"])?;
    let golden = json!({
        "device": metrics["device"], "lupe_version": env!("CARGO_PKG_VERSION"),
        "scores": scores(&results)?, "demo": scores(&demo.join("results"))?,
    });
    write(&folder.join("golden.json"), format!("{golden:#}\n").as_bytes())
}

fn word(path: &Path) -> String {
    path.display().to_string()
}

/// Path, score, limit and verdict of every picture.
fn scores(results: &Path) -> Result<Value> {
    let path = results.join("results.ndjson");
    let fail = |e: &dyn std::fmt::Display| Error::Input(format!("{}: {e}", path.display()));
    let text = fs::read_to_string(&path).map_err(|e| fail(&e))?;
    let line = |line: &str| -> Result<Value> {
        let line: Value = serde_json::from_str(line).map_err(|e| fail(&e))?;
        Ok(json!({"path": line["path"], "score": line["score"], "limit": line["limit"], "above": line["above"]}))
    };
    text.lines().map(line).collect()
}

/// Does the work.
pub fn run(context: &Context) -> Result<()> {
    let golden = read(&context.kit.join("golden.json"))?;
    let (demo, results) = (context.scratch("demo")?, context.scratch("golden")?);
    let own = context.lupe_json(&["demo", "-o", &word(&demo)]);
    let (model, data) = (word(&context.kit.join("golden.lupe")), word(&demo.join("parts")));
    let mut found = json!({"device": golden["device"]});
    if let Ok(own) = &own {
        found["fitted_here"] = compare(&golden["demo"], &scores(&demo.join("results"))?);
        (found["metrics"], found["demo_seconds"]) = (own["metrics"].clone(), own["seconds"].clone());
        context.keep(&found)?;
    }
    context.lupe(&["eval", &model, &data, "-o", &word(&results), "--no-heatmaps"])?;
    found["same_model"] = compare(&golden["scores"], &scores(&results)?);
    context.keep(&found)?;
    own?;
    let [flips, missing] = ["flips", "missing"].map(|key| list(&found, &format!("/same_model/{key}")).len());
    match flips + missing {
        0 => Ok(()),
        _ => Err(Error::Numeric(format!(
            "{flips} verdicts are others than on the software device, {missing} pictures missing"
        ))),
    }
}

/// What differs between scores there and here: the largest difference, as a share of the limit there too; verdicts that are others.
pub fn compare(there: &Value, here: &Value) -> Value {
    let (mut largest, mut share, mut flips, mut missing) = (0f64, 0f64, vec![], vec![]);
    for a in list(there, "") {
        let Some(b) = list(here, "").iter().find(|b| b["path"] == a["path"]) else {
            missing.push(a["path"].clone());
            continue;
        };
        let of = |v: &Value| v["score"].as_f64().unwrap_or(f64::NAN);
        let apart = (of(a) - of(b)).abs();
        // A score that is no number is as far away as can be.
        let apart = if apart.is_nan() { f64::MAX } else { apart };
        largest = largest.max(apart);
        share = share.max(apart / a["limit"].as_f64().unwrap_or(1.0));
        if a["above"] != b["above"] {
            flips.push(json!({"path": a["path"], "there": a, "here": b}));
        }
    }
    json!({"pictures": list(there, "").len(), "largest": largest, "share": share, "flips": flips, "missing": missing})
}

/// Puts it into words.
pub fn page(data: &Value) -> Page {
    let row = |name: &str, key: &str| {
        let at = |field: &str| format!("/{key}/{field}");
        let share = number(data, &at("share")).map_or("–".into(), digits);
        let flips = list(data, &at("flips"));
        let paths: Vec<String> = flips
            .iter()
            .map(|f| {
                format!("{}: {} there, {} here", text(f, "/path"), text(f, "/there/score"), text(f, "/here/score"))
            })
            .collect();
        let flipped = if flips.is_empty() { "0".to_string() } else { format!("{}: {}", flips.len(), paths.join("; ")) };
        [
            name.to_string(),
            text(data, &at("pictures")),
            number(data, &at("largest")).map_or("–".into(), digits),
            share,
            flipped,
        ]
    };
    let rows = [row("model of the software device", "same_model"), row("fitted here", "fitted_here")];
    let [_, pictures, largest, share, flips] = rows[0].clone();
    Page::default()
        .head(
            "scores beside the software device's",
            format!(
                "{pictures} pictures, largest difference {largest} ({share} of the limit), verdicts changed: {flips}"
            ),
        )
        .and(table(&["", "pictures", "largest difference of a score", "of the limit", "verdicts changed"], &rows))
        .and(format!(
            "Fitted here: pixel AUROC {}, image AUROC {}; `lupe demo` took {} s. The software device: {} {}.",
            short(data, "/metrics/pixel/auroc"),
            short(data, "/metrics/image/auroc"),
            short(data, "/demo_seconds"),
            text(data, "/device/name"),
            text(data, "/device/driver_info"),
        ))
}
