//! What `predict` and `eval` write for every picture: a line of results, times, and, in the background, what is drawn.

use super::args::{Common, Format};
use super::drawing::Drawing;
use super::features::Looked;
use super::predict::Opened;
use crate::cli::background::Background;
use crate::cli::output::{folder, write};
use crate::data::dataset::Sample;
use crate::error::{Error, Result};
use crate::methods::patchcore::score::Scored;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// One line of results.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    path: String,
    label: Option<String>,
    score: Option<f64>,
    limit: Option<f64>,
    above: Option<bool>,
    /// x, y of the highest value, in the picture's pixels.
    peak: Option<[f64; 2]>,
    /// x, y, width, height of what was looked at, in the picture's pixels.
    crop: Option<[f64; 4]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// The results of a run, in a folder.
pub struct Results<'a> {
    opened: &'a Opened,
    format: Format,
    out: &'a Path,
    /// Names of the files of each sample, without extension.
    names: Vec<String>,
    lines: Vec<(usize, Line)>,
    timing: Arc<Mutex<Vec<(usize, String)>>>,
    drawing: Arc<Drawing>,
    background: Background,
    /// Pictures above the limit.
    pub above: usize,
}

impl<'a> Results<'a> {
    /// For results of `samples` in `out`, which is made and tried: better to know now that nothing can be written there.
    pub fn new(opened: &'a Opened, common: &'a Common, samples: &[Sample], out: &'a Path) -> Result<Results<'a>> {
        folder(out)?;
        Ok(Results {
            opened,
            format: common.format,
            out,
            names: names(samples),
            lines: vec![],
            timing: Arc::default(),
            drawing: Arc::new(Drawing::new(opened, common, out)),
            background: Background::new(),
            above: 0,
        })
    }

    /// Takes one picture in, and has the files that were asked for written; `scoring` is its milliseconds so far.
    pub fn add(&mut self, sample: &Sample, looked: Looked, scored: Scored, scoring: f64) -> Result<()> {
        let line = self.line(sample, &looked, &scored);
        self.above += usize::from(line.above == Some(true));
        self.lines.push((looked.number, line));
        let (path, [decode, features]) = (sample.name.clone(), looked.milliseconds);
        let name = self.names.get(looked.number).cloned().unwrap_or_default();
        let (drawing, timing) = (self.drawing.clone(), self.timing.clone());
        self.background.give(move || {
            let start = Instant::now();
            drawing.draw(&name, &looked, &scored)?;
            let writing = start.elapsed().as_secs_f64() * 1e3;
            let times = json!({
                "path": path, "decode": decode, "features": features, "scoring": scoring, "writing": writing,
            });
            let mut all = timing.lock().unwrap_or_else(PoisonError::into_inner);
            all.push((looked.number, times.to_string()));
            Ok(())
        })
    }

    /// Takes in a picture that could not be read.
    pub fn add_failed(&mut self, number: usize, sample: &Sample, why: &str) {
        let error = Some(why.to_string());
        let label = Some(sample.label.clone()).filter(|l| !l.is_empty());
        let limit = self.opened.model.limit();
        let path = sample.name.clone();
        self.lines.push((number, Line { path, label, score: None, limit, above: None, peak: None, crop: None, error }));
    }

    fn line(&self, sample: &Sample, looked: &Looked, scored: &Scored) -> Line {
        let crop = self.opened.preprocess.area(looked.picture.width, looked.picture.height);
        let [x, y, w, h] = crop;
        let (size, at) = (scored.map.shape.last().max(1), peak(&scored.map.data));
        let along = |i: usize, start: f64, length: f64| start + (i as f64 + 0.5) * length / size as f64;
        let limit = self.opened.model.limit();
        Line {
            path: sample.name.clone(),
            label: Some(sample.label.clone()).filter(|l| !l.is_empty()),
            score: Some(scored.score),
            limit,
            above: limit.map(|l| scored.score > l),
            peak: Some([along(at % size, x, w), along(at / size, y, h)]),
            crop: Some(crop),
            error: None,
        }
    }

    /// Writes results and times; what other formats an earlier run left there goes, so that the folder does not contradict itself.
    pub fn write(mut self) -> Result<Vec<Line>> {
        self.background.finish()?;
        self.lines.sort_by_key(|l| l.0);
        let lines: Vec<Line> = self.lines.into_iter().map(|l| l.1).collect();
        let (name, other, bytes) = match self.format {
            Format::Ndjson => ("results.ndjson", "results.csv", ndjson(&lines)?.into_bytes()),
            Format::Csv => ("results.csv", "results.ndjson", csv(&lines)?),
        };
        save(&self.out.join(name), &bytes)?;
        let mut times = std::mem::take(&mut *self.timing.lock().unwrap_or_else(PoisonError::into_inner));
        times.sort();
        let times = times.into_iter().map(|t| t.1 + "\n").collect::<String>();
        save(&self.out.join("timing.ndjson"), times.as_bytes())?;
        match std::fs::remove_file(self.out.join(other)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::Output(format!("{other} of an earlier run cannot be removed: {e}")))
            }
            _ => Ok(lines),
        }
    }
}

