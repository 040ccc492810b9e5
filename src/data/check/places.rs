//! What is wrong with where files lie and what they are called: layouts, labels, tables, and what is left out.

use super::report::{Finding, Place, Severity};
use super::{Seen, Split};
use crate::data::dataset::{Fault, Layout, Survey, Wrong, called_like_masks, good, reason};
use std::collections::BTreeMap;
use std::path::Path;

/// With fewer pictures than this a single one moves the recall by more than ten points.
const FEW: usize = 10;

/// What is wrong with the set by its names alone.
pub(super) fn findings(survey: &Survey) -> Vec<Finding> {
    let mut kinds = BTreeMap::<Wrong, Vec<Place>>::new();
    for Fault { wrong, path, what } in &survey.faults {
        // What is wrong with a stray mask stands above all of them.
        let what = if *wrong == Wrong::StrayMask { "" } else { what.as_str() };
        kinds.entry(*wrong).or_default().push(Place::of(name(survey, path), what));
    }
    let mut found: Vec<Finding> = kinds.into_iter().map(|(wrong, places)| fault(wrong, places)).collect();
    found.extend(case(survey));
    found.extend(named(survey));
    found.extend(empty(survey));
    found.extend(left_out(survey));
    found
}

/// A file's name below the set's folder.
fn name(survey: &Survey, path: &Path) -> String {
    let below = path.strip_prefix(&survey.root).ok().filter(|p| !p.as_os_str().is_empty());
    let parts = |p: &Path| p.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/");
    below.map_or_else(|| if path == survey.root { ".".into() } else { path.to_string_lossy().into_owned() }, parts)
}

fn fault(wrong: Wrong, places: Vec<Place>) -> Finding {
    let (severity, kind, what, advice) = match wrong {
        Wrong::StrayMask => (
            Severity::Error,
            "mask-stray",
            "masks without a picture",
            "The mask of X.png is called X.* or X_mask.*, with X in the same case: rename it, remove it, or add its picture.",
        ),
        Wrong::TwoMasks => (Severity::Error, "mask-twice", "masks that are one too many", ""),
        Wrong::Case => (Severity::Error, "labels-case", "labels that differ in case only", ""),
        Wrong::Empty => (Severity::Error, "class-empty", "classes without pictures", ""),
        Wrong::Row => (Severity::Error, "table-row", "rows of the table that cannot be used", ""),
        Wrong::DefectiveTrain => (
            Severity::Warning,
            "table-train",
            "rows of the table that are for fitting and are not good",
            "Only methods that learn classes take these; detectors refuse the table.",
        ),
        Wrong::Layout => (Severity::Error, "layout", "faults of the layout", ""),
    };
    Finding { severity, kind, what: format!("{what}: {}", places.len()), places, advice }
}

/// Files that a system which ignores case cannot tell apart.
fn case(survey: &Survey) -> Option<Finding> {
    let mut names = BTreeMap::<String, Vec<String>>::new();
    for file in survey.samples.iter().flat_map(|(_, s)| s.files()) {
        let name = name(survey, file);
        names.entry(name.to_lowercase()).or_default().push(name);
    }
    let groups = names.into_values().filter(|group| group.len() > 1);
    let places: Vec<Place> = groups.map(|files| Place { files, what: String::new() }).collect();
    let advice = "Rename one of each: on Windows and macOS one replaces the other.";
    let what = format!("names that differ in case only: {}", places.len());
    let finding = Finding { severity: Severity::Warning, kind: "names-case", what, places, advice };
    Some(finding).filter(|f| !f.places.is_empty())
}

/// Pictures that are masks by their names.
fn named(survey: &Survey) -> Option<Finding> {
    let of = |fitted: bool| {
        let of = |(split, _): &&(Split, _)| match split {
            Split::Train | Split::Validation => fitted,
            Split::Classes | Split::Test => !fitted,
            Split::Unused => false,
        };
        let samples: Vec<_> = survey.samples.iter().filter(of).map(|(_, s)| s.clone()).collect();
        called_like_masks(&samples, fitted || survey.samples.iter().any(|s| s.0 == Split::Classes))
    };
    let places: Vec<Place> = [true, false].into_iter().flat_map(of).map(|what| Place { files: vec![], what }).collect();
    let what = format!("pictures that may be masks by their names: {}", places.len());
    let finding = Finding { severity: Severity::Warning, kind: "named-like-masks", what, places, advice: "" };
    Some(finding).filter(|f| !f.places.is_empty())
}

