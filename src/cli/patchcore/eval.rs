//! `lupe patchcore eval`: metrics of a model on labelled pictures.

use super::args::Eval;
use super::predict::{draw, line, open, save, score};
use crate::cli::output::print;
use crate::cli::session::Session;
use crate::data::dataset::{Dataset, Sample, good};
use crate::data::render::full_map;
use crate::data::{Limits, Mask};
use crate::error::{Error, Result};
use crate::methods::metrics::{PixelMetrics, Pixels, Ranking, Value, ranking};
use crate::methods::patchcore::Preset;
use crate::weights::container::sha256;
use comfy_table::{Table, presets};
use serde_json::{Map, Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};

/// What is counted along the way.
#[derive(Default)]
struct Sums {
    scores: Vec<(f64, bool)>,
    by_defect: BTreeMap<String, Vec<f64>>,
    pixel: Pixels<f32>,
    full: Pixels<f32>,
    unseen: u64,
    lines: Vec<String>,
}

/// Runs the command.
pub fn run(session: &Session, args: &Eval) -> Result<()> {
    let set = Dataset::open(&args.data)?;
    let opened = open(&args.model, args.common.weights.as_deref())?;
    let (samples, skipped) = unseen(args, &opened.model, set)?;
    let samples = with_masks(args, samples)?;
    let masked = samples.iter().any(|s| s.mask.is_some());
    let results = args.output.join("results.ndjson");
    save(&results, b"")?; // better to know now that nothing can be written there
    let mut sums = Sums::default();
    let nearest = opened.model.config.preset == Preset::Anomalib;
    score(session, &opened, &samples, args.common.batch, |looked, scored| {
        let Some(sample) = samples.get(looked.number) else { return Ok(()) };
        sums.lines.push(line(&opened, sample, &looked, &scored).to_string());
        sums.scores.push((scored.score, !good(sample)));
        if !good(sample) {
            sums.by_defect.entry(sample.label.clone()).or_default().push(scored.score);
        }
        if masked {
            let (size, width, height) = (scored.map.shape.last(), looked.picture.width, looked.picture.height);
            let mask = sample.mask.as_ref().map(|m| Mask::open(m, Limits::default())).transpose()?;
            if let Some(m) = mask.as_ref().filter(|m| (m.width, m.height) != (width, height)) {
                let what =
                    format!("{}: its mask is {}x{}, the picture {width}x{height}", sample.name, m.width, m.height);
                return Err(Error::Input(what));
            }
            let view = mask.as_ref().map(|m| m.sized(&opened.preprocess, nearest)).transpose()?;
            sums.pixel.add(&scored.map.data, view.as_deref(), size)?;
            let full = full_map(&scored.map.data, size, size, opened.preprocess.area(width, height), width, height);
            if let Some(m) = &mask {
                sums.unseen += m.bits.iter().zip(&full).filter(|(b, v)| **b && **v == f32::NEG_INFINITY).count() as u64;
            }
            sums.full.add(&full, mask.as_ref().map(|m| m.bits.as_slice()), width)?;
        }
        draw(&opened, &args.common, &args.output, sample, &looked, &scored)
    })?;
    save(&results, (sums.lines.join("\n") + "\n").as_bytes())?;
    let train = opened.model.pictures.len();
    let facts = json!({"backbone": opened.model.backbone.name, "config": opened.model.config, "train": train});
    let metrics = metrics(sums, masked, skipped, facts)?;
    let text = serde_json::to_string_pretty(&metrics).unwrap_or_default();
    save(&args.output.join("metrics.json"), (text + "\n").as_bytes())?;
    if session.json {
        print(&metrics.to_string())
    } else {
        print(&format!("{}\nresults   {}", table(&metrics), args.output.display()))
    }
}

/// Test pictures that the model was not fitted on, and how many it was; good ones kept aside at the fit are test pictures.
fn unseen(args: &Eval, model: &crate::methods::patchcore::model::Model, set: Dataset) -> Result<(Vec<Sample>, usize)> {
    let seen: BTreeSet<&str> = model.pictures.iter().map(|p| p.sha256.as_str()).collect();
    let aside: BTreeSet<&str> = model.held_out.iter().map(|p| p.name.as_str()).collect();
    let test_good = set.test.iter().any(good);
    let kept = set.train.into_iter().filter(|s| !test_good && aside.contains(s.name.as_str()));
    let mut all: Vec<Sample> = set.test.into_iter().chain(kept).collect();
    all.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
    let before = all.len();
    if !args.allow_seen {
        let mut keep = vec![];
        for sample in all {
            let bytes = std::fs::read(&sample.path)
                .map_err(|e| Error::Input(format!("{}: cannot be read: {e}", sample.path.display())))?;
            if !seen.contains(sha256(&bytes).as_str()) {
                keep.push(sample);
            }
        }
        all = keep;
    }
    let skipped = before - all.len();
    if all.is_empty() {
        return Err(Error::Input(format!("{}: has no test pictures that the model has not seen", args.data.display())));
    }
    Ok((all, skipped))
}

