//! What is counted during an evaluation, and the metrics that result.

use super::classified::Classified;
use super::drawing::sides;
use super::fitted::{Finding, Fitted};
use super::looking::Looked;
use super::metrics::{MetricValue, PixelMetrics, Pixels, Ranking, ranking};
use crate::data::Mask;
use crate::data::dataset::{Sample, good};
use crate::error::{Error, Result, plain};
use crate::report::full_map;
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;

/// Bytes that one pixel of `pixel_full` takes.
const PIXEL: u64 = 8;

/// What is counted during an evaluation.
pub struct Evaluation<'m> {
    fitted: &'m dyn Fitted,
    /// Whether pixels are counted, or why not.
    pixels: std::result::Result<(), &'static str>,
    scores: Vec<(f64, bool)>,
    /// Label and name of every file, by its hash.
    labels: BTreeMap<String, [String; 2]>,
    by_defect: BTreeMap<String, Vec<f64>>,
    classified: Option<Classified<'m>>,
    pixel: Pixels<f32>,
    /// At the pictures' own size, as long as there is memory for it.
    full: Option<Pixels<f32>>,
    room: u64,
    /// Defect pixels of the masks at the pictures' own size, and those outside what was looked at.
    marked: u64,
    unseen: u64,
    /// Pictures with defect pixels, all of which lie outside what was looked at.
    unseen_pictures: usize,
}

