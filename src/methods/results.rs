//! What `predict` and `eval` write for every picture: a line of results, times, and, in the background, drawings.

use super::background::Background;
use super::drawing::{Draw, Drawing, sides};
use super::fitted::Fitted;
use super::looking::{Coverage, Looked};
use super::scorer::Scored;
use crate::data::dataset::Sample;
use crate::error::{Error, Result, shown};
use crate::files::{folder, hold, save};
use crate::lock::lock;
use crate::manifest::Manifest;
use crate::outputs::Inputs;
use serde::Serialize;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// How results are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResultsFormat {
    /// One JSON object per line.
    #[default]
    Ndjson,
    /// A table.
    Csv,
}

impl ResultsFormat {
    /// The file's name.
    fn file(self) -> &'static str {
        match self {
            ResultsFormat::Ndjson => "results.ndjson",
            ResultsFormat::Csv => "results.csv",
        }
    }
}

/// One line of results.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// The picture's path below the folder that was given.
    pub path: String,
    /// Its label, if its data set has one.
    pub label: Option<String>,
    /// The method's name.
    pub method: &'static str,
    /// Its score; `None` if it could not be read.
    pub score: Option<f64>,
    /// The largest score that is not called defective.
    pub limit: Option<f64>,
    /// How that limit follows from the training pictures.
    pub limit_rule: Option<String>,
    /// Whether the score is above it.
    pub above: Option<bool>,
    /// The largest value of the anomaly map that is not called defective: what masks, outlines and colours refer to.
    pub pixel_limit: Option<f64>,
    /// x, y of the map's highest value, in the picture's pixels.
    pub peak: Option<[f64; 2]>,
    /// x, y, width, height of what was looked at, in the picture's pixels.
    pub crop: Option<[f64; 4]>,
    /// Its class, if the method classifies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub predicted: Option<String>,
    /// Probabilities of the classes, if the method classifies.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub probabilities: BTreeMap<String, f64>,
    /// By how much the largest logit is larger than the next, if the method classifies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub margin: Option<f64>,
    /// Why it could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The results of a run, in a folder.
pub struct Results<'m> {
    fitted: &'m dyn Fitted,
    format: ResultsFormat,
    out: PathBuf,
    /// Names of the files of each sample, without extension.
    names: Vec<String>,
    lines: Vec<(usize, Line)>,
    coverage: Coverage,
    timing: Arc<Mutex<Vec<(usize, String)>>>,
    drawing: Arc<Drawing>,
    background: Background,
    manifest: Manifest,
    planned: Vec<String>,
    inputs: Inputs,
    /// Keeps other runs out of the folder.
    _held: Option<File>,
}

/// The files, below its folder, that a run over `samples` may write; `metrics` says whether it has any.
pub fn planned(samples: &[Sample], (format, draw): (ResultsFormat, Draw), metrics: bool) -> Vec<String> {
    let drawn = names(samples).into_iter().flat_map(|name| draw.files(&name).collect::<Vec<_>>());
    let files = [format.file(), "timing.ndjson"].into_iter().chain(metrics.then_some("metrics.json"));
    files.map(String::from).chain(drawn).collect()
}

