//! The part `bench`: the adapter's ceilings, then `lupe bench` of whole networks at several batches.

use super::args::Amount;
use super::context::Context;
use super::md::{Page, digits, list, number, short, table, text};
use lupe::measure::ceilings;
use lupe::measure::stats::median;
use lupe::{Error, Result};
use serde_json::{Value, json};

/// What is measured: network, batch, runs, fresh processes for cold starts; what is worth most first.
const FULL: [(&str, usize, usize, usize); 12] = [
    ("resnet18", 1, 60, 2),
    ("wide_resnet50_2", 1, 40, 1),
    ("resnet18", 32, 30, 0),
    ("wide_resnet50_2", 32, 15, 0),
    ("efficientnet_lite0", 1, 60, 2),
    ("efficientnet_lite0", 32, 20, 0),
    ("resnet18", 8, 40, 0),
    ("wide_resnet50_2", 8, 20, 0),
    ("resnet18", 128, 10, 0),
    ("wide_resnet50_2", 128, 6, 0),
    ("efficientnet_lite0", 8, 30, 0),
    ("efficientnet_lite0", 128, 10, 0),
];

/// The same for a processor.
const SMALL: [(&str, usize, usize, usize); 3] =
    [("resnet18", 1, 7, 1), ("efficientnet_lite0", 1, 7, 1), ("wide_resnet50_2", 1, 3, 0)];

/// The same for a try.
const TINY: [(&str, usize, usize, usize); 1] = [("efficientnet_lite0", 1, 2, 0)];

/// Does the work; a batch that does not fit leaves the others as they are.
pub fn run(context: &Context) -> Result<()> {
    context.begin("ceilings");
    let ceilings = pollster::block_on(ceilings::measure(&context.gpu()?, None))?;
    let (mut rows, mut failed, mut left) = (vec![], vec![], vec![]);
    let mut pace = context.pace();
    let all: &[_] = match context.amount {
        Amount::Full => &FULL,
        Amount::Small => &SMALL,
        Amount::Tiny => &TINY,
    };
    for &(model, batch, runs, cold) in all {
        if !pace.another() {
            left.push(format!("{model}, batch {batch}"));
            continue;
        }
        match one(context, model, [batch, runs, cold]) {
            Ok(row) => rows.push(row),
            Err(e) => failed.push(format!("{model}, batch {batch}: {e}")),
        }
        context.keep(&json!({"ceilings": ceilings, "rows": rows, "failed": failed}))?;
    }
    context.keep(&json!({"ceilings": ceilings, "rows": rows, "failed": failed, "left": left}))?;
    if failed.is_empty() { Ok(()) } else { Err(Error::Partial(failed.join("; "))) }
}

fn one(context: &Context, model: &str, numbers: [usize; 3]) -> Result<Value> {
    let [batch, runs, cold] = numbers.map(|n| n.to_string());
    let weights = context.weights(model)?.map(|w| w.display().to_string());
    let file = context.folder("bench")?.join(format!("{model}-{batch}.json")).display().to_string();
    let mut words = vec!["bench", "--model", model, "--batch", &batch, "--repeats", &runs, "--cold", &cold];
    words.extend(["--warmup", "2", "-o", &file]);
    words.extend(weights.iter().flat_map(|w| ["--weights", w]));
    let mut found = context.lupe_json(&words)?;
    let row = found.pointer_mut("/0").map(Value::take);
    let row = row.ok_or_else(|| Error::Input(format!("lupe bench of {model} measured nothing")))?;
    let ms: Vec<f64> = list(&row, "/runs_ms").iter().filter_map(Value::as_f64).collect();
    let middle = median(&ms);
    let cold: Vec<f64> = list(&row, "/cold_ms").iter().filter_map(Value::as_f64).collect();
    Ok(json!({
        "model": model, "batch": batch, "ms": middle, "least_ms": ms.iter().copied().fold(f64::MAX, f64::min),
        "pictures_per_s": 1e3 * numbers[0] as f64 / middle,
        "gflops": number(&row, "/flops").unwrap_or(0.0) / middle / 1e6,
        "cold_ms": (!cold.is_empty()).then(|| median(&cold)), "first_cold_ms": row["first_cold_ms"],
        "device_bytes": row["device_bytes"], "peak_bytes": row["peak_bytes"],
    }))
}

/// Puts it into words.
pub fn page(data: &Value) -> Page {
    let ceiling = |key: &str| {
        let at = |field: &str| format!("/ceilings/{key}/{field}");
        let spread = number(data, &at("spread")).map_or("–".into(), |s| format!("{:.0} %", 100.0 * s));
        format!("{} (spread {spread}; {})", short(data, &at("rate")), text(data, &at("kernel")))
    };
    let mb = |row: &Value, key: &str| number(row, key).map_or("–".into(), |b| format!("{:.0}", b / 1e6));
    let rows: Vec<[String; 9]> = (list(data, "/rows").iter())
        .map(|r| {
            let [ms, least, pictures, cold, first] =
                ["/ms", "/least_ms", "/pictures_per_s", "/cold_ms", "/first_cold_ms"].map(|k| short(r, k));
            let gflops = number(r, "/gflops").map_or("–".into(), digits);
            [text(r, "/model"), text(r, "/batch"), ms, least, pictures, gflops, cold, first, mb(r, "/device_bytes")]
        })
        .collect();
    let mut page = Page::default().head(
        "ceilings",
        format!(
            "copy {} GB/s; arithmetic {} GFLOP/s",
            short(data, "/ceilings/copy/rate"),
            short(data, "/ceilings/arithmetic/rate")
        ),
    );
    for r in rows.iter().filter(|r| ["1", "32"].contains(&r[1].as_str())) {
        page =
            page.head(format!("{}, batch {}", r[0], r[1]), format!("{} ms, {} pictures/s, host to host", r[2], r[4]));
    }
    page.and(format!("Ceilings: copy {} GB/s, arithmetic {} GFLOP/s.", ceiling("copy"), ceiling("arithmetic")))
        .and(table(&["network", "batch", "ms", "least", "pictures/s", "GFLOP/s", "cold start ms", "the first", "device MB"], &rows))
        .and("Times are from numbers in the host's memory to numbers there. A cold start is a process's way to its first result, the first with kernels to compile.")
        .gaps(data)
}
