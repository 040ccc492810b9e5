//! What lies in a folder and all folders below it, before any layout is asked: every file is a picture, or left out with a reason.

use super::census::{Census, reason};
use super::fail;
use super::faults::Faults;
use crate::error::Result;
use crate::manifest::owned;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Endings of pictures that Lupe reads.
const ENDINGS: [&str; 8] = ["png", "jpg", "jpeg", "bmp", "tif", "tiff", "webp", "jfif"];

/// Endings of pictures that it does not read.
const FOREIGN: [&str; 30] = [
    "gif", "ppm", "pgm", "pbm", "pnm", "pam", "jp2", "j2k", "jpx", "jxl", "avif", "heic", "heif", "svg", "psd", "tga",
    "exr", "hdr", "dng", "raw", "cr2", "cr3", "nef", "arw", "ico", "dds", "pcx", "qoi", "dcm", "jxr",
];

/// Endings of tables.
const TABLES: [&str; 2] = ["csv", "tsv"];

/// A path's ending, in small letters.
fn ending(path: &Path) -> String {
    path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase).unwrap_or_default()
}

/// Whether a file is named like a picture that Lupe reads.
pub(crate) fn named_like_a_picture(path: &Path) -> bool {
    ENDINGS.contains(&ending(path).as_str())
}

/// Whether a file is named like a table.
pub(super) fn named_like_a_table(path: &Path) -> bool {
    TABLES.contains(&ending(path).as_str())
}

/// The last name of a path.
pub(super) fn name_of(path: &Path) -> String {
    path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The folder that a name of a listing is in; empty for the listing's own.
pub(super) fn folder_of(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |n| n.0)
}

/// The last part of a name.
pub(super) fn last(name: &str) -> &str {
    name.rsplit_once('/').map_or(name, |n| n.1)
}

