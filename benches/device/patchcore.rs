//! The part `patchcore`: fit and eval whole, from files to verdicts, in pictures a second.

use super::args::Amount;
use super::context::Context;
use super::md::{Page, list, number, short, table, text};
use image::imageops::{self, FilterType};
use image::{DynamicImage, RgbImage};
use lupe::data::demo;
use lupe::measure::stats::median;
use lupe::{Error, Result};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Edge of the pictures: a camera's, cut down.
const EDGE: u32 = 512;

/// What is run: network, pictures in a run.
const RUNS: [(&str, &str); 4] =
    [("efficientnet_lite0", "4"), ("efficientnet_lite0", "32"), ("wide_resnet50_2", "32"), ("wide_resnet50_2", "4")];

/// Does the work.
pub fn run(context: &Context) -> Result<()> {
    let (count, runs) = match context.amount {
        Amount::Full => (160, &RUNS[..]),
        Amount::Small => (16, &RUNS[..1]),
        Amount::Tiny => (8, &RUNS[..1]),
    };
    let data = context.scratch("pictures")?;
    pictures(&data, count)?;
    let (mut rows, mut left, mut pace) = (vec![], vec![], context.pace());
    for (network, batch) in runs {
        match pace.another() {
            true => rows.push(one(context, &data, count, (network, batch))?),
            false => left.push(format!("{network}, batch {batch}")),
        }
        context.keep(&json!({"rows": rows, "left": left}))?;
    }
    Ok(())
}

/// Good pictures to fit on and others to look at, as JPEG: tiles of the demo, enlarged, no two alike.
fn pictures(folder: &Path, count: usize) -> Result<()> {
    let parts = demo::parts()?;
    for (split, train) in [("train", true), ("test", false)] {
        let to = super::context::made(folder.join(split).join("good"))?;
        let good: Vec<_> = parts.iter().filter(|p| p.train == train && p.mask.is_none()).collect();
        for i in 0..count {
            let Some(part) = good.get(i % good.len().max(1)) else { continue };
            let picture = &part.picture;
            let tile = RgbImage::from_raw(picture.width as u32, picture.height as u32, picture.rgb8().into_owned());
            let tile = tile.ok_or_else(|| Error::Input("a picture of the demo is not whole".into()))?;
            let turned = [|t: &RgbImage| t.clone(), imageops::rotate90, imageops::rotate180, imageops::rotate270]
                [i / good.len() % 4](&tile);
            let lit = imageops::brighten(&turned, i as i32 % 23 - 11);
            let path = to.join(format!("{i:03}.jpg"));
            let large = DynamicImage::from(imageops::resize(&lit, EDGE, EDGE, FilterType::Triangle));
            large.save(&path).map_err(|e| Error::Output(format!("{}: {e}", path.display())))?;
        }
    }
    Ok(())
}

fn one(context: &Context, data: &Path, count: usize, (network, batch): (&str, &str)) -> Result<Value> {
    let folder = context.scratch("fitted")?;
    let [model, results] = ["lupe", "results"].map(|end| folder.join(format!("{network}-{batch}.{end}")));
    let weights = context.weights(network)?.map(|w| w.display().to_string());
    let [data, model, to] = [data, &model, &results].map(|p: &Path| p.display().to_string());
    let weights: Vec<&str> = weights.iter().flat_map(|w| ["--weights", w]).collect();
    let fit = [
        "fit",
        "patchcore",
        &data,
        "-o",
        &model,
        "-q",
        "--fresh",
        "--backbone",
        network,
        "--batch",
        batch,
        "--no-embed-backbone",
    ];
    let fit_s = timed(context, &[&fit[..], &weights].concat())?;
    let eval = ["eval", &model, &data, "-o", &to, "--no-heatmaps", "--batch", batch];
    let eval_s = timed(context, &[&eval[..], &weights].concat())?;
    let stages = stages(results)?;
    Ok(json!({
        "network": network, "batch": batch, "pictures": count, "fit_s": fit_s, "eval_s": eval_s,
        "fit_per_s": count as f64 / fit_s, "eval_per_s": count as f64 / eval_s, "stages_ms": stages,
    }))
}

/// Seconds of a whole process.
fn timed(context: &Context, words: &[&str]) -> Result<f64> {
    let start = Instant::now();
    context.lupe(words)?;
    Ok(start.elapsed().as_secs_f64())
}

/// Milliseconds of every stage of a picture, the median of all.
fn stages(results: PathBuf) -> Result<Value> {
    let path = results.join("timing.ndjson");
    let lines = fs::read_to_string(&path).map_err(|e| Error::Input(format!("{}: {e}", path.display())))?;
    let lines: Vec<Value> = lines.lines().filter_map(|l| serde_json::from_str(l).ok()).collect();
    let of = |key: &str| median(&lines.iter().filter_map(|l| l[key].as_f64()).collect::<Vec<f64>>());
    Ok(json!({"decode": of("decode"), "features": of("features"), "scoring": of("scoring")}))
}

/// Puts it into words.
pub fn page(data: &Value) -> Page {
    let rows: Vec<[String; 8]> = (list(data, "/rows").iter())
        .map(|r| {
            let [fit, fits, eval, evals] = ["/fit_s", "/fit_per_s", "/eval_s", "/eval_per_s"].map(|k| short(r, k));
            let stages = ["decode", "features", "scoring"].map(|k| short(r, &format!("/stages_ms/{k}"))).join(", ");
            let [network, batch, pictures] = ["/network", "/batch", "/pictures"].map(|k| text(r, k));
            [network, batch, pictures, fit, fits, eval, evals, stages]
        })
        .collect();
    let best = list(data, "/rows")
        .iter()
        .max_by(|a, b| number(a, "/eval_per_s").unwrap_or(0.0).total_cmp(&number(b, "/eval_per_s").unwrap_or(0.0)));
    let page = best.map_or(Page::default(), |b| {
        let what = format!(
            "fit {}, eval {} pictures/s ({}, batch {})",
            short(b, "/fit_per_s"),
            short(b, "/eval_per_s"),
            text(b, "/network"),
            text(b, "/batch")
        );
        Page::default().head("PatchCore whole, files in, verdicts out", what)
    });
    let columns = [
        "network",
        "batch",
        "pictures",
        "fit s",
        "pictures/s",
        "eval s",
        "pictures/s",
        "ms a picture: decoding, features, scoring",
    ];
    page.and(table(&columns, &rows))
        .and(format!("JPEGs of {EDGE} x {EDGE}; whole processes, start included, without heat maps."))
        .gaps(data)
}
