//! The list of a results folder: which files runs of Lupe wrote there, so that a later run removes what it did not make itself, and
//! nothing else.

use crate::error::{Error, Result, shown};
use crate::files::write;
use crate::outputs::Inputs;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

/// Its name in a results folder.
pub const NAME: &str = ".lupe-results";

/// Files at the top of a results folder.
const FILES: [&str; 4] = ["results.ndjson", "results.csv", "timing.ndjson", "metrics.json"];

/// A demo's sheet of all its pictures.
pub const SHEET: &str = "contact_sheet.png";

/// Its folders, one for each kind of picture.
const FOLDERS: [&str; 4] = ["heatmaps", "maps", "masks", "features"];

/// What the file holds.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Listed {
    /// Version of this list's form.
    schema: u32,
    /// Whether the last run ended; if not, files of the run before may be among the listed.
    finished: bool,
    /// Paths below the folder, `/` between their parts.
    files: BTreeSet<String>,
}

/// The list of one folder.
#[derive(Debug)]
pub struct Manifest {
    folder: PathBuf,
    earlier: Listed,
    begun: bool,
    ended: bool,
}

impl Manifest {
    /// What earlier runs wrote in a folder; nothing if they left no list, or a broken one.
    pub fn open(folder: &Path) -> Manifest {
        let found = fs::read(folder.join(NAME)).ok().and_then(|text| serde_json::from_slice::<Listed>(&text).ok());
        let mut earlier = found.unwrap_or_default();
        earlier.files.retain(|name| own(name));
        Manifest { folder: folder.into(), earlier, begun: false, ended: false }
    }

    /// Whether files of an earlier run are there.
    pub fn has_earlier(&self) -> bool {
        self.earlier.files.iter().any(|name| self.folder.join(name).exists())
    }

    /// The first file that this run would replace and no list has: it is somebody's. In a folder of a Lupe without lists none is.
    ///
    /// # Errors
    /// [`Error::Output`] with its path.
    pub fn spare(&self, planned: &[String]) -> Result<()> {
        if let Some(folder) = planned.iter().map(|name| self.folder.join(name)).find(|path| path.is_dir()) {
            return Err(Error::Output(format!("{}: is a folder; expected a file", shown(&folder))));
        }
        let above = |name: &String| Some(self.folder.join(name.split_once('/')?.0));
        if let Some(file) = planned.iter().filter_map(above).find(|path| path.is_file()) {
            return Err(Error::Output(format!("{}: is a file; expected a folder", shown(&file))));
        }
        if !self.folder.join(NAME).is_file() && left_without_list(&self.folder) {
            return Ok(());
        }
        let theirs = |name: &&String| !self.earlier.files.contains(*name) && self.folder.join(name).is_file();
        let Some(first) = planned.iter().find(theirs) else { return Ok(()) };
        Err(Error::Output(format!(
            "{}: would be replaced, and no run of Lupe has listed it; move it, or choose another output",
            shown(&self.folder.join(first))
        )))
    }

    /// Files of the names that runs give which no list has and this run does not replace: they are somebody's, or of a Lupe without
    /// lists.
    pub fn unlisted(&self, planned: &[String]) -> Vec<String> {
        let planned: BTreeSet<&String> = planned.iter().collect();
        let mut found: Vec<String> =
            FILES.iter().filter(|name| self.folder.join(name).is_file()).map(ToString::to_string).collect();
        let mut open: Vec<String> = FOLDERS.map(String::from).into();
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(self.folder.join(&folder)).into_iter().flatten().flatten() {
                let name = format!("{folder}/{}", entry.file_name().to_string_lossy());
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => open.push(name),
                    _ => found.push(name),
                }
            }
        }
        found.retain(|name| !planned.contains(name) && !self.earlier.files.contains(name));
        found.sort();
        found
    }

    /// Lists what is about to be written, before the first file of it is: a run that does not end is told from a whole one.
    ///
    /// # Errors
    /// [`Error::Output`] if the list cannot be written.
    pub fn begin(&mut self, planned: &[String]) -> Result<()> {
        if self.begun {
            return Ok(());
        }
        self.begun = true;
        let files = self.earlier.files.iter().chain(planned).cloned().collect();
        self.save(&Listed { schema: 1, finished: false, files })
    }

    /// Removes what earlier runs wrote and this one did not, unless it is one of its inputs, and lists what is left.
    ///
    /// # Errors
    /// [`Error::Output`] for a file that cannot be removed.
    pub fn finish(mut self, written: BTreeSet<String>, inputs: &Inputs) -> Result<()> {
        let mut files = written;
        for name in self.earlier.files.difference(&files.clone()) {
            let path = self.folder.join(name);
            if inputs.has(&path) || !self.holds(&path) {
                if path.exists() {
                    files.insert(name.clone());
                }
                continue;
            }
            match fs::remove_file(&path) {
                Err(e) if e.kind() != ErrorKind::NotFound => {
                    return Err(Error::Output(format!("{} of an earlier run cannot be removed: {e}", shown(&path))));
                }
                _ => self.close(&path),
            }
        }
        self.ended = true;
        self.save(&Listed { schema: 1, finished: true, files })
    }

    /// Whether a path is a file in this folder, and no link leads elsewhere on the way.
    fn holds(&self, path: &Path) -> bool {
        let real = |path: &Path| fs::canonicalize(path).ok();
        let inside = path.parent().and_then(real).zip(real(&self.folder)).is_some_and(|(at, own)| at.starts_with(own));
        inside && fs::symlink_metadata(path).is_ok_and(|m| m.is_file())
    }

    /// Removes the folders above a removed file in which nothing is left.
    fn close(&self, path: &Path) {
        for folder in path.ancestors().skip(1).take_while(|f| *f != self.folder) {
            if fs::remove_dir(folder).is_err() {
                return;
            }
        }
    }

    fn save(&self, listed: &Listed) -> Result<()> {
        let wrong = |e: serde_json::Error| Error::Output(format!("{NAME} cannot be written: {e}"));
        write(&self.folder.join(NAME), (serde_json::to_string(listed).map_err(wrong)? + "\n").as_bytes())
    }
}

