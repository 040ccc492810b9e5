//! Patch vectors of the training pictures: in memory as far as allowed, and in a file from which an interrupted fit resumes.
//!
//! The file: a line with the format and a key, then one record for each picture: its number (u64), its file's SHA-256 (64 hexadecimal
//! digits), rows and projected rows (f32), and the SHA-256 of all this. A record that a crash cut off is detected and made again.

use crate::data::dataset::Sample;
use crate::data::load::read;
use crate::error::{Error, Result, shown};
use crate::files::sha256;
use crate::watch::Watch;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Hexadecimal digits of a hash.
const HASH: usize = 64;

/// How many numbers there are for one picture.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Patch vectors times their values.
    pub rows: usize,
    /// Patch vectors times their projected values; 0 without projection.
    pub projected: usize,
}

impl Sizes {
    /// Bytes that are kept of one picture.
    pub fn record(&self) -> usize {
        8 + 2 * HASH + 4 * (self.rows + self.projected)
    }
}

/// Patch vectors being collected.
pub struct Bag {
    sizes: Sizes,
    /// SHA-256 of the pictures' files, in order.
    pub pictures: Vec<String>,
    /// A number for the rows of each: the same for the same rows.
    keys: Vec<u64>,
    kept: Vec<Vec<f32>>,
    projected: Vec<f32>,
    /// Pictures whose rows may stay in memory.
    room: usize,
    all_fit: bool,
    disk: Option<Disk>,
    /// Whether the file belonged to a fit with other choices, and was started anew.
    pub replaced: bool,
}

struct Disk {
    path: PathBuf,
    file: File,
    start: u64,
    /// Whether it is known to hold no picture.
    empty: bool,
}

impl Bag {
    /// For `pictures` pictures, of whose rows at most `limit` bytes stay in memory. What the file beside `output` holds under the same
    /// `key` is reused as far as it comes from the same `samples`, unless `fresh`.
    ///
    /// # Errors
    /// [`Error::Output`] if nothing can be written beside `output`, or another fit is writing there.
    pub fn open(
        output: Option<&Path>,
        key: &str,
        sizes: Sizes,
        samples: &[Sample],
        limit: u64,
        fresh: bool,
    ) -> Result<Bag> {
        let room = (limit / (4 * sizes.rows as u64).max(1)).min(samples.len() as u64) as usize;
        let (kept, projected) = (vec![], Vec::with_capacity(sizes.projected * samples.len()));
        let all_fit = room == samples.len();
        let (pictures, keys) = (vec![], vec![]);
        let mut bag = Bag { sizes, pictures, keys, kept, projected, room, all_fit, disk: None, replaced: false };
        // Nothing can be written beside a device or a pipe.
        let beside = output.filter(|path| !path.metadata().is_ok_and(|m| !m.is_file()));
        let Some(output) = beside else {
            let name = output.map_or("no output".into(), shown);
            return if all_fit {
                Ok(bag)
            } else {
                Err(Error::Usage(format!(
                    "{name}: expected a regular file, because patch vectors beyond --limit-ram are kept on disk beside it"
                )))
            };
        };
        let (mut disk, replaced) = Disk::open(output, key, fresh)?;
        bag.replaced = replaced;
        bag.take_over(&mut disk, samples).map_err(|e| disk.failed(&e))?;
        bag.disk = Some(disk);
        Ok(bag)
    }

    fn take_over(&mut self, disk: &mut Disk, samples: &[Sample]) -> io::Result<()> {
        let mut record = vec![0; self.sizes.record()];
        for (number, sample) in samples.iter().enumerate() {
            if disk.file.read_exact(&mut record).is_err() {
                break;
            }
            let (content, own) = record.split_at(record.len() - HASH);
            let (head, values) = content.split_at(8 + HASH);
            let same =
                |bytes: Vec<u8>| head.split_at(8) == (&(number as u64).to_le_bytes()[..], sha256(&bytes).as_bytes());
            if sha256(content).as_bytes() != own || !read(&sample.path).is_ok_and(same) {
                break;
            }
            let values: Vec<f32> = bytemuck::pod_collect_to_vec(values);
            let (rows, projected) = values.split_at(self.sizes.rows);
            self.keep(String::from_utf8_lossy(head.split_at(8).1).into_owned(), rows, projected);
        }
        disk.empty = self.pictures.is_empty();
        let end = disk.start + (self.pictures.len() * self.sizes.record()) as u64;
        disk.file.set_len(end)?;
        disk.file.seek(SeekFrom::Start(end)).map(drop)
    }