/// Folders of labels in which there is no picture.
fn empty(survey: &Survey) -> Option<Finding> {
    let told =
        |folder: &&String| survey.faults.iter().any(|f| f.wrong == Wrong::Empty && name(survey, &f.path) == **folder);
    let labelled = matches!(survey.layout, Some(Layout::Mvtec | Layout::Plain));
    let folders = survey.empty.iter().filter(|f| labelled && !told(f));
    let places: Vec<Place> = folders.map(|f| Place::of(f.as_str(), "")).collect();
    let advice = "Put pictures into them, or remove them.";
    let what = format!("folders of a label without pictures: {}", places.len());
    let finding = Finding { severity: Severity::Warning, kind: "class-empty", what, places, advice };
    Some(finding).filter(|f| !f.places.is_empty())
}

/// Files that nobody may expect to be left out, by reason.
fn left_out(survey: &Survey) -> Vec<Finding> {
    let expected = [reason::HIDDEN, reason::CIRCLE, reason::UNLISTED, reason::UNLABELLED, reason::VALIDATION];
    let finding = |(why, names): (&str, &[String])| {
        let unknown = survey.layout.is_none() && why == reason::ELSEWHERE;
        let severity = if expected.contains(&why) { Severity::Note } else { Severity::Warning };
        let places = names.iter().map(|n| Place::of(n.as_str(), "")).collect();
        let what = format!("files that are left out, {why}: {}", names.len());
        let advice = if why.starts_with('.') { "Convert them to PNG, JPEG, BMP, TIFF or WebP." } else { "" };
        (!unknown).then_some(Finding { severity, kind: "left-out", what, places, advice })
    };
    survey.census.unusual().filter_map(finding).collect()
}

/// What is worth knowing of a set that may be used.
pub(super) fn notes(survey: &Survey, seen: &[Seen<'_>]) -> Vec<Finding> {
    let note =
        |what: String| Finding { severity: Severity::Note, kind: "layout-note", what, places: vec![], advice: "" };
    let mut found: Vec<Finding> =
        survey.notes.iter().map(|n| note(n.strip_prefix("note: ").unwrap_or(n).to_string())).collect();
    found.extend(few(seen));
    let split = survey.layout.is_some() && seen.iter().any(|s| matches!(s.split, Split::Train | Split::Test));
    let without = |of: &dyn Fn(&Seen<'_>) -> bool| split && !seen.iter().any(of);
    if without(&|s| s.split == Split::Train) {
        found.push(note("no good pictures to fit on: `eval` takes the set, `fit` does not".into()));
    }
    if without(&|s| !good(s.sample)) {
        found.push(note("no defective pictures: a model can be fitted, and not be measured".into()));
    }
    found
}

/// Labels with few pictures.
fn few(seen: &[Seen<'_>]) -> Option<Finding> {
    let mut counts = BTreeMap::<String, usize>::new();
    seen.iter().filter(|s| s.used()).for_each(|s| *counts.entry(s.class()).or_default() += 1);
    let place = |(class, n): (String, usize)| {
        let each = 100.0 / n as f64;
        (n < FEW).then(|| Place::of(class, format!("{n}, each of which is {each:.0} % of them")))
    };
    let places: Vec<Place> = counts.into_iter().filter_map(place).collect();
    let advice = "What is measured on so few moves in steps as large as that; give it with its interval.";
    let what = format!("labels with fewer than {FEW} pictures: {}", places.len());
    let finding = Finding { severity: Severity::Note, kind: "class-small", what, places, advice };
    Some(finding).filter(|f| !f.places.is_empty())
}
