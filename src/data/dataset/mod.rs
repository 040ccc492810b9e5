//! Data sets on disk: labelled folders as their publishers lay them out, folders of pictures only, and tables.

mod census;
mod classes;
mod faults;
mod labels;
mod layouts;
mod listing;
mod masks;
mod pictures;
mod shots;
mod survey;
mod table;

use crate::error::{Error, Result, plain, shown};
use crate::files::folder_of;
pub use census::{Census, Counted, reason};
pub use classes::Classes;
use faults::Faults;
pub(super) use faults::{Fault, Wrong};
pub use labels::GOOD;
use layouts::Found;
pub(crate) use listing::named_like_a_picture;
use listing::{Listing, last, name_of, named_like_a_table};
pub use pictures::{Pictures, pictures};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
pub(super) use survey::{Split, Survey};
use table::Table;

/// One picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Its file.
    pub path: PathBuf,
    /// Path relative to the data set's folder, `/` between its parts.
    pub name: String,
    /// `good`, or the kind of defect.
    pub label: String,
    /// Its ground truth, if there is one: a mask, or a folder of masks which together are its ground truth.
    pub mask: Option<PathBuf>,
}

impl Sample {
    /// The files that are read of it.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(self.path.as_path()).chain(self.mask.as_deref())
    }
}

/// How a data set is laid out on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// `train/good`, `test/*`, `ground_truth/*`, and the like.
    Mvtec,
    /// `good/`, and a folder for each kind of defect.
    Plain,
    /// Pictures directly in the folder, all of them good.
    Flat,
    /// `image_path,label,split,mask_path`.
    Csv,
}

/// Pictures to fit on and to test on, each in bytewise order of their names.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// Where it is.
    pub root: PathBuf,
    /// Its layout.
    pub layout: Layout,
    /// Good pictures to fit on; none in a set of tests.
    pub train: Vec<Sample>,
    /// Pictures to test on.
    pub test: Vec<Sample>,
    /// Good pictures of the set's own validation split, where [`Dataset::open_validated`] read it; otherwise they are left out.
    pub validation: Vec<Sample>,
    /// What was found, and what of it is in neither list.
    pub census: Census,
    /// What was decided where the set leaves a choice: to be said.
    pub notes: Vec<String>,
}

const EXPECTED: &str = "expected train/good and test/*, or good/ and a folder for each kind of defect, or pictures directly in it, \
                        or a .csv with image_path,label,split,mask_path";

fn fail<T>(path: &Path, what: &str) -> Result<T> {
    Err(Error::Input(format!("{}: {what}", shown(path))))
}

fn stem_of(path: &Path) -> String {
    path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default()
}

fn sort(samples: &mut [Sample]) {
    samples.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
}

impl Dataset {
    /// Reads a folder or a table, by the first layout that fits.
    ///
    /// # Errors
    /// [`Error::Input`] saying what was expected and what is wrong, or that there is no picture.
    pub fn open(path: &Path) -> Result<Dataset> {
        Dataset::read(path, false)
    }

    /// The same for a method that keeps good pictures to validate with: those of `validation/good`, where the set is in splits and has
    /// some, are [`Dataset::validation`].
    ///
    /// # Errors
    /// As [`Dataset::open`].
    pub fn open_validated(path: &Path) -> Result<Dataset> {
        Dataset::read(path, true)
    }

    fn read(path: &Path, validated: bool) -> Result<Dataset> {
        if !path.exists() {
            return fail(path, "does not exist");
        }
        if path.is_file() {
            return Dataset::table(path, validated, &Faults::default());
        }
        Dataset::listed(&mut Listing::open(path)?, validated)
    }

    /// Reads what a listing found.
    fn listed(listing: &mut Listing, validated: bool) -> Result<Dataset> {
        let folders = match layouts::splits(listing, validated)? {
            None => layouts::labels(listing)?,
            found => found,
        };
        let (found, used) = match folders {
            Some(found) => (Some(besides(found, listing)), None),
            None => match rows(listing)? {
                (None, _) => (layouts::flat(listing)?, None),
                found => found,
            },
        };
        listing.end_tables(used.as_deref());
        match found {
            Some(found) => {
                let mut census = std::mem::take(&mut listing.census);
                let found = found.validating(validated, &mut census);
                Dataset::new(&listing.root, found, census, &listing.faults)
            }
            None => nothing(listing),
        }
    }

    /// Good pictures to fit on and nothing else.
    pub fn of_good(root: &Path, train: Vec<Sample>) -> Dataset {
        let (census, layout) = (Census::of(train.len()), Layout::Flat);
        Dataset { root: root.into(), layout, train, test: vec![], validation: vec![], census, notes: vec![] }
    }

    /// A table that is named.
    fn table(path: &Path, validated: bool, faults: &Faults) -> Result<Dataset> {
        let found = named_table(path, EXPECTED)?.read(None, faults)?;
        let mut census = census_of_table(path, found.samples());
        let found = found.validating(validated, &mut census);
        Dataset::new(folder_of(path), found, census, faults)
    }