    fn keep(&mut self, sha256: String, rows: &[f32], projected: &[f32]) {
        self.pictures.push(sha256);
        self.keys.push(key(rows));
        self.projected.extend_from_slice(projected);
        if self.kept.len() < self.room {
            self.kept.push(rows.to_vec());
        }
    }

    /// Adds the next picture.
    ///
    /// # Errors
    /// [`Error::Output`] if the file cannot be written and the rows do not all fit in memory.
    pub fn push(&mut self, watch: &dyn Watch, sha256: String, rows: &[f32], projected: &[f32]) -> Result<()> {
        if let Some(disk) = &mut self.disk {
            let number = self.pictures.len() as u64;
            match disk.append(number, &sha256, rows, projected) {
                Ok(()) => {}
                Err(e) if self.all_fit => {
                    watch.say(&format!("note: {}; the fit continues in memory and cannot be resumed", disk.failed(&e)));
                    self.remove(watch);
                }
                Err(e) => return Err(disk.failed(&e)),
            }
        }
        self.keep(sha256, rows, projected);
        Ok(())
    }

    /// Patch vectors of picture `i`.
    ///
    /// # Errors
    /// [`Error::Output`] if the file can no longer be read.
    pub fn rows(&self, i: usize) -> Result<Cow<'_, [f32]>> {
        match (self.kept.get(i), &self.disk) {
            (Some(rows), _) => Ok(Cow::Borrowed(rows)),
            (None, Some(disk)) => disk.rows(i, self.sizes).map(Cow::Owned).map_err(|e| disk.failed(&e)),
            (None, None) => Err(Error::Output(format!("patch vectors of picture {i} are missing"))),
        }
    }

    /// The pictures without those whose patch vectors are the same as an earlier one's, and these, each with that earlier one.
    ///
    /// # Errors
    /// As [`Bag::rows`].
    pub fn distinct(&self) -> Result<(Vec<usize>, Vec<[usize; 2]>)> {
        let (mut first, mut distinct, mut copies) = (BTreeMap::new(), vec![], vec![]);
        for (i, key) in self.keys.iter().enumerate() {
            let of = *first.entry(key).or_insert(i);
            if of != i && self.rows(of)? == self.rows(i)? { copies.push([i, of]) } else { distinct.push(i) }
        }
        Ok((distinct, copies))
    }

    /// What the selection looks at of these pictures, one after the other: the projected rows, or the rows themselves. Projected rows are
    /// no longer kept afterwards, unless they are needed `again`.
    ///
    /// # Errors
    /// As [`Bag::rows`].
    pub fn projected(&mut self, pictures: &[usize], again: bool) -> Result<Vec<f32>> {
        let n = self.sizes.projected;
        if n > 0 && pictures.len() == self.pictures.len() && !again {
            return Ok(std::mem::take(&mut self.projected));
        }
        let each = if n == 0 { self.sizes.rows } else { n };
        let mut all = Vec::with_capacity(each * pictures.len());
        for &i in pictures {
            match n {
                0 => all.extend_from_slice(&self.rows(i)?),
                n => all.extend(self.projected.iter().skip(i * n).take(n)),
            }
        }
        if !again {
            self.projected = vec![];
        }
        Ok(all)
    }

    /// Where the rows are, as text.
    pub fn describe(&self, pictures: usize) -> String {
        let mib = |n: usize| (4 * self.sizes.rows * n) as f64 / f64::from(1 << 20);
        let (all, kept) = (mib(pictures), mib(self.room.min(pictures)));
        if self.all_fit {
            format!("{all:.0} MiB, in memory")
        } else {
            format!("{all:.0} MiB, {kept:.0} MiB of it in memory, the rest on disk")
        }
    }

    /// What an interrupt leaves behind.
    pub fn left(&self) -> String {
        match &self.disk {
            Some(_) if self.pictures.is_empty() => {
                "no patch vectors were computed yet; run the same command again to start over".into()
            }
            Some(disk) => format!(
                "the patch vectors computed so far are in {}; run the same command again to resume from there",
                shown(&disk.path)
            ),
            None => "nothing was written".into(),
        }
    }

    /// Removes the file.
    pub fn remove(&mut self, watch: &dyn Watch) {
        if let Some(disk) = self.disk.take()
            && let Err(e) = std::fs::remove_file(&disk.path)
        {
            watch.say(&format!("note: {} cannot be removed: {e}", shown(&disk.path)));
        }
    }
}

