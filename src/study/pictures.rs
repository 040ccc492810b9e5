//! The pictures of a data set, each file once, by what a study takes them for.

use super::Category;
use crate::data::dataset::{Counted, Dataset, GOOD, Sample, pictures_not_masks, reason, tests_not_masks};
use crate::error::{Error, Result, plain, shown};
use crate::files::sha256_of;
use crate::watch::Watch;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A data set of a study. Lists hold numbers into [`Pictures::samples`], in bytewise order of the pictures' paths.
#[derive(Clone, Debug)]
pub struct Pictures {
    /// Where it is.
    pub root: PathBuf,
    /// What it is called.
    pub name: String,
    /// Whether its defects are painted.
    pub painted: bool,
    /// All pictures.
    pub samples: Vec<Sample>,
    /// The hash of the file of each.
    pub hashes: Vec<String>,
    /// Good ones of the training split.
    pub train: Vec<usize>,
    /// Good ones to test with.
    pub good: Vec<usize>,
    /// Defective ones by kind, in bytewise order of the kinds.
    pub defects: Vec<(String, Vec<usize>)>,
    /// Kinds of defect that were left out.
    pub excluded: BTreeSet<String>,
    /// What became of all files.
    pub counted: Counted,
    /// What is to be said.
    pub notes: Vec<String>,
}

impl Pictures {
    /// Reads a data set without these kinds of defect. A file that occurs again is left out where it comes later: a copy of a shot must not be a query.
    ///
    /// # Errors
    /// As [`Dataset::open`]; [`Error::Input`] where it has no good picture to learn from or nothing to test with, for pictures that may be
    /// masks, and for one file in two classes; the watcher's interrupt.
    pub fn open(
        path: &Path,
        name: Option<&str>,
        exclude: &[String],
        painted: bool,
        watch: &dyn Watch,
    ) -> Result<Pictures> {
        let mut set = Dataset::open(path)?.to_fit(false)?;
        tests_not_masks(&set.test)?;
        pictures_not_masks(&set.test.iter().filter(|s| s.label == GOOD).cloned().collect::<Vec<_>>())?;
        let (left, kept): (Vec<Sample>, Vec<Sample>) = set.test.drain(..).partition(|s| exclude.contains(&s.label));
        let (mut census, mut copies) = (set.census, 0);
        left.iter().for_each(|s| census.leave_out(reason::CLASS, &s.name));
        let trained = set.train.len();
        let samples: Vec<Sample> = set.train.into_iter().chain(kept).collect();
        let mut all = Pictures {
            root: set.root,
            name: name.map_or_else(|| named(path), String::from),
            painted,
            samples: vec![],
            hashes: vec![],
            train: vec![],
            good: vec![],
            defects: vec![],
            excluded: left.iter().map(|s| s.label.clone()).collect(),
            counted: census.clone().ended(0, 0, 0),
            notes: set.notes,
        };
        let (mut seen, mut kinds, found) = (BTreeMap::new(), BTreeMap::<String, Vec<usize>>::new(), samples.len());
        for (i, sample) in samples.into_iter().enumerate() {
            watch.go_on()?;
            watch.progress("reading", i, found);
            let unread = |e| Error::Input(format!("{}: cannot be read: {e}", shown(&sample.path)));
            let hash = sha256_of(&sample.path).map_err(unread)?;
            if let Some((label, first)) = seen.get(&hash) {
                let ([first, again], set) = ([first, &sample.name].map(|n| plain(n)), shown(path));
                if *label != sample.label {
                    return Err(Error::Input(format!(
                        "{set}: {again} is the same file as {first}, of another class; remove one of them"
                    )));
                }
                if copies < NOTES {
                    all.notes.push(format!("note: {set}: {again} is the same file as {first} and is left out"));
                }
                copies += 1;
                census.leave_out(reason::SAME, &sample.name);
                continue;
            }
            seen.insert(hash.clone(), (sample.label.clone(), sample.name.clone()));
            let number = all.samples.len();
            match (i < trained, sample.label == GOOD) {
                (true, _) => all.train.push(number),
                (false, true) => all.good.push(number),
                (false, false) => kinds.entry(sample.label.clone()).or_default().push(number),
            }
            all.samples.push(sample);
            all.hashes.push(hash);
        }
        watch.progress("reading", found, found);
        all.defects = kinds.into_iter().collect();
        all.counted = census.ended(all.samples.len(), 0, 0);
        Ok(all)
    }

    /// What a study says of it.
    pub fn category(&self) -> Category {
        Category {
            name: self.name.clone(),
            train: self.train.len(),
            good: self.good.len(),
            defects: self.defects.iter().map(|(kind, list)| (kind.clone(), list.len())).collect(),
            painted: self.painted,
        }
    }

    /// What a picture is called.
    pub fn path(&self, number: usize) -> &str {
        self.samples.get(number).map_or("", |s| &s.name)
    }
}

/// Copies that are told by name; the others are counted.
const NOTES: usize = 20;

/// A data set is called as its folder, or its table.
pub fn named(path: &Path) -> String {
    let whole = std::fs::canonicalize(path).unwrap_or_else(|_| path.into());
    whole.file_stem().map_or_else(|| "data".into(), |name| name.to_string_lossy().into_owned())
}
