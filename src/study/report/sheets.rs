//! Files for programs: episodes.jsonl, results.csv and confusion matrices. Numbers are whole there, as they were found.

use super::tables::pool;
use super::text;
use super::view::View;
use crate::error::{Error, Result};
use crate::study::analysis::{Confused, Metric, Row};
use crate::study::{Draw, Limit, Variant};
use std::collections::HashSet;

/// The columns of results.csv.
pub const COLUMNS: [&str; 27] = [
    "method",
    "family",
    "backbone",
    "distance",
    "variant",
    "category",
    "task",
    "pool",
    "good_shots",
    "bad_shots",
    "all_good",
    "limit",
    "repeat",
    "n_query_good",
    "n_query_bad",
    "acc",
    "bal_acc",
    "macro_f1",
    "tpr",
    "tnr",
    "auroc",
    "ap",
    "f1_max",
    "defect_acc",
    "good_bad",
    "majority",
    "settings",
];

fn wrong(e: impl std::fmt::Display) -> Error {
    Error::Output(format!("a table of the study cannot be made: {e}"))
}

/// Draws, a line each.
///
/// # Errors
/// [`Error::Output`] if one cannot be written: a bug.
pub fn episodes(draws: &[Draw]) -> Result<Vec<u8>> {
    let mut out = vec![];
    for draw in draws {
        serde_json::to_writer(&mut out, draw).map_err(wrong)?;
        out.push(b'\n');
    }
    Ok(out)
}

/// All rows of the analysis.
///
/// # Errors
/// [`Error::Output`] if a row is of no outcome, or its outcome of no method or draw.
pub fn results(view: &View) -> Result<Vec<u8>> {
    let mut table = csv::Writer::from_writer(vec![]);
    table.write_record(COLUMNS).map_err(wrong)?;
    for row in &view.analysis.rows {
        let cells =
            line(view, row).ok_or_else(|| wrong(format!("there is no outcome {} that is whole", row.outcome)))?;
        table.write_record(cells).map_err(wrong)?;
    }
    table.into_inner().map_err(wrong)
}

fn line(view: &View, row: &Row) -> Option<Vec<String>> {
    let outcome = view.results.outcomes.get(row.outcome)?;
    let method = view.method(outcome.method)?;
    let draw = view.results.draws.get(outcome.draw)?;
    let family = serde_json::to_value(method.family).ok()?;
    let limit = row.limit.map_or("", |l| match l {
        Limit::HeldOut => "held-out",
        Limit::Support => "support",
        Limit::Oracle => "oracle",
    });
    let value = |m: Metric| row.values.get(&m).map(f64::to_string).unwrap_or_default();
    let words = [
        text::cell(&method.name),
        family.as_str()?.into(),
        text::cell(&method.backbone),
        text::cell(method.distance.as_deref().unwrap_or_default()),
        if method.variant == Variant::Plain { "plain" } else { "corrected" }.into(),
        text::cell(&draw.category),
        draw.task.to_string(),
        pool(draw.pool).into(),
        outcome.good.to_string(),
        outcome.bad.to_string(),
        outcome.all.to_string(),
        limit.into(),
        draw.repeat.to_string(),
        row.queries_good.to_string(),
        row.queries_bad.to_string(),
    ];
    Some(words.into_iter().chain(Metric::ALL.map(value)).chain([text::cell(&method.settings)]).collect())
}

/// Confusion matrices: the names of their files and what is in these. Rows are what pictures are, columns what they were called.
///
/// # Errors
/// [`Error::Output`] if one cannot be written: a bug.
pub fn confusion(view: &View) -> Result<Vec<(String, Vec<u8>)>> {
    let mut files: Vec<(String, Vec<u8>)> = vec![];
    let mut taken = HashSet::new();
    for confused in &view.analysis.confused {
        let base = place(view, confused);
        // File systems may not tell upper from lower case.
        let names = std::iter::once(format!("{base}.csv")).chain((2..).map(|i| format!("{base}~{i}.csv")));
        let name = names.into_iter().find(|n| taken.insert(n.to_ascii_lowercase())).unwrap_or_default();
        files.push((name, matrix(confused)?));
    }
    Ok(files)
}

fn place(view: &View, confused: &Confused) -> String {
    let s = &confused.setting;
    let limit = s.limit.map(|l| {
        format!(
            "-{}",
            if l == Limit::HeldOut {
                "held-out"
            } else if l == Limit::Support {
                "support"
            } else {
                "oracle"
            }
        )
    });
    let all = if s.all { "all" } else { "" };
    format!(
        "confusion/{}-{}-{}-{}{all}+{}{}",
        s.task,
        text::slug(&s.category),
        text::slug(&view.name(s.method)),
        s.good,
        s.bad,
        limit.unwrap_or_default()
    )
}

fn matrix(confused: &Confused) -> Result<Vec<u8>> {
    let mut table = csv::Writer::from_writer(vec![]);
    let head = ["is, was called"].map(String::from).into_iter().chain(confused.classes.iter().map(|c| text::cell(c)));
    table.write_record(head).map_err(wrong)?;
    for (class, row) in confused.classes.iter().zip(&confused.rows) {
        let cells = std::iter::once(text::cell(class)).chain(row.iter().map(usize::to_string));
        table.write_record(cells).map_err(wrong)?;
    }
    table.into_inner().map_err(wrong)
}
