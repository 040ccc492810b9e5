//! Names of folders and labels that mean good, and those that mean defective: one table for every layout.

use crate::error::plain;
use std::collections::BTreeMap;

/// The label of a picture without defect.
pub const GOOD: &str = "good";

/// Names that mean good, whatever their case; `_`, `-` and spaces are the same.
const GOODS: [&str; 12] = [
    GOOD,
    "ok",
    "okay",
    "normal",
    "nominal",
    "free",
    "mt_free",
    "defect_free",
    "no_defect",
    "non_defective",
    "pass",
    "passed",
];

/// Names that mean defective and name no kind of defect: by them a folder without good pictures is known to be labelled.
const BADS: [&str; 15] = [
    "bad",
    "ko",
    "ng",
    "nok",
    "not_ok",
    "not_good",
    "abnormal",
    "anomaly",
    "anomalies",
    "anomalous",
    "defect",
    "defects",
    "defective",
    "fail",
    "failed",
];

fn among(names: &[&str], name: &str) -> bool {
    let name = name.trim().to_ascii_lowercase().replace(['-', ' '], "_");
    names.contains(&name.as_str())
}

/// Whether a folder's name means good.
pub(super) fn means_good(name: &str) -> bool {
    among(&GOODS, name)
}

/// Whether a folder's name means defective.
pub(super) fn means_bad(name: &str) -> bool {
    among(&BADS, name)
}

/// [`GOOD`] for every name that means it; any other name is a kind of defect.
pub(super) fn label(name: &str) -> String {
    String::from(if means_good(name) { GOOD } else { name })
}

/// The same in a table, where `0` means good as well: a folder of that name may be anything.
pub(super) fn in_table(text: &str) -> String {
    if text == "0" { GOOD.into() } else { label(text) }
}

/// Two of the names that differ in case only.
pub(super) fn differ_in_case<'n>(names: impl IntoIterator<Item = &'n str>) -> Option<[&'n str; 2]> {
    let mut seen = BTreeMap::new();
    names.into_iter().find_map(|name| {
        let other = *seen.entry(name.to_ascii_lowercase()).or_insert(name);
        (other != name).then_some([other, name])
    })
}

/// What is to be said of a kind of defect whose name speaks of something good.
pub(super) fn doubt(label: &str) -> Option<String> {
    let mut words = label.split(|c: char| !c.is_alphanumeric());
    let doubtful = !means_good(label) && !means_bad(label) && words.any(means_good);
    let (label, goods) = (plain(label), goods());
    doubtful.then(|| format!("note: {label} counts as a kind of defect; the names that mean good are {goods}"))
}

/// What is to be said where none of the labels of so many pictures to test with means good.
pub(super) fn none_good<'l>(labels: impl Iterator<Item = &'l str>, pictures: usize) -> String {
    let (labels, goods) = (labels.map(plain).collect::<Vec<_>>().join(", "), goods());
    format!(
        "note: none of the labels of the pictures to test with means good ({labels}), so all {pictures} count as defective; the \
         names that mean good are {goods}"
    )
}

/// The names that mean good, for a message.
pub(super) fn goods() -> String {
    GOODS.join(", ")
}
