//! Where a command writes: tried before it begins, and never one of its inputs.

use crate::error::{Error, Result, shown};
use crate::files::{folder, folder_of, place, target};
use crate::lock::lock;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// What tells a file from all others, whatever path leads to it.
#[cfg(unix)]
type Identity = (u64, u64);
#[cfg(not(unix))]
type Identity = PathBuf;

/// The identity of a regular file; devices and pipes may be read and written.
fn identity(path: &Path) -> Option<Identity> {
    let found = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        Some((found.dev(), found.ino()))
    }
    #[cfg(not(unix))]
    fs::canonicalize(path).ok().filter(|_| found.is_file())
}

/// The files that a command reads.
#[derive(Clone, Debug, Default)]
pub struct Inputs(BTreeMap<Identity, PathBuf>);

impl Inputs {
    /// Those at `paths`. What does not exist or is a folder is left to whoever reads it.
    pub fn of<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Inputs {
        Inputs(paths.into_iter().filter_map(|path| Some((identity(path.as_ref())?, path.as_ref().into()))).collect())
    }

    /// Whether a path leads to one of them.
    pub fn has(&self, path: &Path) -> bool {
        identity(path).is_some_and(|file| self.0.contains_key(&file))
    }

    /// Refuses an output that is one of them, by whatever path.
    ///
    /// # Errors
    /// [`Error::Usage`] with both paths.
    pub fn apart(&self, output: &Path) -> Result<()> {
        let Some(input) = identity(output).and_then(|file| self.0.get(&file)) else { return Ok(()) };
        let name = if input == output { String::new() } else { format!(" ({})", shown(input)) };
        Err(Error::Usage(format!(
            "{}: is an input of this command{name} and would be replaced; choose another output",
            shown(output)
        )))
    }
}

/// How the header of a fitted model begins, after its length.
const MODEL: &[u8] = br#"{"__metadata__":{"lupe""#;

/// The first bytes of a regular file; none of anything else.
fn beginning(path: &Path) -> Vec<u8> {
    let mut start = vec![];
    let file = identity(path).and_then(|_| File::open(path).ok());
    // What cannot be read is told by whoever tries to write there.
    let _ = file.map(|file| file.take(64).read_to_end(&mut start));
    start
}

/// Refuses to replace a picture: no command writes one under a name that it is given.
fn no_picture(path: &Path) -> Result<()> {
    image::guess_format(&beginning(path)).map_or(Ok(()), |_| Err(foreign(path, "a picture")))
}

fn foreign(path: &Path, what: &str) -> Error {
    let path = shown(path);
    Error::Output(format!("{path}: would be replaced, and is {what}; move it, or choose another output"))
}

/// The files with one of these endings directly in a folder, or the path itself where it is none: what a command reads of it.
pub fn ending_in(path: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(path) else { return vec![path.into()] };
    let fits = |file: &PathBuf| file.extension().is_some_and(|e| endings.iter().any(|n| e.eq_ignore_ascii_case(n)));
    entries.flatten().map(|e| e.path()).filter(fits).collect()
}

/// What a command has prepared to write.
#[derive(Debug, Default)]
pub struct Outputs {
    /// Folders that were made for it, outer ones first.
    made: Mutex<Vec<PathBuf>>,
    files: Mutex<Vec<PathBuf>>,
}

impl Outputs {
    /// Prepares a file: it is none of the inputs and no other output, its folder is there, and something can be written there.
    ///
    /// # Errors
    /// [`Error::Usage`] if it is an input, or an output already; [`Error::Output`] if it cannot be written.
    pub fn file(&self, path: &Path, inputs: &Inputs) -> Result<()> {
        inputs.apart(path)?;
        no_picture(path)?;
        self.remember(folder_of(path));
        target(path)?;
        let (own, mut files) = (place(path), lock(&self.files));
        if files.contains(&own) && !fs::metadata(path).is_ok_and(|m| !m.is_file()) {
            return Err(Error::Usage(format!("{}: is named for two outputs; choose another name", shown(path))));
        }
        files.push(own);
        Ok(())
    }

