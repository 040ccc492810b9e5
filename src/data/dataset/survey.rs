//! A set as far as it can be read: whatever is wrong with it is kept, to be told together.

use super::faults::{Fault, Faults, Wrong};
use super::listing::Listing;
use super::{Census, Classes, Dataset, Layout, Sample, census_of_table, layouts, named_table, reason};
use crate::error::{Error, Result, shown};
use crate::files::folder_of;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What pictures are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::data) enum Split {
    Train,
    Validation,
    Test,
    /// Pictures of classes that no split divides.
    Classes,
    /// Pictures that the layout has no use for.
    Unused,
}

impl Split {
    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Validation => "validation",
            Split::Test => "test",
            Split::Classes => "classes",
            Split::Unused => "unused",
        }
    }
}

/// What there is in a folder or a table.
#[derive(Debug)]
pub(in crate::data) struct Survey {
    /// What names are relative to.
    pub root: PathBuf,
    /// `None` where no layout fits; all pictures are unused then.
    pub layout: Option<Layout>,
    /// All pictures that were found, in order of splits and names. Masks are none.
    pub samples: Vec<(Split, Sample)>,
    /// Names of the folders below.
    pub folders: BTreeSet<String>,
    /// Folders in places of labels in which there is no picture.
    pub empty: Vec<String>,
    pub faults: Vec<Fault>,
    pub notes: Vec<String>,
    pub census: Census,
}

impl Survey {
    /// Looks at a folder or a table.
    ///
    /// # Errors
    /// [`Error::Input`] if there is nothing that could be looked at.
    pub fn of(path: &Path) -> Result<Survey> {
        if path.is_dir() {
            return Survey::of_folder(path);
        }
        let faults = Faults::kept();
        if !path.is_file() {
            return Dataset::open(path).map(|_| Survey::new(path, None, faults)); // says that it does not exist
        }
        let classes = || {
            let found = named_table(path, super::EXPECTED)?.classes(&Faults::kept())?;
            let census = census_of_table(path, found.samples());
            Ok::<_, Error>((found, census))
        };
        let mut survey = match Dataset::table(path, true, &faults) {
            Ok(set) => Survey::new(folder_of(path), Some(set), faults),
            Err(error) => {
                // Rows that cannot be read are faults of the table as a set; what else it names is still looked at.
                let Ok((found, census)) = classes() else { return Err(error) };
                let mut survey = Survey::new(folder_of(path), None, faults);
                survey.census = census;
                found.samples().for_each(|s| survey.census.leave_out(reason::ELSEWHERE, &s.name));
                survey.samples.extend(found.samples().cloned().map(|s| (Split::Unused, s)));
                if survey.faults.is_empty() {
                    if survey.samples.is_empty() {
                        return Err(error);
                    }
                    survey.faults.push(fault(&survey.root, &error));
                }
                survey
            }
        };
        survey.sort();
        Ok(survey)
    }

    fn of_folder(path: &Path) -> Result<Survey> {
        let mut listing = Listing::open(path)?;
        let (files, folders) = (listing.pictures.clone(), listing.folders.clone());
        let (empty, sets) = (layouts::empty_labels(&listing), layouts::sets_below(&listing));
        let loose = files.keys().any(|name| !name.contains('/'));
        listing.faults = Faults::kept();
        let mut survey = match Dataset::listed(&mut listing, true) {
            Ok(set) => Survey::new(path, Some(set), listing.faults),
            Err(error) => match classes(path).filter(|_| sets.is_empty() && !loose) {
                Some(survey) => survey,
                None => {
                    let mut survey = Survey::new(path, None, listing.faults);
                    survey.faults.push(fault(path, &error));
                    let mut fresh = Listing::open(path)?;
                    fresh.end_tables(None);
                    survey.census = fresh.census;
                    survey
                }
            },
        };
        survey.folders = folders;
        survey.empty = empty;
        let used: BTreeSet<PathBuf> =
            survey.samples.iter().flat_map(|(_, s)| s.files().map(Path::to_path_buf).collect::<Vec<_>>()).collect();
        let masks = survey.masks();
        for (name, path) in files {
            let mask = masks.contains(&path) || path.parent().is_some_and(|folder| used.contains(folder));
            if !used.contains(&path) && !mask {
                survey.unused(name, path);
            }
        }
        survey.sort();
        Ok(survey)
    }

    /// Files that are masks of nothing, or one too many.
    fn masks(&self) -> BTreeSet<PathBuf> {
        let of = |f: &&Fault| matches!(f.wrong, Wrong::StrayMask | Wrong::TwoMasks);
        self.faults.iter().filter(of).map(|f| f.path.clone()).collect()
    }

    /// A picture that is neither fitted on nor tested with. Ground truth of what is not there is none.
    fn unused(&mut self, name: String, path: PathBuf) {
        if layouts::within_truth(&name) && self.layout.is_some() {
            return;
        }
        if self.layout.is_none() {
            self.census.leave_out(reason::ELSEWHERE, &name);
        }
        let label = folder_of(Path::new(&name)).to_string_lossy().into_owned();
        self.samples.push((Split::Unused, Sample { path, name, label, mask: None }));
    }

    fn new(root: &Path, set: Option<Dataset>, faults: Faults) -> Survey {
        let (layout, mut samples, mut notes, mut census) =
            (set.as_ref().map(|s| s.layout), vec![], vec![], Census::default());
        if let Some(set) = set {
            let of = |split, list: Vec<Sample>| list.into_iter().map(move |s| (split, s));
            samples.extend(of(Split::Train, set.train));
            samples.extend(of(Split::Validation, set.validation));
            samples.extend(of(Split::Test, set.test));
            (notes, census) = (set.notes, set.census);
        }
        let (folders, empty) = Default::default();
        Survey { root: root.into(), layout, samples, folders, empty, faults: faults.all(), notes, census }
    }

    fn sort(&mut self) {
        self.samples.sort_by(|(a, one), (b, two)| (a, one.name.as_bytes()).cmp(&(b, two.name.as_bytes())));
    }
}

/// A folder of classes, of which none need be good.
fn classes(path: &Path) -> Option<Survey> {
    let mut listing = Listing::open(path).ok()?;
    listing.faults = Faults::kept();
    let classes = Classes::listed(&mut listing).ok().filter(|c| c.counts().len() > 1)?;
    let mut survey = Survey::new(path, None, listing.faults);
    survey.layout = Some(classes.layout);
    survey.samples = classes.samples.into_iter().map(|s| (Split::Classes, s)).collect();
    (survey.notes, survey.census) = (classes.notes, classes.census);
    Some(survey)
}

/// Why no layout fits.
fn fault(path: &Path, error: &Error) -> Fault {
    let text = error.to_string();
    let what = text.strip_prefix(&format!("{}: ", shown(path))).unwrap_or(&text).to_string();
    Fault { wrong: Wrong::Layout, path: path.into(), what }
}
