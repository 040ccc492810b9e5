//! A whole network's or model's measurement, and the forms in which measurements are written.

use super::stats::{median, percentile};
use crate::error::{Error, Result, shown};
use comfy_table::{CellAlignment, Table, presets};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SweepFormat {
    /// A table in Markdown.
    Md,
    /// One row per measurement, without the individual runs.
    Csv,
    /// A list with everything.
    Json,
    /// The same, one line per measurement.
    Jsonl,
}

/// What is measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// Network, or path of a fitted model.
    pub model: String,
    /// Shape of the input: pictures, rows, columns, channels.
    pub input: [usize; 4],
    /// Adapter.
    pub device: String,
    /// Its driver, with version.
    pub driver: String,
    /// Width of its vectors in bits, if it runs on the processor.
    pub width: Option<u32>,
}

/// What was measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measurement {
    /// Its subject.
    #[serde(flatten)]
    pub cell: Cell,
    /// Version of Lupe.
    pub lupe_version: String,
    /// Whether the kernels were those chosen by `lupe tune`.
    pub tuned: bool,
    /// Milliseconds of every run, from input in host memory to results in host memory.
    pub runs_ms: Vec<f64>,
    /// Milliseconds from the start of a fresh process to its first result, of every such process.
    pub cold_ms: Vec<f64>,
    /// The same for the very first process, which may have had to compile kernels.
    pub first_cold_ms: f64,
    /// FLOPs of a run.
    pub flops: u64,
    /// Bytes of device memory that the plan holds.
    pub device_bytes: u64,
    /// Most bytes that the process held, if the system reports it.
    pub peak_bytes: Option<u64>,
    /// Bytes that it held at the end.
    pub held_bytes: Option<u64>,
    /// The system's load average of the minute before the sweep.
    pub load: Option<f64>,
    /// Processors that share this load.
    #[serde(default)]
    pub processors: Option<usize>,
}

/// A load of more than this share of the processors leaves a measurement too few of them.
const BUSY: f64 = 0.5;

impl Measurement {
    /// Whether it is of the same model, input and device as `other`; the width of a software driver may differ.
    pub fn is_of(&self, other: &Measurement) -> bool {
        let (a, b) = (&self.cell, &other.cell);
        a.model == b.model && a.input == b.input && adapter(&a.device) == adapter(&b.device)
    }

    /// Whether the machine had other work when it was measured, as far as is recorded: then what that was.
    pub fn busy(&self) -> Option<String> {
        let (load, processors) = (self.load?, self.processors.unwrap_or(1));
        (load > BUSY * processors as f64).then(|| format!("a load of {load:.1} on {processors} processors"))
    }

    /// Median of the runs in milliseconds.
    pub fn median_ms(&self) -> f64 {
        median(&self.runs_ms)
    }

    /// Half of the distance between the quartiles: half of all runs lie within the median ± about this.
    pub fn spread_ms(&self) -> f64 {
        (percentile(&self.runs_ms, 0.75) - percentile(&self.runs_ms, 0.25)) / 2.0
    }

    /// Pictures per second, at the median.
    pub fn pictures_per_s(&self) -> f64 {
        1e3 * self.cell.input[0] as f64 / self.median_ms()
    }

    /// Arithmetic rate at the median.
    pub fn gflops(&self) -> f64 {
        self.flops as f64 / self.median_ms() / 1e6
    }

    fn cold_start_ms(&self) -> Option<f64> {
        (!self.cold_ms.is_empty()).then(|| median(&self.cold_ms))
    }
}

/// A shape as tables show it.
pub fn shape(input: [usize; 4]) -> String {
    input.map(|d| d.to_string()).join("x")
}

/// A measurement as messages name it.
pub fn named(model: &str, input: [usize; 4], device: &str) -> String {
    format!("{model} {} on {device}", shape(input))
}

/// An adapter's name without the width that its driver puts there, as in `llvmpipe (LLVM 15.0.6, 256 bits)`.
pub fn adapter(title: &str) -> String {
    title.split(", ").filter(|part| !part.trim_end_matches(')').ends_with(" bits")).collect::<Vec<_>>().join(", ")
}

/// What the formats other than JSON show of a measurement: name, and whether it is a number.
const COLUMNS: [(&str, bool); 14] = [
    ("model", false),
    ("input", false),
    ("ms", true),
    ("±", true),
    ("p95", true),
    ("pictures/s", true),
    ("GFLOP/s", true),
    ("cold start ms", true),
    ("peak MB", true),
    ("held MB", true),
    ("device MB", true),
    ("kernels", false),
    ("device", false),
    ("driver", false),
];