    /// Checks names and labels of what was found.
    fn new(root: &Path, found: Found, census: Census, faults: &Faults) -> Result<Dataset> {
        let Found { layout, mut train, mut test, mut validation, mut notes } = found;
        [&mut train, &mut test, &mut validation].into_iter().for_each(|samples| sort(samples));
        let (mut seen, root) = (BTreeSet::new(), root.to_path_buf());
        if let Some(twice) = train.iter().chain(&test).chain(&validation).find(|s| !seen.insert(s.name.clone())) {
            return fail(&root, &format!("{} occurs twice", plain(&twice.name)));
        }
        let labels: BTreeSet<&str> = test.iter().map(|s| s.label.as_str()).collect();
        if let Some([one, two]) = labels::differ_in_case(labels.iter().copied()) {
            let (one, two) = (plain(one), plain(two));
            let what = format!("has the labels {one} and {two}, which differ in case only; use one of them");
            faults.at(Wrong::Case, &root, &what)?;
        }
        if train.is_empty() && test.is_empty() {
            let what =
                if layout == Layout::Csv { "its table has no rows" } else { "has no good pictures, and no others" };
            return fail(&root, &format!("{what}; {EXPECTED}{}", and_left_out(&census)));
        }
        notes.extend(labels.iter().copied().filter_map(labels::doubt));
        let unsplit = train.is_empty() || layout == Layout::Mvtec;
        if unsplit && !test.is_empty() && !labels.contains(GOOD) {
            notes.push(labels::none_good(labels.into_iter(), test.len()));
        }
        if !validation.is_empty() && !train.is_empty() {
            notes.push(format!(
                "note: {} good pictures of the set's own validation split are kept to validate with; all {} of its training split are fitted on",
                validation.len(),
                train.len()
            ));
        }
        Ok(Dataset { root, layout, train, test, validation, census, notes })
    }

    /// The set as something to fit on. Unless `all` pictures are to be taken, those that may be masks are refused.
    ///
    /// # Errors
    /// [`Error::Input`] if there is no good picture, or if pictures look like masks.
    pub fn to_fit(self, all: bool) -> Result<Dataset> {
        if self.train.is_empty() {
            let n = self.test.len();
            let what = match self.layout {
                Layout::Csv => format!(
                    "its table has no good pictures to fit on, but {n} for testing; `lupe eval` takes it as a test set; to fit on \
                     good pictures give them a label that means good (0, {}) and the split train",
                    labels::goods()
                ),
                _ => format!(
                    "has no good pictures to fit on, but {n} for testing; {EXPECTED}. `lupe eval` takes it as a test set; put good \
                     pictures into train/good to fit on them"
                ),
            };
            return fail(&self.root, &what);
        }
        if !all {
            pictures_not_masks(&self.train)?;
            pictures_not_masks(&self.validation)?;
        }
        Ok(self)
    }

    /// Keeps every `every`-th good picture aside for testing if the data set has none of its own; 0 keeps none.
    pub fn split(mut self, every: usize) -> Dataset {
        if self.test.iter().any(good) || every == 0 {
            return self;
        }
        let (aside, train) = self.train.into_iter().enumerate().partition(|(i, _)| i % every == every - 1);
        let list = |part: Vec<(usize, Sample)>| part.into_iter().map(|p| p.1).collect::<Vec<_>>();
        self.train = list(train);
        self.test.extend(list(aside));
        sort(&mut self.test);
        self
    }

    /// What became of everything after a fit, of which so many pictures were `unreadable` and others were looked at and `left_out`, by
    /// reason and name.
    pub fn fitted<'a>(&self, left_out: impl Iterator<Item = (&'static str, &'a str)>, unreadable: usize) -> Counted {
        let (mut census, mut used) = (self.census.clone(), self.train.len() + self.validation.len());
        for (reason, name) in left_out {
            census.leave_out(reason, name);
            used = used.saturating_sub(1);
        }
        self.test.iter().for_each(|s| census.leave_out(reason::TEST, &s.name));
        census.ended(used, 0, unreadable)
    }
}

/// Whether a picture has no defect.
pub fn good(sample: &Sample) -> bool {
    sample.label == GOOD
}

/// Refuses good pictures that may be masks.
///
/// # Errors
/// [`Error::Input`] if two differ in their endings only, or if some consist of two gray values.
pub fn pictures_not_masks(samples: &[Sample]) -> Result<()> {
    masks::refuse_twins(samples, false)?;
    masks::refuse_masks(samples, false, false)?;
    masks::refuse_named(samples, false)
}

/// Refuses labelled pictures of which some may be the masks of others, be they good or defective.
///
/// # Errors
/// [`Error::Input`] if some consist of two gray values.
pub fn tests_not_masks(samples: &[Sample]) -> Result<()> {
    masks::refuse_masks(samples, true, false)?;
    masks::refuse_named(samples, false)
}

/// What fit says of pictures that are masks by their names alone and, where pictures are not `fitted` on, what eval says.
pub(super) fn called_like_masks(samples: &[Sample], fitted: bool) -> Vec<String> {
    let twins = if fitted { masks::refuse_twins(samples, false) } else { Ok(()) };
    [twins, masks::refuse_named(samples, false)].into_iter().filter_map(Result::err).map(|e| e.to_string()).collect()
}

