//! `lupe bench compare`: two files of measurements, pair by pair.

use super::args::Compare;
use crate::cli::output::print;
use crate::cli::session::Session;
use crate::error::{Error, Result, plain, shown};
use crate::measure::measurement::{Measurement, named, read, shape};
use crate::measure::verdict::{Doubt, ENOUGH, Judged, judge};
use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};
use std::path::Path;

/// The same measurement before and after.
struct Pair<'r> {
    before: &'r Measurement,
    after: &'r Measurement,
    judged: Judged,
}

/// Runs the command.
pub fn run(session: &Session, args: &Compare) -> Result<()> {
    let (before, after) = (read(&args.before)?, read(&args.after)?);
    let pairs = pairs(&before, &after);
    if pairs.is_empty() {
        let names = |path: &Path, rows: &[Measurement]| format!("{} has {}", shown(path), list(rows.iter().map(name)));
        let (a, b) = (names(&args.before, &before), names(&args.after, &after));
        return Err(Error::Input(format!(
            "no measurement of the same model, input and device is in both files: {a}; {b}"
        )));
    }
    let alone = alone(&before, &after, &pairs);
    match session.json {
        true => print(&as_json(&pairs, &alone).to_string())?,
        false => print(format!("{}\n\n{}", table(&pairs), notes(&pairs, &alone).join("\n")).trim_end())?,
    }
    let Some(most) = args.max_regress else { return Ok(()) };
    let slower: Vec<String> = pairs.iter().filter(|p| p.judged.regressed(most / 100.0)).map(said).collect();
    match slower.len() {
        0 => Ok(()),
        n => Err(Error::Gate(format!(
            "{n} of {} became slower by more than {most} %: {}",
            pairs.len(),
            slower.join("; ")
        ))),
    }
}

/// Measurements of one model, input and device; the last of several in a file counts. The driver and its width may differ.
fn pairs<'r>(before: &'r [Measurement], after: &'r [Measurement]) -> Vec<Pair<'r>> {
    let mut pairs: Vec<Pair> = vec![];
    for a in before.iter().rev() {
        let known = pairs.iter().any(|p| p.before.is_of(a));
        let Some(b) = after.iter().rev().find(|b| b.is_of(a)).filter(|_| !known) else { continue };
        let (judged, busy) = (judge(&a.runs_ms, &b.runs_ms), a.busy().is_some() || b.busy().is_some());
        pairs.push(Pair { before: a, after: b, judged: if busy { judged.under_load() } else { judged } });
    }
    pairs.reverse();
    pairs
}

/// Measurements that only one of the files has.
fn alone(before: &[Measurement], after: &[Measurement], pairs: &[Pair]) -> [Vec<String>; 2] {
    let of = |rows: &[Measurement]| {
        rows.iter().filter(|r| !pairs.iter().any(|p| p.before.is_of(r))).map(name).collect::<Vec<_>>()
    };
    [of(before), of(after)]
}

fn name(r: &Measurement) -> String {
    plain(&named(&r.cell.model, r.cell.input, &r.cell.device))
}

fn list(names: impl Iterator<Item = String>) -> String {
    let names: Vec<String> = names.collect();
    if names.is_empty() { "nothing".into() } else { names.join(", ") }
}

fn said(p: &Pair) -> String {
    format!("{} {:+.1} %", name(p.after), 100.0 * (p.judged.ratio - 1.0))
}

fn table(pairs: &[Pair]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(["model", "input", "A ms", "±", "B ms", "±", "B / A", "from", "to", "verdict", "device"]);
    for p in pairs {
        let times = [p.before, p.after].map(|r| [r.median_ms(), r.spread_ms()].map(|v| format!("{v:.2}")));
        let ratios = [p.judged.ratio, p.judged.low, p.judged.high].map(|v| format!("{v:.3}"));
        let mut cells = vec![p.after.cell.model.clone(), shape(p.after.cell.input)];
        cells.extend(times.into_iter().flatten().chain(ratios));
        cells.extend([p.judged.verdict.word().into(), p.after.cell.device.clone()]);
        table.add_row(cells.iter().map(|c| plain(c)));
    }
    for column in table.column_iter_mut().skip(2).take(7) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Why nothing is said of a pair, and what to do.
fn doubt(p: &Pair) -> Option<String> {
    let (a, b) = (p.before, p.after);
    let why = match p.judged.doubt? {
        Doubt::FewRuns => {
            let (a, b) = (a.runs_ms.len(), b.runs_ms.len());
            format!("A has {a} runs, B has {b}; at least {ENOUGH} are needed (--repeats)")
        }
        Doubt::Busy => {
            let busy = |side: &str, r: &Measurement| r.busy().map(|load| format!("{load} before {side}"));
            let both: Vec<String> = [busy("A", a), busy("B", b)].into_iter().flatten().collect();
            format!("{}; measure again while the machine has nothing else to do", both.join(", "))
        }
        Doubt::Scatter => "the times scatter too much".into(),
    };
    Some(format!("{}: unclear: {why}", name(b)))
}

/// What a reader should know and the table does not show.
fn notes(pairs: &[Pair], alone: &[Vec<String>; 2]) -> Vec<String> {
    let mut notes = vec![];
    for (file, names) in ["A", "B"].iter().zip(alone).filter(|(_, names)| !names.is_empty()) {
        notes.push(format!("only in {file}: {}", names.join(", ")));
    }
    notes.extend(pairs.iter().filter_map(doubt));
    for p in pairs {
        let mut differs = |what: &str, a: String, b: String| {
            if a != b {
                notes.push(plain(&format!("{}: {what} was {a}, is {b}", name(p.after))));
            }
        };
        let (a, b) = (p.before, p.after);
        let bits = |r: &Measurement| r.cell.width.map_or("unknown".into(), |w| format!("{w} bits"));
        let kernels = |r: &Measurement| if r.tuned { "tuned" } else { "default" }.to_string();
        differs("driver", a.cell.driver.clone(), b.cell.driver.clone());
        differs("width", bits(a), bits(b));
        differs("Lupe", a.lupe_version.clone(), b.lupe_version.clone());
        differs("choice of kernels", kernels(a), kernels(b));
    }
    notes
}

fn as_json(pairs: &[Pair], alone: &[Vec<String>; 2]) -> Value {
    let pair = |p: &Pair| {
        json!({"model": p.after.cell.model, "input": p.after.cell.input, "device": p.after.cell.device,
            "before_ms": p.before.median_ms(), "after_ms": p.after.median_ms(), "judged": p.judged})
    };
    let pairs_json: Vec<Value> = pairs.iter().map(pair).collect();
    json!({"pairs": pairs_json, "only_before": alone[0], "only_after": alone[1], "notes": notes(pairs, &[vec![], vec![]])})
}