/// Whether a name lies below a folder, however deep.
pub(super) fn below(name: &str, folder: &str) -> bool {
    folder.is_empty() || name.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

/// What lies in a folder.
#[derive(Debug)]
pub(super) struct Listing {
    /// The folder.
    pub root: PathBuf,
    /// Pictures that no layout has taken yet, by their names: paths below the folder, with `/` between the parts.
    pub pictures: BTreeMap<String, PathBuf>,
    /// Names of all folders below it.
    pub folders: BTreeSet<String>,
    /// Tables directly in it.
    pub tables: Vec<PathBuf>,
    /// What was found, and left out so far.
    pub census: Census,
    /// What is wrong.
    pub faults: Faults,
}

/// A folder under way.
struct Folder {
    path: PathBuf,
    name: String,
    /// Whether it is Lupe's own, by what it is in.
    own: bool,
    /// Whether a link leads to it.
    linked: bool,
}

impl Listing {
    /// Lists a folder.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) if the folder cannot be read, or two files have the same name as text.
    pub fn open(root: &Path) -> Result<Listing> {
        let (pictures, folders, tables, census, faults) = Default::default();
        let mut listing = Listing { root: root.into(), pictures, folders, tables, census, faults };
        let mut owned_files = BTreeSet::new();
        let mut open = vec![Folder { path: root.into(), name: String::new(), own: false, linked: false }];
        while let Some(folder) = open.pop() {
            match entries(&folder.path) {
                Ok(inside) => {
                    owned_files.extend(owned(&folder.path));
                    for path in inside {
                        open.extend(listing.entry(&folder, &owned_files, path)?);
                    }
                }
                Err(e) if folder.name.is_empty() => return fail(root, &format!("cannot be read: {e}")),
                Err(_) => listing.left(reason::CLOSED, &folder.name),
            }
        }
        listing.tables.sort();
        Ok(listing)
    }

    /// Takes an entry in; a folder is given back to be opened.
    fn entry(&mut self, folder: &Folder, own: &BTreeSet<PathBuf>, path: PathBuf) -> Result<Option<Folder>> {
        let bare = name_of(&path);
        let name = if folder.name.is_empty() { bare.clone() } else { format!("{}/{bare}", folder.name) };
        let (own, hidden) = (folder.own || own.contains(&path), bare.starts_with('.'));
        let kind = fs::metadata(&path);
        match kind {
            Ok(m) if m.is_dir() && hidden => {}
            Ok(m) if m.is_dir() => {
                let link = path.is_symlink();
                if link && (folder.linked || leads_upwards(&path, &folder.path)) {
                    self.left(reason::CIRCLE, &name);
                    return Ok(None);
                }
                self.folders.insert(name.clone());
                return Ok(Some(Folder { path, name, own, linked: folder.linked || link }));
            }
            _ if hidden && !named_like_a_picture(&path) => {}
            _ if hidden => self.left(reason::HIDDEN, &name),
            Err(_) if path.is_symlink() => self.left(reason::DANGLING, &name),
            Err(_) => self.left(reason::CLOSED, &name),
            Ok(_) if own => self.left(reason::RESULTS, &name),
            Ok(m) if m.is_file() => self.file(name, path)?,
            Ok(_) => self.left(reason::OTHER, &name), // a pipe, a device
        }
        Ok(None)
    }

    fn file(&mut self, name: String, path: PathBuf) -> Result<()> {
        if named_like_a_picture(&path) {
            self.census.found += 1;
            return match self.pictures.insert(name.clone(), path) {
                Some(_) => fail(&self.root, &format!("has two files that are both called {name} as text; rename one")),
                None => Ok(()),
            };
        }
        match ending(&path) {
            known if FOREIGN.contains(&known.as_str()) => self.left(&format!(".{known}"), &name),
            _ if named_like_a_table(&path) && !name.contains('/') => {
                self.census.found += 1;
                self.tables.push(path);
            }
            _ => self.left(reason::OTHER, &name),
        }
        Ok(())
    }

    fn left(&mut self, reason: &str, name: &str) {
        self.census.found += 1;
        self.census.leave_out(reason, name);
    }

    /// Takes the pictures out whose names are asked for.
    pub fn take(&mut self, wanted: impl Fn(&str) -> bool) -> Vec<(String, PathBuf)> {
        self.pictures.extract_if(.., |name, _| wanted(name)).collect()
    }

    /// Leaves out the pictures whose names are asked for.
    pub fn leave_out(&mut self, reason: &str, wanted: impl Fn(&str) -> bool) {
        for (name, _) in self.take(wanted) {
            self.census.leave_out(reason, &name);
        }
    }

    /// Counts the tables: the one that was used, and others.
    pub fn end_tables(&mut self, used: Option<&Path>) {
        for table in std::mem::take(&mut self.tables) {
            let reason = if used == Some(table.as_path()) { reason::TABLE } else { reason::OTHER };
            self.census.leave_out(reason, &name_of(&table));
        }
    }

    /// Where a folder of the listing is.
    pub fn at(&self, folder: &str) -> PathBuf {
        if folder.is_empty() { self.root.clone() } else { self.root.join(folder) }
    }

    /// Folders directly in a folder, in bytewise order of their names.
    pub fn inside(&self, folder: &str) -> Vec<String> {
        self.folders.iter().filter(|f| folder_of(f) == folder).cloned().collect()
    }

    /// Those of them that have one of these names, whatever its case.
    pub fn named(&self, folder: &str, names: &[&str]) -> Vec<String> {
        let wanted = |f: &String| names.iter().any(|n| last(f).eq_ignore_ascii_case(n));
        self.inside(folder).into_iter().filter(wanted).collect()
    }

    /// How many pictures lie below a folder.
    pub fn pictures_below(&self, folder: &str) -> usize {
        self.pictures.keys().filter(|name| below(name, folder)).count()
    }
}

/// Entries of a folder in bytewise order.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = fs::read_dir(folder)?.map(|e| e.map(|e| e.path())).collect::<io::Result<Vec<_>>>()?;
    found.sort();
    Ok(found)
}

/// Whether a link in a folder leads to that folder or one above it: following it would never end.
fn leads_upwards(link: &Path, folder: &Path) -> bool {
    let whole = |p: &Path| fs::canonicalize(p).ok();
    whole(link).zip(whole(folder)).is_none_or(|(link, folder)| folder.starts_with(link))
}
