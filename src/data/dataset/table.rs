//! Tables of pictures: which file is one, and what its rows say.

use super::faults::{Faults, Wrong};
use super::labels::{GOOD, goods, in_table};
use super::layouts::{self, Found};
use super::listing::name_of;
use super::{Layout, Sample, fail};
use crate::error::{Error, Result, plain, shown};
use crate::files::folder_of;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

/// What a table's first line must name.
pub(super) const COLUMNS: &str =
    "its first line must name image_path and label (and optionally split and mask_path), separated by `,`, `;` or tabs";

/// No header is longer.
const HEADER: u64 = 1 << 16;

/// Where VisA keeps its tables, and the one that fits a model to good pictures alone.
const VISA: &str = "split_csv/1cls.csv";

/// Splits that a row may name, the last one also as in [`layouts::VALIDATION`].
const TRAIN: &str = "train";
const TEST: &str = "test";
const VALIDATION: &str = "validation";

/// Where a row begins, its picture, and its split, if there is a column for it.
type Row = (u64, Sample, Option<&'static str>);

/// A table whose columns are known.
#[derive(Clone, Debug)]
pub(super) struct Table {
    path: PathBuf,
    /// What its paths are relative to.
    root: PathBuf,
    separator: u8,
    image: usize,
    label: usize,
    split: Option<usize>,
    mask: Option<usize>,
    /// Of a table of several objects, as VisA's: which one a row is about.
    object: Option<usize>,
    /// Names of the columns that say nothing to Lupe.
    unused: Vec<String>,
}

impl Table {
    /// The table in a file, if it names pictures.
    ///
    /// # Errors
    /// [`Error::Input`] if it cannot be read, or names pictures but no labels.
    pub fn of(path: &Path) -> Result<Option<Table>> {
        let unread = |e: std::io::Error| Error::Input(format!("{}: cannot be read: {e}", shown(path)));
        let mut line = vec![];
        let file = File::open(path).map_err(unread)?;
        file.take(HEADER).read_to_end(&mut line).map_err(unread)?;
        // Rows end with a carriage return alone where old programs wrote them.
        let line = line.split(|b| matches!(b, b'\n' | b'\r')).next().unwrap_or_default();
        let line = String::from_utf8_lossy(line);
        let line = line.trim_start_matches('\u{feff}').trim_end();
        let separated = |separator: u8| {
            let names: Vec<String> = line.split(char::from(separator)).map(bare).collect();
            let column = |name: &str| names.iter().position(|n| n == name);
            let (object, image) = (column("object"), column("image"));
            let visa = object.and(image); // VisA's names, taken for a table only together
            let image = column("image_path").or(visa)?;
            let mask = column("mask_path").or_else(|| visa.and(column("mask")));
            Some((separator, names, image, mask, object.filter(|_| visa.is_some())))
        };
        let Some((separator, names, image, mask, object)) = [b',', b';', b'\t'].into_iter().find_map(separated) else {
            return Ok(None);
        };
        let column = |name: &str| names.iter().position(|n| n == name);
        let (Some(label), split) = (column("label"), column("split")) else { return fail(path, COLUMNS) };
        let used = [Some(image), Some(label), split, mask, object];
        let of = |i: &usize| names.get(*i).map(String::as_str).unwrap_or_default();
        if let Some(twice) = used.iter().flatten().map(of).find(|n| names.iter().filter(|m| m == n).count() > 1) {
            return fail(path, &format!("its first line names the column {twice} more than once; remove one"));
        }
        let unused = (0..names.len())
            .filter(|i| !used.contains(&Some(*i)))
            .map(|i| Some(plain(of(&i))).filter(|n| !n.is_empty()).unwrap_or_else(|| "(unnamed)".into()))
            .collect();
        let folder = folder_of(path);
        let above = folder.file_name().is_some_and(|n| n == "split_csv") && object.is_some();
        let up = folder_of(folder);
        let root = if above { up } else { folder }.to_path_buf();
        Ok(Some(Table { path: path.into(), root, separator, image, label, split, mask, object, unused }))
    }

    /// VisA's table beside the folder of one of its objects, and the object's name; or in the folder itself.
    ///
    /// # Errors
    /// [`Error::Input`] as [`Table::of`], and for a folder of several objects, with their names.
    pub fn visa(folder: &Path) -> Result<Option<(Table, String)>> {
        let inside = folder.join(VISA);
        if inside.is_file() {
            return Table::of(&inside)?.map_or(Ok(None), |t| t.objects().and_then(|objects| t.several(&objects)));
        }
        let Ok(whole) = std::fs::canonicalize(folder) else { return Ok(None) };
        let name = name_of(&whole);
        let Some(beside) = whole.parent().map(|p| p.join(VISA)).filter(|p| p.is_file()) else { return Ok(None) };
        let Some(table) = Table::of(&beside)? else { return Ok(None) };
        Ok(table.objects()?.contains(&name).then_some((table, name)))
    }

    fn several<T>(&self, objects: &BTreeSet<String>) -> Result<T> {
        let names = objects.iter().map(|o| plain(o)).collect::<Vec<_>>().join(", ");
        let first = objects.first().map(|o| shown(&self.root.join(o))).unwrap_or_default();
        let several = if objects.len() == 1 { "one object" } else { "several objects" };
        fail(&self.path, &format!("is about {several}: {names}; give the folder of one, such as {first}"))
    }

    fn reader(&self) -> Result<csv::Reader<File>> {
        let mut builder = csv::ReaderBuilder::new();
        builder.delimiter(self.separator).trim(csv::Trim::All).from_path(&self.path).map_err(|e| self.wrong(&e))
    }

    fn wrong(&self, e: &csv::Error) -> Error {
        let advice = match e.kind() {
            csv::ErrorKind::Utf8 { .. } => "; save it as UTF-8",
            csv::ErrorKind::UnequalLengths { .. } => {
                "; give every line as many columns as the first, and close every quote"
            }
            _ => "",
        };
        Error::Input(format!("{}: {}{advice}", shown(&self.path), plain(&e.to_string())))
    }

    fn objects(&self) -> Result<BTreeSet<String>> {
        let mut objects = BTreeSet::new();
        for row in self.reader()?.records() {
            let row = row.map_err(|e| self.wrong(&e))?;
            objects.extend(self.object.and_then(|c| row.get(c)).map(str::to_string));
        }
        Ok(objects)
    }

    /// The rows, of one object if it is named.
    ///
    /// # Errors
    /// [`Error::Input`] naming the line and what is wrong with it; for a table of several objects if none is named.
    pub fn read(&self, object: Option<&str>, faults: &Faults) -> Result<Found> {
        let (mut train, mut test, mut validation) = (vec![], vec![], vec![]);
        for (line, sample, split) in self.rows(object, faults)? {
            match split {
                None if sample.label == GOOD => train.push(sample),
                Some(TRAIN) if sample.label == GOOD => train.push(sample),
                Some(TRAIN) => {
                    let (name, good) = (plain(&sample.name), goods());
                    let what = format!("{name} is not good, so it cannot be fitted on; the labels 0, {good} mean good");
                    let refused = self.line::<()>(line, &what);
                    refused.or_else(|e| faults.row(Wrong::DefectiveTrain, &self.path, e))?;
                    train.push(sample);
                }
                Some(VALIDATION) => validation.push(sample),
                _ => test.push(sample),
            }
        }
        let notes = self.notes();
        Ok(Found { layout: Layout::Csv, train, test, validation, notes })
    }

    /// The rows, whatever their labels: those of the splits `test` and `validation` apart, all others to fit on.
    ///
    /// # Errors
    /// As [`Table::read`].
    pub fn classes(&self, faults: &Faults) -> Result<Found> {
        let (mut train, mut test, mut validation) = (vec![], vec![], vec![]);
        for (_, sample, split) in self.rows(None, faults)? {
            match split {
                Some(TEST) => test.push(sample),
                Some(VALIDATION) => validation.push(sample),
                _ => train.push(sample),
            }
        }
        Ok(Found { layout: Layout::Csv, train, test, validation, notes: self.unused() })
    }

    /// The rows in their order.
    fn rows(&self, object: Option<&str>, faults: &Faults) -> Result<Vec<Row>> {
        let objects = if self.object.is_some() && object.is_none() { self.objects()? } else { BTreeSet::new() };
        if objects.len() > 1 {
            return self.several(&objects);
        }
        let (mut rows, mut files) = (vec![], Files::default());
        for row in self.reader()?.records() {
            let row = row.map_err(|e| self.wrong(&e)).and_then(|row| self.row(&row, object, &mut files));
            match row {
                Ok(row) => rows.extend(row),
                Err(e) => faults.row(Wrong::Row, &self.path, e)?,
            }
        }
        let own = |s: &Sample| s.mask.as_deref().is_some_and(|m| files.pictures.contains_key(&whole(m)));
        for (_, sample, _) in rows.iter_mut().filter(|row| own(&row.1)) {
            let name = plain(&sample.name);
            let what = format!("the mask of {name} is a picture of the table itself; name its mask");
            faults.at(Wrong::Row, &self.path, &what)?;
            sample.mask = None;
        }
        Ok(rows)
    }

    /// What a record says; `None` for one of another object.
    fn row(&self, row: &csv::StringRecord, object: Option<&str>, files: &mut Files) -> Result<Option<Row>> {
        let line = row.position().map_or(0, csv::Position::byte);
        let get = |column: Option<usize>| column.and_then(|c| row.get(c)).unwrap_or_default();
        if object.is_some_and(|o| o != get(self.object)) {
            return Ok(None);
        }
        let sample = self.sample(line, &get)?;
        self.once(line, &sample, files)?;
        let split = match self.split.map(|c| get(Some(c)).to_ascii_lowercase()).as_deref() {
            None => None,
            Some(TRAIN) => Some(TRAIN),
            Some(TEST) => Some(TEST),
            Some(other) if layouts::VALIDATION.contains(&other) => Some(VALIDATION),
            Some(_) => {
                let split = get(self.split);
                return self.line(line, &format!("split is {split:?}, expected train, validation or test"));
            }
        };
        Ok(Some((line, sample, split)))
    }

    /// What is to be said of the columns.
    fn notes(&self) -> Vec<String> {
        let table = shown(&self.path);
        let no_split =
            format!("note: {table} has no column `split`: good pictures are for fitting, others for testing");
        self.split.is_none().then_some(no_split).into_iter().chain(self.unused()).collect()
    }

    /// What is to be said of columns that are not used.
    fn unused(&self) -> Vec<String> {
        let (table, names) = (shown(&self.path), self.unused.join(", "));
        let told = !self.unused.is_empty() && self.object.is_none();
        told.then(|| format!("note: columns of {table} that are not used: {names}")).into_iter().collect()
    }

    /// Takes the files of a line, which no other line may have taken.
    fn once(&self, at: u64, sample: &Sample, files: &mut Files) -> Result<()> {
        let name = plain(&sample.name);
        if let Some(before) = files.pictures.insert(whole(&sample.path), at) {
            let before = self.number(before);
            return self
                .line(at, &format!("{name} occurs twice: line {before} names the same file; remove one of them"));
        }
        let mask = sample.mask.as_deref().filter(|_| sample.label != GOOD);
        match mask.and_then(|mask| files.masks.insert(whole(mask), at)) {
            Some(before) => {
                let before = self.number(before);
                self.line(at, &format!("the mask of {name} is also that of the picture in line {before}; correct one"))
            }
            None => Ok(()),
        }
    }

    /// The number of the line that a row begins in, by the bytes before it; lines without content may lie between.
    fn number(&self, at: u64) -> usize {
        let text = std::fs::read(&self.path).unwrap_or_default();
        let (before, rest) = text.split_at_checked(at as usize).unwrap_or_default();
        let empty = rest.iter().take_while(|b| b"\r\n".contains(b));
        1 + before.iter().chain(empty).filter(|b| **b == b'\n').count()
    }

    /// What is wrong with the row that begins after so many bytes.
    fn line<T>(&self, at: u64, what: &str) -> Result<T> {
        fail(&self.path, &format!("line {}: {what}", self.number(at)))
    }

    /// The picture of a line.
    fn sample<'r>(&self, line: u64, get: &impl Fn(Option<usize>) -> &'r str) -> Result<Sample> {
        let written = |column: Option<usize>| get(column).replace('\\', "/");
        let file = |name: &str| match self.root.join(name) {
            file if file.is_file() => Ok(file),
            _ if name.is_empty() => self.line(line, "names no picture"),
            file if file.is_dir() => self.line(line, &format!("{} is a folder; name a file", plain(name))),
            _ => self.line(line, &format!("{} does not exist", plain(name))),
        };
        let (image, mask) = (written(Some(self.image)), written(self.mask));
        let mask = Some(mask).filter(|m| !m.is_empty()).map(|m| file(&m)).transpose()?;
        let label = in_table(get(Some(self.label)));
        if label.is_empty() {
            return self.line(line, "has no label");
        }
        let Some(name) = name_in(&self.root, &image) else {
            let image = plain(&image);
            return self.line(line, &format!("{image} is outside the table's folder; give it relative to the table"));
        };
        let path = file(&image)?;
        Ok(Sample { path, name, label, mask })
    }
}