    /// As [`Outputs::file`], for a fitted model: of the files that are there it replaces only models, and what is called one.
    ///
    /// # Errors
    /// As [`Outputs::file`]; also [`Error::Output`] if another file would be replaced.
    pub fn model(&self, path: &Path, inputs: &Inputs) -> Result<()> {
        inputs.apart(path)?;
        let start = beginning(path);
        let called = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("lupe"));
        if !(called || start.is_empty() || start.get(8..).is_some_and(|header| header.starts_with(MODEL))) {
            return Err(foreign(path, "not a fitted model"));
        }
        self.file(path, inputs)
    }

    /// Prepares a folder.
    ///
    /// # Errors
    /// [`Error::Output`] if nothing can be written there.
    pub fn folder(&self, path: &Path) -> Result<()> {
        self.remember(path);
        folder(path)
    }

    /// Keeps in mind which folders up to this one are about to be made.
    fn remember(&self, folder: &Path) {
        let missing = folder.ancestors().take_while(|f| !f.as_os_str().is_empty() && !f.exists());
        let mut missing: Vec<PathBuf> = missing.map(Path::to_path_buf).collect();
        missing.reverse();
        lock(&self.made).extend(missing);
    }

    /// Removes those of the folders made here in which nothing is: what a command that failed has made for nothing.
    pub fn tidy(&self) {
        lock(&self.files).clear();
        for folder in lock(&self.made).drain(..).rev() {
            let _ = fs::remove_dir(folder); // refused by the system unless it is empty
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_is_refused_by_whatever_path_it_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("a");
        fs::write(&file, "a").expect("written");
        let inputs = Inputs::of(ending_in(&file, &[]));
        let mut names = vec![file.clone(), folder.path().join("./a")];
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(&file, folder.path().join("link")).expect("linked");
            fs::hard_link(&file, folder.path().join("twin")).expect("linked");
            names.extend([folder.path().join("link"), folder.path().join("twin")]);
        }
        for name in names {
            assert!(matches!(inputs.apart(&name), Err(Error::Usage(_))) && inputs.has(&name), "{name:?}");
        }
        fs::write(folder.path().join("t.CSV"), "").expect("written");
        assert_eq!(ending_in(folder.path(), &["csv"]), [folder.path().join("t.CSV")]);
        for other in ["b", "no/a"] {
            assert!(inputs.apart(&folder.path().join(other)).is_ok(), "{other}");
        }
    }

    #[test]
    fn hunt_an_output_replaces_no_picture_and_a_model_nothing_but_models() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str, bytes: &[u8]| {
            fs::write(folder.path().join(name), bytes).expect("written");
            folder.path().join(name)
        };
        let (outputs, none) = (Outputs::default(), Inputs::default());
        let picture = at("a.png", b"\x89PNG\r\n\x1a\n and so on");
        let mut pictures = vec![picture.clone(), at("b.lupe", b"\xff\xd8\xff\xe0 a JPEG")];
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(&picture, folder.path().join("link.lupe")).expect("linked");
            pictures.push(folder.path().join("link.lupe"));
        }
        for path in &pictures {
            for tried in [outputs.file(path, &none), outputs.model(path, &none)] {
                assert!(tried.is_err_and(|e| e.to_string().contains("would be replaced")), "{path:?}");
            }
        }
        let notes = at("notes.txt", b"what I noted");
        assert!(outputs.model(&notes, &none).is_err() && outputs.file(&notes, &none).is_ok());
        let model = [&[9, 0, 0, 0, 0, 0, 0, 0], MODEL, b"\":1}}"].concat();
        for mine in [at("m", &model), at("cut.lupe", b"half"), at("empty", b""), folder.path().join("new")] {
            outputs.model(&mine, &none).expect("it may be replaced");
        }
    }

    #[test]
    fn folders_made_for_nothing_are_removed_and_no_others() {
        let folder = tempfile::tempdir().expect("a folder");
        let (outputs, none) = (Outputs::default(), Inputs::default());
        let own = folder.path().join("there");
        fs::create_dir(&own).expect("made");
        for file in ["there/x", "new/deep/x", "kept/x"] {
            outputs.file(&folder.path().join(file), &none).expect("it can be written");
        }
        outputs.folder(&folder.path().join("new/results")).expect("it can be made");
        fs::write(folder.path().join("kept/x"), "x").expect("written");
        let again = outputs.file(&folder.path().join("there/../kept/x"), &none);
        assert!(again.is_err_and(|e| e.to_string().contains("two outputs")));
        outputs.tidy();
        assert!(own.is_dir() && folder.path().join("kept/x").is_file() && !folder.path().join("new").exists());
    }
}
