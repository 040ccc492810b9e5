//! The part `verify`: `lupe verify` of every network, and of the fitted PatchCore that travels in the kit.

use super::args::Amount;
use super::context::Context;
use super::md::{Page, block, list, table, text};
use lupe::{Error, Result, models};
use serde_json::{Value, json};

/// Does the work; a network that differs does not keep the others from being looked at.
pub fn run(context: &Context) -> Result<()> {
    let mut found = vec![];
    for (model, size, training) in subjects(context) {
        let weights = if model.ends_with(".lupe") { None } else { context.weights(&model)? };
        let weights = weights.map(|w| w.display().to_string());
        let mut words = vec!["verify", &model];
        words.extend(size.iter().flat_map(|s| ["--size", s]));
        words.extend(weights.iter().flat_map(|w| ["--weights", w]));
        words.extend(training.then_some("--training"));
        let done = context.lupe_json(&words);
        let name = std::path::Path::new(&model).file_name().map(|n| n.to_string_lossy().into_owned());
        found.push(json!({
            "model": name, "size": size, "training": training, "compared": done.as_ref().ok().map(|v| v["compared"].clone()),
            "error": done.err().map(|e| e.to_string()),
        }));
        context.keep(&json!(found))?;
    }
    let bad = found.iter().filter(|f| !f["error"].is_null()).count();
    if bad == 0 { Ok(()) } else { Err(Error::Numeric(format!("{bad} of {} differ", found.len()))) }
}

/// Models with the edge of their input, and whether it is a step of training, the quickest first: the references take a processor's time.
fn subjects(context: &Context) -> Vec<(String, Option<&'static str>, bool)> {
    let fitted = context.kit.join("golden.lupe").display().to_string();
    let of = |name: &str, size, training| (name.to_string(), Some(size), training);
    let own = models::EMBEDDED.name;
    if context.amount == Amount::Tiny {
        return vec![of(own, "32", false), of(own, "32", true)];
    }
    let mut all = vec![of(own, "64", false), of("resnet18", "64", false), (fitted, None, false)];
    all.extend([of(own, "64", true), of("dino_vits16", "64", true)]);
    let others = models::all().filter(|m| !["resnet18", own].contains(&m.name));
    all.extend(others.map(|m| of(m.name, "64", false)));
    if context.amount == Amount::Full {
        all.extend([("resnet18".to_string(), None, false), of("resnet18", "64", true)]);
    }
    all
}

/// Puts it into words.
pub fn page(data: &Value) -> Page {
    let all = list(data, "");
    let right = all.iter().filter(|f| f["error"].is_null()).count();
    let row = |f: &Value| {
        let verdict = if f["error"].is_null() { "as the references" } else { "**differs**" };
        let what = if f["training"] == true { "a step of training" } else { "" };
        [text(f, "/model"), text(f, "/size"), what.into(), text(f, "/compared"), verdict.to_string()]
    };
    let rows: Vec<[String; 5]> = all.iter().map(row).collect();
    let page = Page::default()
        .head("networks beside references", format!("{right} of {} right, every dispatch", all.len()))
        .and(table(&["model", "size", "", "dispatches", ""], &rows));
    all.iter().filter_map(|f| f["error"].as_str()).fold(page, |page, e| page.and(block(e)))
}
