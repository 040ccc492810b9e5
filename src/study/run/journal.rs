//! What a study has found out so far: a file to which every unit adds one line, with its hash. A line that a kill cut off is done again.

use crate::error::{Error, Result, shown};
use crate::files::sha256;
use crate::study::{Outcome, Timing};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The file with what was found out.
pub const OUTCOMES: &str = "outcomes.jsonl";

/// The file with how long it took.
pub const TIMING: &str = "timing.jsonl";

/// Hexadecimal digits of a line's hash.
const DIGITS: usize = 16;

/// A line of either file.
#[derive(Debug, Serialize, Deserialize)]
struct Line<T> {
    unit: usize,
    lines: Vec<T>,
}

/// A file that grows, and where it is.
type Journalled = (PathBuf, File);

/// Lines by unit.
pub type Units<T> = BTreeMap<usize, Vec<T>>;

/// Both files.
#[derive(Debug)]
pub struct Journal {
    outcomes: Journalled,
    timing: Journalled,
    done: BTreeSet<usize>,
}

impl Journal {
    /// Opens the files of a folder, and cuts off what is not a whole line.
    ///
    /// # Errors
    /// [`Error::Output`] for files that cannot be read or written; [`Error::Input`] for a line that is damaged and is not the last one.
    pub fn open(folder: &Path) -> Result<Journal> {
        let (outcomes, done) = lines::<Outcome>(folder.join(OUTCOMES))?;
        let (timing, _) = lines::<Timing>(folder.join(TIMING))?;
        let done = done.into_keys().collect();
        Ok(Journal { outcomes, timing, done })
    }

    /// Whether a unit is done.
    pub fn has(&self, unit: usize) -> bool {
        self.done.contains(&unit)
    }

    /// How many units are done.
    pub fn done(&self) -> usize {
        self.done.len()
    }

    /// Adds a unit: times first, so that what is done has them.
    ///
    /// # Errors
    /// [`Error::Output`] where it cannot be written.
    pub fn add(&mut self, unit: usize, outcomes: &[Outcome], timing: &[Timing]) -> Result<()> {
        append(&mut self.timing, &Line { unit, lines: timing.to_vec() })?;
        append(&mut self.outcomes, &Line { unit, lines: outcomes.to_vec() })?;
        self.done.insert(unit);
        Ok(())
    }
}

/// What a folder's files hold so far, by unit. They stay as they are: somebody may be writing there.
///
/// # Errors
/// [`Error::Input`] for a file that cannot be read, and for a line that is damaged and is not the last one.
pub fn journalled(folder: &Path) -> Result<(Units<Outcome>, Units<Timing>)> {
    Ok((read(&folder.join(OUTCOMES))?.0, read(&folder.join(TIMING))?.0))
}

/// A line as it is written: hash, space, JSON.
fn written<T: Serialize>(line: &Line<T>) -> Result<String> {
    let json = serde_json::to_string(line).map_err(|e| Error::Internal(format!("a line of a journal: {e}")))?;
    let hash = sha256(json.as_bytes());
    Ok(format!("{} {json}\n", hash.get(..DIGITS).unwrap_or_default()))
}

fn append<T: Serialize>((path, file): &mut Journalled, line: &Line<T>) -> Result<()> {
    let unwritten = |e: std::io::Error| Error::Output(format!("{}: cannot be written: {e}", shown(path)));
    file.write_all(written(line)?.as_bytes()).map_err(unwritten)
}

/// The content of one of the files as it is written for all units.
///
/// # Errors
/// [`Error::Internal`] for what cannot be written as JSON.
pub fn content<T: Serialize + Clone>(all: &Units<T>) -> Result<Vec<u8>> {
    let line = |(unit, lines): (&usize, &Vec<T>)| written(&Line { unit: *unit, lines: lines.clone() });
    Ok(all.iter().map(line).collect::<Result<Vec<_>>>()?.concat().into_bytes())
}

fn parsed<T: for<'d> Deserialize<'d>>(line: &str) -> Option<Line<T>> {
    let (hash, json) = line.split_once(' ')?;
    (sha256(json.as_bytes()).get(..DIGITS) == Some(hash)).then(|| serde_json::from_str(json).ok()).flatten()
}

/// The whole lines of a file by unit, and how many bytes they are; nothing where there is no file.
fn read<T: for<'d> Deserialize<'d>>(path: &Path) -> Result<(Units<T>, usize)> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => vec![],
        Err(e) => return Err(Error::Input(format!("{}: cannot be read: {e}", shown(path)))),
    };
    let (mut all, mut whole) = (BTreeMap::new(), 0);
    for (i, raw) in bytes.split_inclusive(|b| *b == b'\n').enumerate() {
        let ended = raw.last() == Some(&b'\n');
        let line = std::str::from_utf8(raw).ok().and_then(|text| parsed::<T>(text.trim_end_matches('\n')));
        match line {
            Some(Line { unit, lines }) if ended => {
                all.insert(unit, lines);
                whole += raw.len();
            }
            _ if whole + raw.len() == bytes.len() => {}
            _ => {
                let what = format!(
                    "line {} is damaged; remove that line to have its work done again, or take another folder",
                    i + 1
                );
                return Err(Error::Input(format!("{}: {what}", shown(path))));
            }
        }
    }
    Ok((all, whole))
}

/// The same of a file that is to be written on: behind its whole lines.
fn lines<T: for<'d> Deserialize<'d>>(path: PathBuf) -> Result<(Journalled, Units<T>)> {
    let (all, whole) = read(&path)?;
    let failed = |e: std::io::Error| Error::Output(format!("{}: cannot be written: {e}", shown(&path)));
    let opened = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
    let mut file = opened.map_err(failed)?;
    file.set_len(whole as u64).and_then(|()| file.seek(SeekFrom::End(0))).map_err(failed)?;
    Ok(((path, file), all))
}