impl<'m> Results<'m> {
    /// For results of `samples` in `out`, which is created and tried first: better to know early that nothing can be written there.
    ///
    /// # Errors
    /// [`Error::Output`] if nothing can be written there, or another run is writing there.
    pub fn new(
        fitted: &'m dyn Fitted,
        (format, draw): (ResultsFormat, Draw),
        samples: &[Sample],
        out: &Path,
    ) -> Result<Results<'m>> {
        folder(out)?;
        let _held = hold(out)?;
        Ok(Results {
            fitted,
            format,
            out: out.into(),
            names: names(samples),
            lines: vec![],
            coverage: Coverage::default(),
            timing: Arc::default(),
            drawing: Arc::new(Drawing::new(fitted, draw, out)),
            background: Background::new(),
            manifest: Manifest::open(out),
            planned: planned(samples, (format, draw), true),
            inputs: Inputs::of(samples.iter().flat_map(Sample::files)),
            _held,
        })
    }

    /// What a run that does not end leaves in a folder where files of an earlier one are.
    pub fn unfinished(&self) -> Option<String> {
        let out = shown(&self.out);
        self.manifest.has_earlier().then(|| {
            format!(
                "{out}: results.*, metrics.json and all pictures that were not replaced are those of an earlier run"
            )
        })
    }

    /// Records one picture, and has the files that were asked for written.
    ///
    /// # Errors
    /// That of an earlier picture's file which could not be written.
    pub fn add(&mut self, sample: &Sample, looked: Looked, scored: Scored) -> Result<()> {
        self.manifest.begin(&self.planned)?;
        self.coverage.add(&self.fitted.preprocess(), &looked.picture);
        self.lines.push((looked.number, self.line(sample, &looked, &scored)));
        let (path, [decode, device]) = (sample.name.clone(), looked.milliseconds);
        let name = self.names.get(looked.number).cloned().unwrap_or_default();
        let (drawing, timing) = (self.drawing.clone(), self.timing.clone());
        self.background.give(move || {
            let start = Instant::now();
            drawing.draw(&name, &looked, &scored)?;
            let writing = start.elapsed().as_secs_f64() * 1e3;
            let times = json!({"path": path, "decode": decode, "device": device, "writing": writing});
            lock(&timing).push((looked.number, times.to_string()));
            Ok(())
        })
    }

    /// Records a picture that could not be read.
    pub fn add_failed(&mut self, number: usize, sample: &Sample, why: &str) {
        self.lines.push((number, Line { error: Some(why.to_string()), ..self.empty(sample) }));
    }

    /// The share of the pictures' pixels that was looked at; `None` if there are no pictures.
    pub fn seen_share(&self) -> Option<f64> {
        self.coverage.share()
    }

    /// A line without an answer.
    fn empty(&self, sample: &Sample) -> Line {
        Line {
            path: sample.name.clone(),
            label: Some(sample.label.clone()).filter(|l| !l.is_empty()),
            method: self.fitted.method(),
            score: None,
            limit: self.fitted.limit(),
            limit_rule: self.fitted.limit_rule().map(|rule| rule.to_string()),
            above: None,
            pixel_limit: self.fitted.map_limit(),
            peak: None,
            crop: None,
            predicted: None,
            probabilities: BTreeMap::new(),
            margin: None,
            error: None,
        }
    }

    fn line(&self, sample: &Sample, looked: &Looked, scored: &Scored) -> Line {
        let (found, limit) = (&scored.finding, self.fitted.limit());
        let (wide, high) = (looked.picture.width, looked.picture.height);
        let crop = self.fitted.preprocess().area(wide, high);
        let [x, y, w, h] = found.area(&self.fitted.map_view(), wide, high);
        let peak = found.map.as_ref().map(|map| {
            let ([rows, columns], at) = (sides(map).map(|n| n.max(1)), peak(&map.data));
            let along =
                |i: usize, cells: usize, start: f64, length: f64| start + (i as f64 + 0.5) * length / cells as f64;
            [along(at % columns, columns, x, w), along(at / columns, rows, y, h)]
        });
        Line {
            score: Some(found.score),
            above: limit.map(|l| found.score > l),
            peak,
            crop: Some(crop),
            predicted: found.label.clone(),
            probabilities: found.probabilities.iter().cloned().collect(),
            margin: found.margin,
            ..self.empty(sample)
        }
    }

    /// Writes results, times and, where there are any, metrics. Once all is whole, files are removed that an earlier run left there and
    /// this one did not write: the folder holds what this run made.
    ///
    /// # Errors
    /// [`Error::Output`] for the first file that could not be written or removed.
    pub fn write(mut self, metrics: Option<&[u8]>) -> Result<Vec<Line>> {
        self.background.finish()?;
        self.lines.sort_by_key(|l| l.0);
        let lines: Vec<Line> = self.lines.into_iter().map(|l| l.1).collect();
        let bytes = match self.format {
            ResultsFormat::Ndjson => ndjson(&lines)?.into_bytes(),
            ResultsFormat::Csv => csv(&lines, self.fitted.classes())?,
        };
        let mut times = std::mem::take(&mut *lock(&self.timing));
        times.sort();
        let times = times.into_iter().map(|t| t.1 + "\n").collect::<String>();
        let files =
            [(self.format.file(), Some(&*bytes)), ("timing.ndjson", Some(times.as_bytes())), ("metrics.json", metrics)];
        self.manifest.begin(&self.planned)?;
        let mut written = self.drawing.written();
        for (name, bytes) in files {
            let Some(bytes) = bytes else { continue };
            save(&self.out.join(name), bytes)?;
            written.insert(name.into());
        }
        self.manifest.finish(written, &self.inputs)?;
        Ok(lines)
    }
}

