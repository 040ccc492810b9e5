//! Pictures by class: a folder for each, or a table.

use super::census::{Census, Counted, reason};
use super::faults::{Faults, Wrong};
use super::layouts::{self, Found};
use super::listing::Listing;
use super::{Dataset, Layout, Sample};
use super::{and_left_out, census_of_table, fail, labels, masks, named_table, only_table, sort, take_named};
use crate::error::{Result, plain, shown};
use crate::files::folder_of;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const EXPECTED: &str = "expected a folder for each class with its pictures, or a .csv with image_path,label";

/// Pictures, each of one class.
#[derive(Clone, Debug)]
pub struct Classes {
    /// The folder, or the table's.
    pub root: PathBuf,
    /// [`Layout::Plain`] for folders, [`Layout::Csv`] for a table.
    pub layout: Layout,
    /// The pictures with their class as label, in bytewise order of classes and then of names.
    pub samples: Vec<Sample>,
    /// What was found, and what of it is not among them.
    pub census: Census,
    /// What was decided where there is a choice: to be said.
    pub notes: Vec<String>,
}

impl Classes {
    /// Reads a folder with a folder for each class, or a table, in which rows of the split `test` are left out. Names that mean good are
    /// the class `good`. Unless `all` pictures are to be taken, those that may be masks are refused.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) saying what was expected and what is wrong: no class, one without pictures, a data set in
    /// splits, masks among the pictures.
    pub fn open(path: &Path, all: bool) -> Result<Classes> {
        if !path.exists() {
            return fail(path, "does not exist");
        }
        let classes = if path.is_file() { Classes::of_table(path)? } else { Classes::of_folder(path)? };
        if !all {
            masks::refuse_twins(&classes.samples, false)?;
            super::tests_not_masks(&classes.samples)?;
        }
        Ok(classes)
    }

    fn of_table(path: &Path) -> Result<Classes> {
        let (table, faults) = (named_table(path, EXPECTED)?, Faults::default());
        let found = table.classes(&faults)?;
        let census = census_of_table(path, found.samples());
        Classes::new(folder_of(path), found, census, &faults)
    }

    /// A table in a folder is used before its folders: they may be called anything.
    fn of_folder(path: &Path) -> Result<Classes> {
        Classes::listed(&mut Listing::open(path)?)
    }

    /// Reads what a listing found.
    pub(super) fn listed(listing: &mut Listing) -> Result<Classes> {
        let path = &listing.root.clone();
        if let Some((used, table)) = only_table(listing)? {
            let found = table.classes(&listing.faults)?;
            take_named(listing, found.samples());
            listing.end_tables(Some(&used));
            return Classes::new(path, found, std::mem::take(&mut listing.census), &listing.faults);
        }
        listing.end_tables(None);
        if let Some(split) = layouts::most_like_classes(listing) {
            let split = shown(&path.join(split));
            return fail(path, &format!("is a data set in splits; {EXPECTED}: give one split, such as {split}"));
        }
        match layouts::classes(listing)? {
            Some(found) => Classes::new(path, found, std::mem::take(&mut listing.census), &listing.faults),
            None => {
                let n = listing.pictures_below("");
                let left = and_left_out(&listing.census);
                fail(path, &format!("has no folder of pictures, but {n} pictures directly in it; {EXPECTED}{left}"))
            }
        }
    }

    fn new(root: &Path, found: Found, mut census: Census, faults: &Faults) -> Result<Classes> {
        found.test.iter().for_each(|s| census.leave_out(reason::TEST, &s.name));
        let found = found.validating(false, &mut census);
        let mut samples: Vec<Sample> = found.train.into_iter().map(|s| Sample { mask: None, ..s }).collect();
        sort(&mut samples);
        samples.sort_by(|a, b| a.label.as_bytes().cmp(b.label.as_bytes())); // stable: by name within a class
        if samples.is_empty() {
            return fail(root, &format!("its table has no row to fit on; {EXPECTED}{}", and_left_out(&census)));
        }
        let classes = Classes { root: root.into(), layout: found.layout, samples, census, notes: found.notes };
        if let Some([one, two]) = labels::differ_in_case(classes.counts().into_keys()) {
            let (one, two) = (plain(one), plain(two));
            let what = format!("has the classes {one} and {two}, which differ in case only; use one of them");
            faults.at(Wrong::Case, root, &what)?;
        }
        Ok(classes)
    }

    /// The classes, each with its number of pictures.
    pub fn counts(&self) -> BTreeMap<&str, usize> {
        self.samples.iter().fold(BTreeMap::new(), |mut counts, s| {
            *counts.entry(s.label.as_str()).or_default() += 1;
            counts
        })
    }

    /// The same pictures as a set to test on.
    pub fn to_test_on(self) -> Dataset {
        let Classes { root, layout, samples: mut test, census, notes } = self;
        sort(&mut test);
        Dataset { root, layout, train: vec![], test, validation: vec![], census, notes }
    }

    /// What became of everything, of which so many pictures were `unreadable` and others were looked at and `left_out`, by reason and
    /// name.
    pub fn fitted<'a>(&self, left_out: impl Iterator<Item = (&'static str, &'a str)>, unreadable: usize) -> Counted {
        let (mut census, mut used) = (self.census.clone(), self.samples.len());
        for (reason, name) in left_out {
            census.leave_out(reason, name);
            used = used.saturating_sub(1);
        }
        census.ended(used, 0, unreadable)
    }
}