/// Either every defective picture has a mask, or none has, unless those without are to be left out.
fn with_masks(args: &Eval, samples: Vec<Sample>) -> Result<Vec<Sample>> {
    let missing = |s: &&Sample| !good(s) && s.mask.is_none();
    let any = samples.iter().any(|s| s.mask.is_some());
    match samples.iter().find(missing) {
        Some(s) if any && !args.skip_unmasked => {
            let n = samples.iter().filter(missing).count();
            Err(Error::Input(format!(
                "{n} defective pictures have no mask, {} first; add them or give --skip-unmasked",
                s.name
            )))
        }
        Some(_) if any => Ok(samples.into_iter().filter(|s| good(s) || s.mask.is_some()).collect()),
        _ => Ok(samples),
    }
}

fn value(v: &Value) -> Json {
    match v {
        Ok(v) => json!(v),
        Err(_) => Json::Null,
    }
}

/// Metrics by name, and the reasons of those that are undefined.
fn facts(r: &Ranking, more: &[(&str, &Value)]) -> Json {
    let plain = [("auroc", &r.auroc), ("ap", &r.ap), ("f1_max", &r.f1_max), ("f1_threshold", &r.f1_threshold)];
    let all = || plain.iter().chain(more);
    let mut map: Map<String, Json> = all().map(|(k, v)| (k.to_string(), value(v))).collect();
    let why: Map<String, Json> = all().filter_map(|(k, v)| Some((k.to_string(), json!(v.as_ref().err()?)))).collect();
    if !why.is_empty() {
        map.insert("undefined".into(), why.into());
    }
    map.into()
}

fn pixel(m: &PixelMetrics) -> Json {
    facts(&m.ranking, &[("aupro_30", &m.aupro_30), ("aupro_05", &m.aupro_05)])
}

fn metrics(sums: Sums, masked: bool, skipped: usize, model: Json) -> Result<Json> {
    let goods: Vec<f64> = sums.scores.iter().filter(|s| !s.1).map(|s| s.0).collect();
    let mut by_defect = Map::new();
    for (name, scores) in &sums.by_defect {
        let samples: Vec<(f64, bool)> =
            goods.iter().map(|&s| (s, false)).chain(scores.iter().map(|&s| (s, true))).collect();
        by_defect.insert(name.clone(), facts(&ranking(&samples)?, &[]));
    }
    let counts = (sums.pixel.counts().regions, sums.pixel.counts().defect_pixels);
    let none = || json!({"undefined": "no picture has a mask"});
    let (view, full) = match masked {
        true => (pixel(&sums.pixel.finish()?), pixel(&sums.full.finish()?)),
        false => (none(), none()),
    };
    Ok(json!({
        "schema": 1,
        "image": facts(&ranking(&sums.scores)?, &[]),
        "pixel": view,
        "pixel_full": full,
        "by_defect": by_defect,
        "counts": {
            "train": model.get("train"),
            "test_good": goods.len(),
            "test_defective": sums.scores.len() - goods.len(),
            "regions": counts.0,
            "defect_pixels": counts.1,
            "skipped_seen": skipped,
            "defect_pixels_unseen": sums.unseen,
        },
        "model": model,
    }))
}

fn table(metrics: &Json) -> String {
    let mut table = Table::new();
    let names = ["auroc", "ap", "f1_max", "f1_threshold", "aupro_30", "aupro_05"];
    table.load_style(presets::NOTHING).set_header(["", "AUROC", "AP", "F1-max", "at", "AUPRO 0.3", "AUPRO 0.05"]);
    for part in ["image", "pixel", "pixel_full"] {
        let cell = |name: &&str| {
            let value = metrics.get(part).and_then(|p| p.get(*name)).and_then(Json::as_f64);
            value.map_or("-".into(), |v| format!("{v:.4}"))
        };
        table.add_row(std::iter::once(part.to_string()).chain(names.iter().map(cell)));
    }
    table.to_string()
}