fn fields(r: &Measurement) -> [String; 14] {
    let mb = |b: Option<u64>| b.map_or(String::new(), |b| format!("{:.0}", b as f64 / 1e6));
    [
        r.cell.model.clone(),
        shape(r.cell.input),
        format!("{:.2}", r.median_ms()),
        format!("{:.2}", r.spread_ms()),
        format!("{:.2}", percentile(&r.runs_ms, 0.95)),
        format!("{:.1}", r.pictures_per_s()),
        format!("{:.1}", r.gflops()),
        r.cold_start_ms().map_or(String::new(), |ms| format!("{ms:.0}")),
        mb(r.peak_bytes),
        mb(r.held_bytes),
        mb(Some(r.device_bytes)),
        if r.tuned { "tuned" } else { "default" }.into(),
        r.cell.device.clone(),
        r.cell.driver.clone(),
    ]
}

/// All measurements in one of the forms.
///
/// # Errors
/// [`Error::Output`] if a number cannot be written; no such case is known.
pub fn written(rows: &[Measurement], format: SweepFormat) -> Result<String> {
    let fail = |e: &dyn std::fmt::Display| Error::Output(format!("the measurements cannot be written: {e}"));
    match format {
        SweepFormat::Md => Ok(table(rows)),
        SweepFormat::Json => serde_json::to_string_pretty(rows).map_err(|e| fail(&e)),
        SweepFormat::Jsonl => {
            let lines: serde_json::Result<Vec<String>> = rows.iter().map(serde_json::to_string).collect();
            Ok(lines.map_err(|e| fail(&e))?.join("\n"))
        }
        SweepFormat::Csv => {
            let mut csv = csv::Writer::from_writer(vec![]);
            csv.write_record(COLUMNS.map(|c| c.0)).map_err(|e| fail(&e))?;
            for r in rows {
                csv.write_record(fields(r)).map_err(|e| fail(&e))?;
            }
            let bytes = csv.into_inner().map_err(|e| fail(&e))?;
            Ok(String::from_utf8_lossy(&bytes).trim_end().into())
        }
    }
}

fn table(rows: &[Measurement]) -> String {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header(COLUMNS.map(|c| c.0));
    for r in rows {
        table.add_row(fields(r));
    }
    for (column, _) in table.column_iter_mut().zip(COLUMNS).filter(|(_, c)| c.1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

/// Whether nothing of somebody's is lost if [`written`] writes there: the file is not there, empty, or one of its own.
pub fn replaceable(path: &Path, format: SweepFormat) -> bool {
    if !path.is_file() {
        return true; // a device or a pipe too
    }
    let Ok(text) = std::fs::read_to_string(path) else { return false };
    let named = |line: &str| COLUMNS.iter().all(|c| line.contains(c.0));
    text.trim().is_empty()
        || match format {
            SweepFormat::Json | SweepFormat::Jsonl => read(path).is_ok(),
            SweepFormat::Md | SweepFormat::Csv => text.lines().next().is_some_and(named),
        }
}

/// Measurements from a file that [`written`] made as JSON, a list or a line each.
///
/// # Errors
/// [`Error::Input`] with the file and what is wrong with it.
pub fn read(path: &Path) -> Result<Vec<Measurement>> {
    let fail = |what: String| Error::Input(format!("{}: {what}", shown(path)));
    let text = std::fs::read_to_string(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::InvalidData => fail("not results of `lupe bench` as .json or .jsonl: it is no text".into()),
        _ => fail(e.to_string()),
    })?;
    let rows: serde_json::Result<Vec<Measurement>> = match text.trim_start().starts_with('[') {
        true => serde_json::from_str(&text),
        false => text.lines().filter(|l| !l.trim().is_empty()).map(serde_json::from_str).collect(),
    };
    let rows = rows.map_err(|e| fail(format!("not results of `lupe bench` as .json or .jsonl: {e}")))?;
    match rows.iter().find(|r| r.runs_ms.is_empty() || r.runs_ms.iter().any(|ms| !(ms.is_finite() && *ms > 0.0))) {
        Some(r) => {
            Err(fail(format!("{} has no runs, or a run whose time is invalid", crate::error::plain(&r.cell.model))))
        }
        None => Ok(rows),
    }
}
