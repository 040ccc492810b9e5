//! What is wrong with a set on disk: the first fault ends the reading, or all are kept to be told together.

use super::fail;
use crate::error::{Error, Result, shown};
use std::cell::RefCell;
use std::path::Path;

/// Of wrong rows so many are kept: each names its line, for which the table is read again.
const ROWS: usize = 200;

/// What kind of thing is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::data) enum Wrong {
    /// A mask of no picture.
    StrayMask,
    /// Two masks of one picture, or one mask of two.
    TwoMasks,
    /// Folders or labels that differ in case only.
    Case,
    /// A class without pictures.
    Empty,
    /// A row of a table.
    Row,
    /// Defective pictures among those to fit on.
    DefectiveTrain,
    /// The folders themselves.
    Layout,
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::data) struct Fault {
    pub wrong: Wrong,
    /// The file or folder.
    pub path: std::path::PathBuf,
    /// What is wrong with it, and what to do.
    pub what: String,
}

/// What was wrong so far; `None`: the first fault ends the reading.
#[derive(Debug, Default)]
pub(super) struct Faults(Option<RefCell<Vec<Fault>>>);

impl Faults {
    /// All faults are kept.
    pub fn kept() -> Faults {
        Faults(Some(RefCell::default()))
    }

    /// Something is wrong with a file or folder.
    ///
    /// # Errors
    /// [`Error::Input`] saying so, unless faults are kept.
    pub fn at(&self, wrong: Wrong, path: &Path, what: &str) -> Result<()> {
        let Some(kept) = &self.0 else { return fail(path, what) };
        let fault = Fault { wrong, path: path.into(), what: what.into() };
        let mut kept = kept.borrow_mut();
        // Folders are looked at several times; files, of which there may be many, once.
        let again = matches!(wrong, Wrong::Case | Wrong::Layout | Wrong::Empty) && kept.contains(&fault);
        if !again {
            kept.push(fault);
        }
        Ok(())
    }

    /// Something is wrong with a file, in whole words.
    ///
    /// # Errors
    /// The error itself, unless faults are kept.
    pub fn whole(&self, wrong: Wrong, path: &Path, error: Error) -> Result<()> {
        if self.0.is_none() { Err(error) } else { self.at(wrong, path, &error.to_string()) }
    }

    /// A row of a table is wrong in such a way that the reading would end.
    ///
    /// # Errors
    /// The error itself, unless faults are kept and there are few of them so far.
    pub fn row(&self, wrong: Wrong, table: &Path, error: Error) -> Result<()> {
        let rows = |kept: &RefCell<Vec<Fault>>| kept.borrow().iter().filter(|f| f.path == table).count();
        if self.0.as_ref().is_none_or(|kept| rows(kept) >= ROWS) {
            return Err(error);
        }
        let text = error.to_string();
        self.at(wrong, table, text.strip_prefix(&format!("{}: ", shown(table))).unwrap_or(&text))
    }

    /// All that were kept, in the order in which they were found.
    pub fn all(self) -> Vec<Fault> {
        self.0.map(RefCell::into_inner).unwrap_or_default()
    }
}