/// A number that rows of the same bits share (FNV-1a over words).
fn key(rows: &[f32]) -> u64 {
    rows.iter().fold(0xcbf2_9ce4_8422_2325, |key, v| (key ^ u64::from(v.to_bits())).wrapping_mul(0x100_0000_01b3))
}

impl Drop for Disk {
    /// A fit that failed before its first picture leaves nothing to resume from.
    fn drop(&mut self) {
        if self.empty {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// What the first line of every such file begins with.
const FORMAT: &str = "lupe features ";

impl Disk {
    /// The file beside `output`, and whether it had another key.
    fn open(output: &Path, key: &str, fresh: bool) -> Result<(Disk, bool)> {
        let mut name = output.as_os_str().to_owned();
        name.push(".features");
        let path = PathBuf::from(name);
        let fail = |e: io::Error| Error::Output(format!("{} cannot be written: {e}", shown(&path)));
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(fail)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::Output(format!(
                    "{}: another fit is writing it; wait until it has finished",
                    shown(&path)
                )));
            }
            Err(TryLockError::Error(e)) => return Err(fail(e)),
        }
        let line = format!("{FORMAT}1 {key}\n");
        let mut found = vec![];
        (&file).take(line.len() as u64).read_to_end(&mut found).map_err(fail)?;
        let ours = found.iter().zip(FORMAT.as_bytes()).all(|(a, b)| a == b);
        if !ours {
            return Err(Error::Output(format!(
                "{}: would be replaced, and is not a file of Lupe's; move it, or choose another output",
                shown(&path)
            )));
        }
        let (whole, same) = (found.len() == line.len(), found == line.as_bytes());
        if fresh || !same {
            file.set_len(0).and_then(|()| file.seek(SeekFrom::Start(0))).map_err(fail)?;
            file.write_all(line.as_bytes()).map_err(fail)?;
        }
        Ok((Disk { path, file, start: line.len() as u64, empty: false }, whole && !same && !fresh))
    }

    fn append(&mut self, number: u64, picture: &str, rows: &[f32], projected: &[f32]) -> io::Result<()> {
        let mut record = number.to_le_bytes().to_vec();
        record.extend_from_slice(picture.as_bytes());
        record.extend_from_slice(bytemuck::cast_slice(rows));
        record.extend_from_slice(bytemuck::cast_slice(projected));
        let own = sha256(&record);
        record.extend_from_slice(own.as_bytes());
        self.file.write_all(&record)?;
        self.empty = false;
        Ok(())
    }

    fn rows(&self, i: usize, sizes: Sizes) -> io::Result<Vec<f32>> {
        let mut bytes = vec![0; 4 * sizes.rows];
        let mut file = &self.file;
        file.seek(SeekFrom::Start(self.start + (i * sizes.record() + 8 + HASH) as u64))?;
        file.read_exact(&mut bytes)?;
        Ok(bytemuck::pod_collect_to_vec(&bytes))
    }

    fn failed(&self, e: &io::Error) -> Error {
        Error::Output(format!("{} cannot be written: {e}", shown(&self.path)))
    }
}