/// Files that rows named, with where their row begins.
#[derive(Default)]
struct Files {
    pictures: BTreeMap<PathBuf, u64>,
    masks: BTreeMap<PathBuf, u64>,
}

/// A path without links and steps upwards.
fn whole(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.into())
}
/// The name of a column.
fn bare(text: &str) -> String {
    text.trim().trim_matches('"').trim().to_ascii_lowercase()
}

/// What a picture of a table is called: its path below the table's folder, without steps upwards, since results are written under that
/// name and a model must not reveal where on a disk it was fitted. `None` for an absolute path elsewhere.
fn name_in(root: &Path, written: &str) -> Option<String> {
    let path = Path::new(written);
    let roots = [Some(root.into()), std::path::absolute(root).ok(), std::fs::canonicalize(root).ok()];
    let below = |path: &Path| roots.iter().flatten().find_map(|r| path.strip_prefix(r).ok().map(Path::to_path_buf));
    let path = if path.is_absolute() { below(path).or_else(|| below(&whole(path)))? } else { path.into() };
    let mut names = vec![];
    for part in path.components() {
        match part {
            Component::Normal(name) => names.push(name.to_string_lossy()),
            Component::ParentDir => drop(names.pop()),
            _ => {}
        }
    }
    Some(names.join("/"))
}