impl<'m> Evaluation<'m> {
    /// For `samples`: pixels count too if there are masks and maps; those at the pictures' own size take at most `room` bytes.
    pub fn new(fitted: &'m dyn Fitted, samples: &[Sample], room: u64) -> Evaluation<'m> {
        let pixels = match (samples.iter().any(|s| !good(s) && s.mask.is_some()), fitted.localises()) {
            (false, _) => Err("no picture has a mask"),
            (true, false) => Err("the method produces no anomaly maps"),
            (true, true) => Ok(()),
        };
        let (scores, labels, by_defect) = (vec![], BTreeMap::new(), BTreeMap::new());
        let (pixel, full, marked, unseen, unseen_pictures) = (Pixels::new(), Some(Pixels::new()), 0, 0, 0);
        let classified = Classified::new(fitted);
        Evaluation {
            fitted,
            pixels,
            scores,
            labels,
            by_defect,
            classified,
            pixel,
            full,
            room,
            marked,
            unseen,
            unseen_pictures,
        }
    }

    /// Pictures that were counted.
    pub fn pictures(&self) -> usize {
        self.scores.len()
    }

    /// Counts a picture.
    ///
    /// # Errors
    /// [`Error::Numeric`] for a score that is not a number; [`Error::Input`] for a file that has another label under another name.
    pub fn add(&mut self, sample: &Sample, looked: &Looked, found: &Finding) -> Result<()> {
        self.label(sample, &looked.sha256)?;
        self.classified.iter_mut().for_each(|c| c.add(sample, found));
        self.scores.push((found.score, !good(sample)));
        if !good(sample) {
            self.by_defect.entry(sample.label.clone()).or_default().push(found.score);
        }
        let Some(map) = found.map.as_ref().filter(|_| self.pixels.is_ok()) else { return Ok(()) };
        let (over, [rows, columns]) = (self.fitted.map_view(), sides(map));
        let view = |m: &Mask| match found.whole {
            true => Ok(m.bits.clone()),
            false => m.sized(&over, self.fitted.nearest_masks()),
        };
        let view = looked.mask.as_ref().map(view).transpose()?;
        self.pixel.add(&map.data, view.as_deref(), columns)?;
        let (w, h) = (looked.picture.width, looked.picture.height);
        let area = found.area(&over, w, h);
        let full = full_map(&map.data, columns, rows, area, w, h);
        if let Some(m) = &looked.mask {
            let unseen = m.bits.iter().zip(&full).filter(|(b, v)| **b && **v == f32::NEG_INFINITY).count();
            let marked = m.bits.iter().filter(|b| **b).count();
            self.marked += marked as u64;
            self.unseen += unseen as u64;
            self.unseen_pictures += usize::from(unseen > 0 && unseen == marked);
        }
        let bytes = PIXEL * full.len() as u64;
        match &mut self.full {
            Some(pixels) if bytes <= self.room => {
                self.room -= bytes;
                pixels.add(&full, looked.mask.as_ref().map(|m| m.bits.as_slice()), w)
            }
            full => {
                *full = None; // what was counted so far would be incomplete
                Ok(())
            }
        }
    }

    /// Whether no other name of the same file has another label: one of the two verdicts would be counted as wrong.
    fn label(&mut self, sample: &Sample, sha256: &str) -> Result<()> {
        let own = [sample.label.clone(), sample.name.clone()];
        let [label, name] = self.labels.entry(sha256.into()).or_insert_with(|| own.clone());
        if *label == sample.label {
            return Ok(());
        }
        let [label, name, other, same] = [label, name, &own[0], &own[1]].map(|text| plain(text));
        Err(Error::Input(format!(
            "{same} and {name} are the same file, labelled {other} and {label}; remove one of them"
        )))
    }

    /// What the scores of all pictures are worth, and those of each kind of defect beside the good ones.
    fn ranked(&self) -> Result<(Json, Map<String, Json>)> {
        if self.classified.as_ref().is_some_and(|c| !c.knows_good()) {
            // A score says how doubtful a label is.
            return Ok((undefined(&IMAGE, "the model has no class called good"), Map::new()));
        }
        let goods = || self.scores.iter().filter(|s| !s.1).copied();
        let mut by_defect = Map::new();
        for (name, scores) in &self.by_defect {
            let samples: Vec<(f64, bool)> = goods().chain(scores.iter().map(|&s| (s, true))).collect();
            by_defect.insert(name.clone(), facts(&ranking(&samples)?, &[]));
        }
        Ok((facts(&ranking(&self.scores)?, &[]), by_defect))
    }

    /// All metrics. `counts` are added to the counts; a metric that is undefined is null, with its reason.
    ///
    /// # Errors
    /// [`Error::Numeric`] for a score that is not a number.
    pub fn finish(self, counts: Map<String, Json>, model: Json, device: Json) -> Result<Json> {
        let goods = self.scores.iter().filter(|s| !s.1).count();
        let (image, by_defect) = self.ranked()?;
        let mut all = Map::from_iter([
            ("test_good".to_string(), json!(goods)),
            ("test_defective".into(), json!(self.scores.len() - goods)),
            ("regions".into(), json!(self.pixel.counts().regions)),
            ("defect_pixels".into(), json!(self.pixel.counts().defect_pixels)),
            ("defect_pixels_full".into(), json!(self.marked)),
            ("defect_pixels_unseen".into(), json!(self.unseen)),
            ("defective_unseen".into(), json!(self.unseen_pictures)),
        ]);
        all.extend(counts);
        let (view, full) = match (self.pixels, self.full) {
            (Err(why), _) => (nothing(why), nothing(why)),
            (Ok(()), None) => (pixel(&self.pixel.finish()?), nothing("it needs more memory than --limit-ram allows")),
            (Ok(()), Some(full)) => (pixel(&self.pixel.finish()?), pixel(&full.finish()?)),
        };
        let mut metrics = json!({
            "schema": 1,
            "at_limit": at_limit(self.fitted, &self.scores),
            "image": image,
            "pixel": view,
            "pixel_full": full,
            "by_defect": by_defect,
            "counts": all,
            "model": model,
            "device": device,
        });
        if let (Some(classified), Some(sections)) = (&self.classified, metrics.as_object_mut()) {
            sections.insert("classes".into(), classified.json());
        }
        Ok(metrics)
    }
}

/// What accepting and rejecting at the model's limit comes to; null without a limit.
fn at_limit(fitted: &dyn Fitted, scores: &[(f64, bool)]) -> Json {
    let Some(limit) = fitted.limit() else { return Json::Null };
    let count =
        |above: bool, defective: bool| scores.iter().filter(|s| (s.0 > limit, s.1) == (above, defective)).count();
    json!({
        "limit": limit,
        "accepted": count(false, false) + count(false, true),
        "rejected": count(true, false) + count(true, true),
        "false_alarms": count(true, false),
        "misses": count(false, true),
    })
}

const IMAGE: [&str; 4] = ["auroc", "ap", "f1_max", "f1_threshold"];
const PIXELS: [&str; 6] = ["auroc", "ap", "f1_max", "f1_threshold", "aupro_30", "aupro_05"];

/// Pixel metrics that are all undefined for the same reason.
fn nothing(why: &str) -> Json {
    undefined(&PIXELS, why)
}

/// Metrics that are all undefined for the same reason.
fn undefined(names: &[&str], why: &str) -> Json {
    let of = |value: Json| names.iter().map(|k| (k.to_string(), value.clone())).collect::<Map<_, _>>();
    let mut map = of(Json::Null);
    map.insert("undefined".into(), of(json!(why)).into());
    map.into()
}

/// Metrics by name, and the reasons of those that are undefined.
fn facts(r: &Ranking, more: &[(&str, &MetricValue)]) -> Json {
    let plain = [&r.auroc, &r.ap, &r.f1_max, &r.f1_threshold];
    let all: Vec<(&str, &MetricValue)> = IMAGE.into_iter().zip(plain).chain(more.iter().copied()).collect();
    let value = |v: &MetricValue| v.map_or(Json::Null, |v| json!(v));
    let mut map: Map<String, Json> = all.iter().map(|(k, v)| (k.to_string(), value(v))).collect();
    let why: Map<String, Json> =
        all.iter().filter_map(|(k, v)| Some((k.to_string(), json!(v.as_ref().err()?)))).collect();
    if !why.is_empty() {
        map.insert("undefined".into(), why.into());
    }
    map.into()
}

fn pixel(m: &PixelMetrics) -> Json {
    facts(&m.ranking, &[("aupro_30", &m.aupro_30), ("aupro_05", &m.aupro_05)])
}
