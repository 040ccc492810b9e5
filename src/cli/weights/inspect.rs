//! `lupe weights inspect`: the tensors of a file, the network they belong to, what prevents their use, and what they can be used for.

use super::{model, network};
use crate::cli::output::{new_table, print};
use crate::cli::session::Session;
use crate::error::{Result, plain, shown};
use crate::weights::container;
use crate::weights::raw::{Left, left_text};
use crate::weights::safetensors::{Entry, UNREADABLE, entries, with_file};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// Text output names this many problems of each kind; JSON lists all.
const NAMED: usize = 10;

/// What was found out about a file, for people and for programs.
pub struct Inspection {
    /// Ends the line that counts tensors.
    pub summary: String,
    /// Facts with their headings, in the order in which they are printed.
    pub lines: Vec<(&'static str, String)>,
    /// The same facts and more.
    pub json: Map<String, Value>,
}

/// Runs the command.
pub fn run(session: &Session, file: &Path) -> Result<()> {
    let ((entries, left), report) = with_file(file, |bytes| {
        let entries = entries(bytes, &shown(file))?;
        let report = match container::is_own(bytes) {
            true => model::look(session, file, bytes),
            false => network::look(file, bytes)?,
        };
        Ok((entries, report))
    })?;
    if session.json {
        return print(&as_json(&entries, &left, report).to_string());
    }
    print(&as_text(&entries, &left, &report))
}

/// What is in a file beside named tensors, for programs.
pub fn besides(left: &[Left]) -> Value {
    left.iter().map(|l| json!({"path": l.path, "tensors": l.tensors})).collect()
}

fn as_json(entries: &[Entry], left: &[Left], report: Inspection) -> Value {
    let tensor = |e: &Entry| json!({"name": e.name, "dtype": e.dtype, "shape": e.shape, "bytes": e.bytes});
    let mut all = report.json;
    all.insert("tensors".into(), entries.iter().map(tensor).collect());
    let kind =
        |(dtype, (tensors, bytes)): (&str, (usize, usize))| (dtype.into(), json!({"tensors": tensors, "bytes": bytes}));
    all.insert("dtypes".into(), Value::Object(dtypes(entries).into_iter().map(kind).collect()));
    all.insert("besides".into(), besides(left));
    Value::Object(all)
}

fn as_text(entries: &[Entry], left: &[Left], report: &Inspection) -> String {
    let mut table = new_table(["tensor", "type", "shape", "bytes"]);
    for e in entries {
        let shape = if e.dtype == UNREADABLE { "?".into() } else { format!("{:?}", e.shape) };
        table.add_row([plain(&e.name), e.dtype.clone(), shape, e.bytes.to_string()]);
    }
    let total: usize = entries.iter().map(|e| e.bytes).sum();
    let kinds =
        dtypes(entries).into_iter().map(|(dtype, (tensors, bytes))| format!("{tensors} {dtype} ({bytes} bytes)"));
    let kinds = ("types", kinds.collect::<Vec<_>>().join(", "));
    let mut text = format!("{table}\n{} tensors, {total} bytes; {}\n", entries.len(), report.summary);
    let besides = left_text(left).map(|text| ("besides", text));
    for (what, fact) in std::iter::once(&kinds).chain(&besides).chain(&report.lines) {
        text += &format!("\n{what:<13}{}", fact.replace('\n', &format!("\n{:13}", "")));
    }
    text
}

/// Tensors and bytes of each type of elements.
fn dtypes(entries: &[Entry]) -> BTreeMap<&str, (usize, usize)> {
    let mut kinds = BTreeMap::new();
    for e in entries {
        let (tensors, bytes) = kinds.entry(e.dtype.as_str()).or_insert((0, 0));
        *tensors += 1;
        *bytes += e.bytes;
    }
    kinds
}

/// Up to [`NAMED`] of them, one per line, and how many more there are.
pub fn some(all: &[String]) -> String {
    let named = all.iter().take(NAMED).map(|p| plain(p)).collect::<Vec<_>>().join("\n");
    if all.len() > NAMED { format!("{named}\nand {} more", all.len() - NAMED) } else { named }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_cut() {
        let all: Vec<String> = (0..12).map(|i| format!("p{i}\u{1b}")).collect();
        assert!(some(&all).ends_with("p9\\u{1b}\nand 2 more"), "{}", some(&all));
        assert_eq!(some(&all[..2]), "p0\\u{1b}\np1\\u{1b}");
    }
}