/// Tables among the files directly in a folder.
fn tables(listing: &Listing) -> Result<Vec<(PathBuf, Table)>> {
    let mut found = vec![];
    for path in &listing.tables {
        found.extend(Table::of(path)?.map(|table| (path.clone(), table)));
    }
    Ok(found)
}

/// Says that a table beside labelled folders is not used.
fn besides(mut found: Found, listing: &Listing) -> Found {
    if let Some((table, _)) = tables(listing).unwrap_or_default().first() {
        let table = shown(table);
        found.notes.push(format!("note: {table} is not used, since labelled folders lie beside it; name it to use it"));
    }
    found
}

/// The table at a path.
fn named_table(path: &Path, expected: &str) -> Result<Table> {
    if !named_like_a_table(path) {
        return fail(path, &format!("not a folder or a table; {expected}"));
    }
    match Table::of(path)? {
        Some(table) => Ok(table),
        None => {
            let begins = fs::read(path).unwrap_or_default();
            let utf16 = [[0xff, 0xfe], [0xfe, 0xff]].iter().any(|mark| begins.starts_with(mark));
            fail(path, if utf16 { "is a table in UTF-16; save it as UTF-8" } else { table::COLUMNS })
        }
    }
}

/// What is found where a table is named: itself, the pictures that it names, and their masks.
fn census_of_table<'s>(path: &Path, samples: impl Iterator<Item = &'s Sample> + Clone) -> Census {
    let mut census = Census::of(1);
    census.leave_out(reason::TABLE, &name_of(path));
    for mask in samples.clone().filter_map(|s| s.mask.as_ref()) {
        census.leave_out(reason::MASK, &name_of(mask));
        census.found += 1;
    }
    census.found += samples.count();
    census
}

/// The table directly in a folder, and where it is.
fn only_table(listing: &Listing) -> Result<Option<(PathBuf, Table)>> {
    let mut found = tables(listing)?;
    if let [(one, _), (two, _), ..] = found.as_slice() {
        let [one, two] = [one, two].map(|p| plain(&name_of(p)));
        return fail(&listing.root, &format!("has several tables, {one} and {two}; name the one to use"));
    }
    Ok(found.pop())
}

/// What the table in a folder says, VisA's or one that lies directly in it, and which one it is.
fn rows(listing: &mut Listing) -> Result<(Option<Found>, Option<PathBuf>)> {
    let (found, used) = match Table::visa(&listing.root)? {
        Some((table, object)) => (table.read(Some(&object), &listing.faults)?, None),
        None => match only_table(listing)? {
            None => return Ok((None, None)),
            Some((one, table)) => (table.read(None, &listing.faults)?, Some(one)),
        },
    };
    take_named(listing, found.samples());
    Ok((Some(found), used))
}

/// Takes the pictures of a table out of a folder's listing, and leaves the others out.
fn take_named<'s>(listing: &mut Listing, samples: impl Iterator<Item = &'s Sample> + Clone) {
    let whole = |paths: Vec<&PathBuf>| paths.into_iter().filter_map(|p| fs::canonicalize(p).ok()).collect();
    let (named, masks): (BTreeSet<PathBuf>, BTreeSet<PathBuf>) =
        (whole(samples.clone().map(|s| &s.path).collect()), whole(samples.filter_map(|s| s.mask.as_ref()).collect()));
    let mut inside = BTreeSet::new();
    for (name, path) in listing.take(|_| true) {
        let path = fs::canonicalize(path).unwrap_or_default();
        match (named.contains(&path), masks.contains(&path)) {
            (true, _) => drop(inside.insert(path)),
            (_, true) => listing.census.leave_out(reason::MASK, &name),
            _ => listing.census.leave_out(reason::UNLISTED, &name),
        }
    }
    // Pictures of the table that lie elsewhere.
    listing.census.found += named.len() - inside.len();
}

fn and_left_out(census: &Census) -> String {
    match census.reasons() {
        none if none.is_empty() => String::new(),
        reasons => format!("; left out: {reasons}"),
    }
}

/// Why a folder is no data set, and what may be meant.
fn nothing(listing: &Listing) -> Result<Dataset> {
    let found: Vec<String> = listing.inside("").iter().map(|f| plain(last(f))).take(5).collect();
    let sets = layouts::sets_below(listing);
    let below = match sets.first() {
        Some(set) => {
            let set = shown(&listing.root.join(set));
            format!("; {set} is a data set ({} of them below): give its folder", sets.len())
        }
        None => String::new(),
    };
    let found = match found.is_empty() {
        true if listing.census.found == 0 => "nothing".into(),
        true => "no folder".into(),
        false => found.join(", "),
    };
    let left = and_left_out(&listing.census);
    let good = labels::goods();
    let what = format!("has no good pictures; {EXPECTED}; found {found}{below}{left}. These names mean good: {good}");
    fail(&listing.root, &what)
}
