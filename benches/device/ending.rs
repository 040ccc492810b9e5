//! What is left of a run: report.json, report.md and an archive of the rest.

use super::context::write;
use super::md::{Page, block, list, short, table, text};
use super::parts;
use flate2::Compression;
use flate2::write::GzEncoder;
use lupe::{Error, Result};
use serde_json::Value;
use std::fs::{self, File};
use std::path::Path;

/// Writes both forms of the report as it stands.
pub fn write_report(out: &Path, report: &Value) -> Result<()> {
    write(&out.join("report.json"), format!("{report:#}\n").as_bytes())?;
    write(&out.join("report.md"), markdown(report).as_bytes())
}

/// Packs what parts kept, and their logs, into one file; what served the run alone goes.
pub fn pack(out: &Path) -> Result<()> {
    let path = out.join("report.tar.gz");
    let fail = |e: std::io::Error| Error::Output(format!("{} cannot be written: {e}", path.display()));
    let file = File::create(&path).map_err(fail)?;
    let mut archive = tar::Builder::new(GzEncoder::new(file, Compression::default()));
    archive.append_dir_all("rest", out.join("rest")).map_err(fail)?;
    archive.into_inner().and_then(GzEncoder::finish).map_err(fail)?;
    match fs::remove_dir_all(out.join("scratch")) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::Output(format!("scratch in {} cannot be removed: {e}", out.display())))
        }
        _ => Ok(()),
    }
}

/// The report for people.
pub fn markdown(report: &Value) -> String {
    let adapter = |key: &str| text(report, &format!("/adapter/{key}"));
    let mut whole = format!(
        "## {}\n\nDriver {} {}; Lupe {}; amount {}; {} s of {} minutes at most. `make device-report` (benches/device) wrote this.\n\n",
        adapter("name"),
        adapter("driver"),
        adapter("driver_info"),
        text(report, "/lupe_version"),
        text(report, "/amount"),
        short(report, "/seconds"),
        text(report, "/minutes"),
    );
    let pages: Vec<(&Value, Page)> = list(report, "/parts").iter().map(|p| (p, page(p))).collect();
    let head: Vec<[String; 2]> = pages.iter().flat_map(|(p, page)| titled(p, page)).collect();
    whole += &table(&["", ""], &head);
    whole.push('\n');
    let rows: Vec<[String; 5]> = pages.iter().map(|(p, _)| row(p)).collect();
    whole += &table(&["part", "what", "state", "seconds", "limit"], &rows);
    for (p, page) in &pages {
        whole += &format!("\n### {}\n\n", text(p, "/what"));
        whole += page.body.trim_end();
        whole.push('\n');
        if p["state"] != "done" {
            let said: Vec<String> = list(p, "/said").iter().filter_map(Value::as_str).map(String::from).collect();
            whole +=
                &format!("\nThis part: {}. The last that it said:\n\n{}\n", text(p, "/state"), block(&said.join("\n")));
        }
    }
    whole
}

fn page(part: &Value) -> Page {
    let known = parts::ALL.iter().find(|p| part["name"] == p.name).filter(|_| !part["data"].is_null());
    known.map_or_else(Page::default, |p| (p.page)(&part["data"]))
}

/// A part's rows at the head; where it did not end well that comes first.
fn titled(part: &Value, page: &Page) -> Vec<[String; 2]> {
    let bad = (part["state"] != "done").then(|| [text(part, "/name"), format!("**{}**", text(part, "/state"))]);
    bad.into_iter().chain(page.head.iter().cloned()).collect()
}

fn row(part: &Value) -> [String; 5] {
    let cells = [text(part, "/name"), text(part, "/what"), text(part, "/state")];
    let [name, what, state] = cells;
    [name, what, state, short(part, "/seconds"), short(part, "/limit")]
}
