//! The part `profile`: `lupe profile` of networks and of the fitted PatchCore, as pages and as numbers.

use super::args::Amount;
use super::context::{Context, write};
use super::md::{Page, digits, list, number, short, table, text};
use lupe::{Error, Result};
use serde_json::{Value, json};

/// Dispatches of a profile that the report lists.
const SLOWEST: usize = 12;

/// What is profiled of a model.
const PREDICTION: &str = "prediction";
const TRAINING: &str = "training";

/// Does the work.
pub fn run(context: &Context) -> Result<()> {
    let fitted = context.kit.join("golden.lupe").display().to_string();
    let all: &[(&str, &str, &str)] = &[
        ("resnet18", "1", PREDICTION),
        ("wide_resnet50_2", "1", PREDICTION),
        ("resnet18", "32", PREDICTION),
        (&fitted, "1", PREDICTION),
        ("resnet18", "32", TRAINING),
        ("dino_vits16", "20", TRAINING),
        ("wide_resnet50_2", "32", PREDICTION),
        ("efficientnet_lite0", "1", PREDICTION),
        ("efficientnet_lite0", "32", PREDICTION),
        ("efficientnet_lite0", "1", TRAINING),
    ];
    let wanted = |(model, batch, _): &(&str, &str, &str)| match context.amount {
        Amount::Full => true,
        Amount::Small => *batch == "1",
        Amount::Tiny => *batch == "1" && *model == "efficientnet_lite0",
    };
    let (mut rows, mut failed) = (vec![], vec![]);
    for (model, batch, what) in all.iter().copied().filter(wanted) {
        match one(context, model, batch, what) {
            Ok(row) => rows.push(row),
            Err(e) => failed.push(format!("{model}, batch {batch}, {what}: {e}")),
        }
        context.keep(&json!({"rows": rows, "failed": failed}))?;
    }
    if failed.is_empty() { Ok(()) } else { Err(Error::Partial(failed.join("; "))) }
}

fn one(context: &Context, model: &str, batch: &str, what: &str) -> Result<Value> {
    let fitted = model.ends_with(".lupe");
    let weights = if fitted { None } else { context.weights(model)?.map(|w| w.display().to_string()) };
    let name = if fitted { "patchcore" } else { model };
    let folder = context.folder("profile")?;
    let file = |ending: &str| folder.join(format!("{name}-{batch}-{what}.{ending}"));
    let html = file("html").display().to_string();
    let runs = if context.amount == Amount::Full { "15" } else { "4" };
    let mut words = vec!["profile", model, "--batch", batch, "--repeats", runs, "--html", &html];
    words.extend(weights.iter().flat_map(|w| ["--weights", w]));
    words.extend((what == TRAINING).then_some("--training"));
    let found = context.lupe_json(&words)?;
    write(&file("json"), found.to_string().as_bytes())?;
    let mut rows: Vec<&Value> = list(&found, "/rows").iter().collect();
    let us = |r: &Value| number(r, "/us").unwrap_or(0.0);
    let flops: f64 = rows.iter().filter_map(|r| number(r, "/flops")).sum();
    rows.sort_by(|a, b| us(b).total_cmp(&us(a)));
    rows.truncate(SLOWEST);
    Ok(json!({
        "model": name, "batch": batch, "what": what, "sum_us": found["sum_us"], "pass_us": found["pass_us"], "latency_ms": found["latency_ms"],
        "gflops": flops / number(&found, "/pass_us").unwrap_or(f64::NAN) / 1e3, "clock": found["clock"],
        "ceiling": found.pointer("/ceilings/arithmetic/rate"), "sentence": found["sentence"], "slowest": rows,
    }))
}

/// Puts it into words.
pub fn page(data: &Value) -> Page {
    let rows: Vec<[String; 9]> = list(data, "/rows").iter().map(row).collect();
    let columns = [
        "network",
        "batch",
        "",
        "computing ms",
        "GFLOP/s",
        "of the ceiling",
        "dispatches alone ms",
        "upload ms",
        "read-back ms",
    ];
    let head = |page: Page, r: &[String; 9]| {
        let what = format!("{} ms in one pass, {} GFLOP/s, {} of the arithmetic ceiling", r[3], r[4], r[5]);
        page.head(format!("{}, batch {}, {}, kernels alone", r[0], r[1], r[2]), what)
    };
    let mut page = rows.iter().fold(Page::default(), head).and(table(&columns, &rows));
    for r in list(data, "/rows") {
        page = page.and(format!(
            "**{}, batch {}, {}.** {}",
            text(r, "/model"),
            text(r, "/batch"),
            text(r, "/what"),
            text(r, "/sentence")
        ));
        let slowest: Vec<[String; 6]> = list(r, "/slowest").iter().map(dispatch).collect();
        page = page.and(table(&["dispatch", "kernel", "us", "share", "GFLOP/s", "of its ceiling"], &slowest));
    }
    page.gaps(data).and("All dispatches and the roofline: `rest/profile/*.html` in the archive.")
}

fn row(r: &Value) -> [String; 9] {
    let ms = |key: &str| number(r, key).map_or("–".into(), |us| digits(us / 1e3));
    let share = number(r, "/gflops")
        .zip(number(r, "/ceiling"))
        .map_or("–".into(), |(g, c)| format!("{:.0} %", 100.0 * g / c));
    let [up, back] = ["/latency_ms/upload/p50", "/latency_ms/read-back/p50"].map(|key| short(r, key));
    [
        text(r, "/model"),
        text(r, "/batch"),
        text(r, "/what"),
        ms("/pass_us"),
        short(r, "/gflops"),
        share,
        ms("/sum_us"),
        up,
        back,
    ]
}

fn dispatch(r: &Value) -> [String; 6] {
    let percent = |key: &str| number(r, key).map_or("–".into(), |v| format!("{:.0} %", 100.0 * v));
    [
        text(r, "/node"),
        text(r, "/kernel"),
        short(r, "/us"),
        percent("/share"),
        short(r, "/gflops"),
        percent("/of_ceiling"),
    ]
}
