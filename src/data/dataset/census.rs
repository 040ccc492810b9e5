//! What became of every file that was found: the numbers add up, and nothing is left out without a word.

use crate::error::plain;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;

/// Why files are left out, other than by their ending.
pub mod reason {
    /// Made by Lupe itself: heat maps, maps, masks and features of an earlier run.
    pub const RESULTS: &str = "own results";
    /// No picture by its name.
    pub const OTHER: &str = "other files";
    /// The table that names the pictures.
    pub const TABLE: &str = "table";
    /// Hidden, though it is named like a picture.
    pub const HIDDEN: &str = "hidden";
    /// A link that leads nowhere.
    pub const DANGLING: &str = "dangling link";
    /// A file whose kind the system does not tell, or a folder that it does not open.
    pub const CLOSED: &str = "cannot be entered";
    /// A link to a folder above it, or one below another link.
    pub const CIRCLE: &str = "link to a folder, not followed";
    /// Ground truth.
    pub const MASK: &str = "mask";
    /// Ground truth of a kind of defect that has no pictures.
    pub const STRAY_MASK: &str = "mask without a picture";
    /// A picture that the model was fitted on.
    pub const SEEN: &str = "seen in the fit";
    /// A picture to test with, while a model is fitted.
    pub const TEST: &str = "for testing";
    /// A good picture of the training split, where it is unknown which ones the model was fitted on.
    pub const TRAIN: &str = "training split";
    /// A picture of the validation split.
    pub const VALIDATION: &str = "validation split";
    /// A defective picture beside those to fit on.
    pub const DEFECTIVE_TRAIN: &str = "defective, in the training split";
    /// A picture whose label its publisher keeps.
    pub const UNLABELLED: &str = "without a label";
    /// A defective picture without a mask, as requested.
    pub const UNMASKED: &str = "without a mask";
    /// A picture that the table does not name.
    pub const UNLISTED: &str = "not in the table";
    /// A picture that was given more than once.
    pub const TWICE: &str = "given twice";
    /// A training picture that is, to the network, the same as another.
    pub const SAME: &str = "same as another";
    /// A training picture whose score stands apart.
    pub const OUTLIER: &str = "outlier";
    /// A picture of a class that was not asked for.
    pub const CLASS: &str = "of other classes";
    /// A good picture that is not among the few to fit on.
    pub const SHOTS: &str = "beyond --shots";
    /// A picture in no folder of the layout.
    pub const ELSEWHERE: &str = "outside the layout's folders";
}

/// Reasons that name no file: there are many of these, and they are expected.
const USUAL: [&str; 10] = [
    reason::CLASS,
    reason::TWICE,
    reason::RESULTS,
    reason::OTHER,
    reason::TABLE,
    reason::MASK,
    reason::SEEN,
    reason::TEST,
    reason::TRAIN,
    reason::SHOTS,
];

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Left {
    files: usize,
    /// Names of those that were told by name.
    names: Vec<String>,
}

/// Files that were found, and those among them that are left out, by reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Files, links and closed folders that were found or named; hidden ones count if they are named like a picture.
    pub found: usize,
    left: BTreeMap<String, Left>,
}

impl Census {
    /// Of files that were named one by one.
    pub fn of(found: usize) -> Census {
        Census { found, ..Census::default() }
    }

    /// Counts a file as left out; `name` is what it is called.
    pub fn leave_out(&mut self, reason: &str, name: &str) {
        let left = self.left.entry(reason.into()).or_default();
        left.names.push(name.into());
        left.files += 1;
        log::info!("left out, {reason}: {}", plain(name));
    }

    /// Adds what was found elsewhere.
    pub(super) fn add(&mut self, other: Census) {
        self.found += other.found;
        for (reason, left) in other.left {
            let own = self.left.entry(reason).or_default();
            own.names.extend(left.names);
            own.files += left.files;
        }
    }

    /// Files that were left out, by reason.
    pub fn left_out(&self) -> BTreeMap<&str, usize> {
        self.left.iter().map(|(reason, left)| (reason.as_str(), left.files)).collect()
    }

    /// The names of those that were left out for reasons that are not expected, by reason.
    pub(in crate::data) fn unusual(&self) -> impl Iterator<Item = (&str, &[String])> {
        let unusual = self.left.iter().filter(|(reason, _)| !USUAL.contains(&reason.as_str()));
        unusual.map(|(reason, left)| (reason.as_str(), left.names.as_slice()))
    }

    /// The reasons as text: `mask 8, .gif 3 (a.gif, …)`.
    pub fn reasons(&self) -> String {
        let example = |reason: &str, left: &Left| match left.names.first() {
            Some(first) if !USUAL.contains(&reason) && left.files == 1 => format!(" ({})", plain(first)),
            Some(first) if !USUAL.contains(&reason) => format!(" ({}, …)", plain(first)),
            _ => String::new(),
        };
        let one = |(reason, left): (&String, &Left)| format!("{reason} {}{}", left.files, example(reason, left));
        self.left.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    /// What a command ends with: `seen` of the pictures were seen in the fit, `unreadable` ones could not be read, the rest of them
    /// was looked at.
    pub fn ended(mut self, pictures: usize, seen: usize, unreadable: usize) -> Counted {
        if seen > 0 {
            self.left.entry(reason::SEEN.into()).or_default().files += seen;
        }
        Counted { census: self, unreadable, looked_at: pictures.saturating_sub(seen + unreadable) }
    }
}

/// What became of all files at the end of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    census: Census,
    /// Pictures that could not be read.
    pub unreadable: usize,
    /// Pictures that were looked at.
    pub looked_at: usize,
}

impl Counted {
    /// For programs: `found`, `left_out` by reason, `unreadable`, `looked_at`.
    pub fn json(&self) -> Value {
        json!({
            "found": self.census.found,
            "left_out": self.census.left_out(),
            "unreadable": self.unreadable,
            "looked_at": self.looked_at,
        })
    }
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (found, looked, unreadable) = (self.census.found, self.looked_at, self.unreadable);
        let left: usize = self.census.left.values().map(|l| l.files).sum();
        let why = if left == 0 { String::new() } else { format!(" ({})", self.census.reasons()) };
        write!(f, "counted   {found} files found: {looked} looked at, {left} left out{why}, {unreadable} unreadable")
    }
}