/// Lists one more file of a folder as Lupe's own.
///
/// # Errors
/// [`Error::Output`] if the list cannot be written.
pub fn mark(folder: &Path, name: &str) -> Result<()> {
    let manifest = Manifest::open(folder);
    let files = manifest.earlier.files.iter().cloned().chain([name.to_string()]).collect();
    manifest.save(&Listed { schema: 1, finished: true, files })
}

/// What is Lupe's own in a folder: the files that its list names; in one without a list, the folders of results that an earlier version
/// left there.
pub fn owned(folder: &Path) -> BTreeSet<PathBuf> {
    if folder.join(NAME).is_file() {
        return Manifest::open(folder).earlier.files.iter().map(|name| folder.join(name)).collect();
    }
    let results = left_without_list(folder);
    FOLDERS.into_iter().filter(|_| results).map(|name| folder.join(name)).collect()
}

/// Whether a folder, which has no list, has the results of a Lupe that wrote none.
fn left_without_list(folder: &Path) -> bool {
    let is = |name: &str| folder.join(name).is_file();
    // A name alone is no proof: what Lupe writes there begins with an object of these fields.
    let times = fs::read_to_string(folder.join("timing.ndjson")).unwrap_or_default();
    let first = times.lines().next().and_then(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let own = first.is_some_and(|line| ["path", "decode", "writing"].iter().all(|field| line.get(field).is_some()));
    own && (is("results.ndjson") || is("results.csv"))
}

/// Removes a folder in which there is nothing but folders.
fn remove_empty(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_empty(&entry.path());
        }
    }
    let _ = fs::remove_dir(folder); // refused by the system unless it is empty
}

impl Drop for Manifest {
    /// A run that failed before its first file leaves no list and no folders, unless there were any before.
    fn drop(&mut self) {
        if !self.begun || self.ended || !self.earlier.files.is_empty() {
            return;
        }
        FOLDERS.iter().for_each(|name| remove_empty(&self.folder.join(name)));
        let list = self.folder.join(NAME);
        let nothing = |mut entries: fs::ReadDir| entries.all(|e| e.is_ok_and(|e| e.path() == list));
        if fs::read_dir(&self.folder).is_ok_and(nothing) {
            let _ = fs::remove_file(&list); // a list of nothing does no harm
        }
    }
}

/// Whether a run may have written a file of that name: only such ones are removed, whatever a list says.
fn own(name: &str) -> bool {
    let inside = Path::new(name).components().all(|c| matches!(c, Component::Normal(_)));
    let drawn = |(folder, rest): (&str, &str)| {
        let ending = Path::new(rest).extension().and_then(|e| e.to_str());
        FOLDERS.contains(&folder) && ending.is_some_and(|e| ["png", "tiff", "npy"].contains(&e))
    };
    inside && (FILES.contains(&name) || name == SHEET || name.split_once('/').is_some_and(drawn))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hunt_names_alone_do_not_make_a_folder_lupes() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("written");
        write("results.csv", "mine");
        for (times, spared) in [("mine", false), ("{\"path\":\"a\",\"decode\":1,\"device\":1,\"writing\":1}", true)] {
            write("timing.ndjson", times);
            let found = Manifest::open(folder.path()).spare(&["results.csv".into()]);
            assert_eq!(found.is_ok(), spared, "{times}: {found:?}");
        }
    }

    #[test]
    fn fault_16_nothing_is_removed_that_no_run_can_have_written() {
        for name in ["results.csv", "heatmaps/a/b.png", "maps/x.tiff", "features/x.npy"] {
            assert!(own(name), "{name}");
        }
        for name in
            ["a.png", "heatmaps/../a.png", "/heatmaps/a.png", "heatmaps/a.jpg", "../results.csv", "", "heatmaps"]
        {
            assert!(!own(name), "{name}");
        }
        let folder = tempfile::tempdir().expect("a folder");
        let out = folder.path().join("out");
        fs::create_dir_all(out.join("masks")).expect("made");
        fs::create_dir(folder.path().join("mine")).expect("made");
        let listed = ["../mine/a.png", "notes.txt", "masks/a.png", "heatmaps/a.png"];
        for name in ["mine/a.png", "out/notes.txt", "out/masks/a.png"] {
            fs::write(folder.path().join(name), "x").expect("written");
        }
        #[cfg(unix)] // a folder of results that became a link to pictures
        std::os::unix::fs::symlink(folder.path().join("mine"), out.join("heatmaps")).expect("linked");
        let list = Listed { schema: 1, finished: true, files: listed.map(String::from).into() };
        fs::write(out.join(NAME), serde_json::to_string(&list).expect("a text")).expect("written");
        Manifest::open(&out).finish(BTreeSet::new(), &Inputs::default()).expect("removed");
        assert!(folder.path().join("mine/a.png").exists() && out.join("notes.txt").exists());
        assert!(!out.join("masks").exists(), "what a run wrote stays");
    }
}