/// `test/cut/000` for `test/cut/000.png`, as MVTec's evaluation code expects, unless two pictures would share that name.
fn names(samples: &[Sample]) -> Vec<String> {
    let stem = |s: &Sample| s.name.rsplit_once('.').map_or(s.name.clone(), |n| n.0.into());
    let mut count = BTreeMap::<String, usize>::new();
    samples.iter().for_each(|s| *count.entry(stem(s)).or_default() += 1);
    // A stem may be what another picture is called in full, as of `a.png.jpg` and `a.png`.
    let whole: BTreeSet<&str> = samples.iter().map(|s| s.name.as_str()).collect();
    let alone = |n: &String| count.get(n) == Some(&1) && !whole.contains(n.as_str());
    let name = |s: &Sample| Some(stem(s)).filter(alone).unwrap_or_else(|| s.name.clone());
    samples.iter().map(name).collect()
}

fn peak(map: &[f32]) -> usize {
    let better = |best: (usize, f32), (i, &v): (usize, &f32)| if v > best.1 { (i, v) } else { best };
    map.iter().enumerate().fold((0, f32::NEG_INFINITY), better).0
}

/// Lines as a JSON object each.
///
/// # Errors
/// [`Error::Output`] if one cannot be serialised: a bug.
pub fn ndjson(lines: &[Line]) -> Result<String> {
    let wrong = |e: serde_json::Error| Error::Output(format!("the results cannot be written: {e}"));
    lines.iter().map(|l| Ok(serde_json::to_string(l).map_err(wrong)? + "\n")).collect()
}

/// Columns of every table of results; of a method that classifies `margin` and a column for each class follow.
const COLUMNS: [&str; 16] = [
    "path",
    "label",
    "score",
    "limit",
    "above",
    "peak_x",
    "peak_y",
    "crop_x",
    "crop_y",
    "crop_w",
    "crop_h",
    "error",
    "method",
    "predicted",
    "limit_rule",
    "pixel_limit",
];

fn csv(lines: &[Line], classes: &[String]) -> Result<Vec<u8>> {
    let wrong = |e: &dyn std::fmt::Display| Error::Output(format!("the results cannot be written: {e}"));
    let mut table = csv::Writer::from_writer(vec![]);
    let margin = (!classes.is_empty()).then(|| "margin".to_string());
    let probabilities = classes.iter().map(|name| format!("probability {name}"));
    let header = COLUMNS.into_iter().map(String::from).chain(margin).chain(probabilities);
    table.write_record(header).map_err(|e| wrong(&e))?;
    let number = |v: Option<f64>| v.map_or(String::new(), |v| v.to_string());
    for l in lines {
        let mut row = vec![l.path.clone(), l.label.clone().unwrap_or_default(), number(l.score), number(l.limit)];
        row.push(l.above.map_or(String::new(), |a| a.to_string()));
        let places =
            l.peak.map_or([None; 2], |p| p.map(Some)).into_iter().chain(l.crop.map_or([None; 4], |c| c.map(Some)));
        row.extend(places.map(number));
        let text = |t: &Option<String>| t.clone().unwrap_or_default();
        row.extend([text(&l.error), l.method.into(), text(&l.predicted), text(&l.limit_rule), number(l.pixel_limit)]);
        row.extend((!classes.is_empty()).then(|| number(l.margin)));
        row.extend(classes.iter().map(|name| number(l.probabilities.get(name).copied())));
        table.write_record(row).map_err(|e| wrong(&e))?;
    }
    table.into_inner().map_err(|e| wrong(&e))
}
