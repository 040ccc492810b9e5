//! What a check found out, for people and for programs.

use super::Seen;
use crate::data::dataset::{Counted, Layout};
use crate::error::{Error, Result, plain, shown};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// Text names so many places of a finding; JSON names all.
const NAMED: usize = 3;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The set cannot be used as it is, or its measurements would be wrong.
    Error,
    /// Something is likely not as it was meant.
    Warning,
    /// Worth knowing.
    Note,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        })
    }
}

/// Files that a finding is about, and what is to be said of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Names below the set's folder, `/` between their parts; those that are the same picture stand together.
    pub files: Vec<String>,
    /// What is wrong with these; may be empty.
    pub what: String,
}

impl Place {
    /// One file.
    pub(super) fn of(file: impl Into<String>, what: impl Into<String>) -> Place {
        Place { files: vec![file.into()], what: what.into() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named: Vec<String> = self.files.iter().take(NAMED).map(|n| plain(n)).collect();
        let more = self.files.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let what = if self.what.is_empty() { String::new() } else { format!(": {}", plain(&self.what)) };
        write!(f, "{}{more}{what}", named.join(" = "))
    }
}

/// Something about the set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What kind of finding it is, as listed in `docs/data.md`.
    pub kind: &'static str,
    /// What it is, with its number.
    pub what: String,
    /// Where; empty for what is about the whole set.
    pub places: Vec<Place>,
    /// What to do about it.
    pub advice: &'static str,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:9} {} [{}]", self.severity, plain(&self.what), self.kind)?;
        for place in self.places.iter().take(NAMED) {
            write!(f, "\n{:12}{place}", "")?;
        }
        if let more @ 1.. = self.places.len().saturating_sub(NAMED) {
            write!(f, "\n{:12}and {more} more", "")?;
        }
        if self.advice.is_empty() { Ok(()) } else { write!(f, "\n{:10}{}", "", self.advice) }
    }
}

/// The pictures of one label in one split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// `train`, `validation`, `test`, `classes` where nothing is split, or `unused`.
    pub split: &'static str,
    /// `good` or the kind of defect; of unused pictures their folder.
    pub label: String,
    /// How many there are.
    pub pictures: usize,
    /// How many of them cannot be read.
    pub unreadable: usize,
    /// How many of them have a mask.
    pub masks: usize,
    /// Sizes such as `900x900`, each with its number of pictures, the most frequent first.
    pub sizes: Vec<(String, usize)>,
    /// The same for what the files are, such as `RGB, 8 bits, PNG`.
    pub files: Vec<(String, usize)>,
}

/// Splits and labels in their order.
pub(super) fn classes(seen: &[Seen<'_>]) -> Vec<Class> {
    let mut rows: BTreeMap<_, Vec<&Seen<'_>>> = BTreeMap::new();
    seen.iter().for_each(|s| rows.entry((s.split, s.sample.label.as_str())).or_default().push(s));
    let row = |((split, label), all): ((super::Split, &str), Vec<&Seen<'_>>)| {
        let looks = all.iter().filter_map(|s| s.look.as_ref().ok());
        let of = |l: &super::Look| format!("{}, {} bits, {}", l.channels, l.depth, l.container);
        Class {
            split: split.name(),
            label: label.into(),
            pictures: all.len(),
            unreadable: all.iter().filter(|s| s.look.is_err()).count(),
            masks: all.iter().filter(|s| s.mask.is_some()).count(),
            sizes: frequent(looks.clone().map(|l| size(l.size))),
            files: frequent(looks.map(of)),
        }
    };
    rows.into_iter().map(row).collect()
}

/// A size as text.
pub(super) fn size([width, height]: [usize; 2]) -> String {
    format!("{width}x{height}")
}

/// Values with their numbers, the most frequent first.
pub(super) fn frequent(values: impl Iterator<Item = String>) -> Vec<(String, usize)> {
    let mut counts = BTreeMap::new();
    values.for_each(|v| *counts.entry(v).or_insert(0) += 1);
    let mut counts: Vec<(String, usize)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    counts
}

/// What a check found out.
#[derive(Clone, Debug)]
pub struct Report {
    /// The folder, or the table's.
    pub root: PathBuf,
    /// How the set is laid out; `None` where that is what is wrong.
    pub layout: Option<Layout>,
    /// Splits and labels.
    pub classes: Vec<Class>,
    /// All findings, the worst first.
    pub findings: Vec<Finding>,
    /// What became of every file.
    pub counted: Counted,
}

impl Report {
    /// How many findings are as bad as this.
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|f| f.severity == severity).count()
    }

    /// The layout in words.
    pub fn layout(&self) -> &'static str {
        match self.layout {
            Some(Layout::Mvtec) => "splits: train, test, ground truth",
            Some(Layout::Plain) => "a folder for each label",
            Some(Layout::Flat) => "pictures alone, all of them good",
            Some(Layout::Csv) => "a table",
            None => "none that is known",
        }
    }

    /// How many there are of each severity, in words.
    pub fn summary(&self) -> String {
        let words = |severity: Severity| {
            let n = self.count(severity);
            format!("{n} {severity}{}", if n == 1 { "" } else { "s" })
        };
        [Severity::Error, Severity::Warning, Severity::Note].map(words).join(", ")
    }

    /// Whether the set may be used: there is no error and, if it is held to them, no warning.
    ///
    /// # Errors
    /// [`Error::Gate`] with the numbers of findings.
    pub fn verdict(&self, strict: bool) -> Result<()> {
        let fails = self.count(Severity::Error) > 0 || strict && self.count(Severity::Warning) > 0;
        match fails {
            true => Err(Error::Gate(format!("{}: {}", shown(&self.root), self.summary()))),
            false => Ok(()),
        }
    }

    /// All of it, with every file.
    pub fn json(&self, strict: bool) -> Value {
        let counts = |all: &[(String, usize)]| -> Value { all.iter().map(|(v, n)| (v.clone(), json!(n))).collect() };
        let class = |c: &Class| {
            json!({
                "split": c.split, "label": c.label, "pictures": c.pictures, "unreadable": c.unreadable, "masks": c.masks,
                "sizes": counts(&c.sizes), "files": counts(&c.files),
            })
        };
        let place = |p: &Place| json!({"files": p.files, "what": p.what});
        let finding = |f: &Finding| {
            let places: Vec<Value> = f.places.iter().map(place).collect();
            json!({
                "severity": f.severity.to_string(), "kind": f.kind, "what": f.what, "places": places, "advice": f.advice,
            })
        };
        json!({
            "root": self.root.to_string_lossy(),
            "layout": self.layout(),
            "ok": self.verdict(strict).is_ok(),
            "errors": self.count(Severity::Error),
            "warnings": self.count(Severity::Warning),
            "notes": self.count(Severity::Note),
            "classes": self.classes.iter().map(class).collect::<Vec<_>>(),
            "findings": self.findings.iter().map(finding).collect::<Vec<_>>(),
            "counts": self.counted.json(),
        })
    }
}