/// `test/cut/000` for `test/cut/000.png`, as MVTec's evaluation code wants it, unless two pictures would share that.
fn names(samples: &[Sample]) -> Vec<String> {
    let stem = |s: &Sample| s.name.rsplit_once('.').map_or(s.name.clone(), |n| n.0.into());
    let mut count = BTreeMap::<String, usize>::new();
    samples.iter().for_each(|s| *count.entry(stem(s)).or_default() += 1);
    let name = |s: &Sample| Some(stem(s)).filter(|n| count.get(n) == Some(&1)).unwrap_or_else(|| s.name.clone());
    samples.iter().map(name).collect()
}

fn peak(map: &[f32]) -> usize {
    let better = |best: (usize, f32), (i, &v): (usize, &f32)| if v > best.1 { (i, v) } else { best };
    map.iter().enumerate().fold((0, f32::NEG_INFINITY), better).0
}

/// Lines as a JSON object each.
///
/// # Errors
/// [`Error::Output`] if one cannot be put into words: a bug.
pub fn ndjson(lines: &[Line]) -> Result<String> {
    let wrong = |e: serde_json::Error| Error::Output(format!("the results cannot be written: {e}"));
    lines.iter().map(|l| Ok(serde_json::to_string(l).map_err(wrong)? + "\n")).collect()
}

fn csv(lines: &[Line]) -> Result<Vec<u8>> {
    let wrong = |e: &dyn std::fmt::Display| Error::Output(format!("the results cannot be written: {e}"));
    let mut table = csv::Writer::from_writer(vec![]);
    let header = "path,label,score,limit,above,peak_x,peak_y,crop_x,crop_y,crop_w,crop_h,error";
    table.write_record(header.split(',')).map_err(|e| wrong(&e))?;
    let number = |v: Option<f64>| v.map_or(String::new(), |v| v.to_string());
    for l in lines {
        let mut row = vec![l.path.clone(), l.label.clone().unwrap_or_default(), number(l.score), number(l.limit)];
        row.push(l.above.map_or(String::new(), |a| a.to_string()));
        let places =
            l.peak.map_or([None; 2], |p| p.map(Some)).into_iter().chain(l.crop.map_or([None; 4], |c| c.map(Some)));
        row.extend(places.map(number));
        row.push(l.error.clone().unwrap_or_default());
        table.write_record(row).map_err(|e| wrong(&e))?;
    }
    table.into_inner().map_err(|e| wrong(&e))
}

/// Writes a file below the results, its folders made.
pub fn save(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|e| Error::Output(format!("{} cannot be made: {e}", folder.display())))?;
    write(path, bytes)
}
