//! Tables of pictures: which file is one, and what its rows say.

use super::labels::{GOOD, goods, in_table};
use super::layouts::Found;
use super::listing::name_of;
use super::{Layout, Sample, fail};
use crate::error::{Error, Result, plain};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Component, Path, PathBuf};

/// What a table's first line must name.
pub(super) const COLUMNS: &str =
    "its first line must name image_path and label (and optionally split and mask_path), separated by `,`, `;` or tabs";

/// No header is longer.
const HEADER: u64 = 1 << 16;

/// Where VisA keeps its tables, and the one that fits a model to good pictures alone.
const VISA: &str = "split_csv/1cls.csv";

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
        BufReader::new(file.take(HEADER)).read_until(b'\n', &mut line).map_err(unread)?;
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_start_matches('\u{feff}').trim_end();
        let separated = |separator: u8| {
            let names: Vec<String> = line.split(char::from(separator)).map(bare).collect();
            let column = |name: &str| names.iter().position(|n| n == name);
            let (object, image) = (column("object"), column("image"));
            let visa = object.and(image); // VisA's names, taken for a table only together
            let image = column("image_path").or(visa)?;
            let mask = column("mask_path").or_else(|| visa.and(column("mask")));
            Some((separator, image, column("label"), column("split"), mask, object.filter(|_| visa.is_some())))
        };
        let Some((separator, image, label, split, mask, object)) = [b',', b';', b'\t'].into_iter().find_map(separated)
        else {
            return Ok(None);
        };
        let Some(label) = label else { return fail(path, COLUMNS) };
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let above = folder.file_name().is_some_and(|n| n == "split_csv") && object.is_some();
        let up = folder.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let root = if above { up } else { folder }.to_path_buf();
        Ok(Some(Table { path: path.into(), root, separator, image, label, split, mask, object }))
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
        fail(&self.path, &format!("is about several objects: {names}; give the folder of one, such as {first}"))
    }

    fn reader(&self) -> Result<csv::Reader<File>> {
        let mut builder = csv::ReaderBuilder::new();
        builder.delimiter(self.separator).trim(csv::Trim::All).from_path(&self.path).map_err(|e| self.wrong(&e))
    }

    fn wrong(&self, e: &csv::Error) -> Error {
        Error::Input(format!("{}: {}", shown(&self.path), plain(&e.to_string())))
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
    pub fn read(&self, object: Option<&str>) -> Result<Found> {
        let objects = if self.object.is_some() && object.is_none() { self.objects()? } else { BTreeSet::new() };
        if objects.len() > 1 {
            return self.several(&objects);
        }
        let mut notes = vec![];
        if self.split.is_none() {
            let table = shown(&self.path);
            notes.push(format!(
                "note: {table} has no column `split`: good pictures are for fitting, others for testing"
            ));
        }
        let (mut train, mut test) = (vec![], vec![]);
        for (i, row) in self.reader()?.records().enumerate() {
            let (row, line) = (row.map_err(|e| self.wrong(&e))?, i + 2);
            let get = |column: Option<usize>| column.and_then(|c| row.get(c)).unwrap_or_default();
            if object.is_some_and(|o| o != get(self.object)) {
                continue;
            }
            let sample = self.sample(line, &get)?;
            match self.split.map(|c| get(Some(c)).to_ascii_lowercase()).as_deref() {
                None if sample.label == GOOD => train.push(sample),
                Some("train") if sample.label == GOOD => train.push(sample),
                Some("train") => {
                    let (name, good) = (plain(&sample.name), goods());
                    let what = format!("{name} is not good, so it cannot be fitted on; the labels 0, {good} mean good");
                    return self.line(line, &what);
                }
                None | Some("test") => test.push(sample),
                Some(_) => {
                    let split = get(self.split);
                    return self.line(line, &format!("split is {split:?}, expected train or test"));
                }
            }
        }
        Ok(Found { layout: Layout::Csv, train, test, notes })
    }

    fn line<T>(&self, line: usize, what: &str) -> Result<T> {
        fail(&self.path, &format!("line {line}: {what}"))
    }

    /// The picture of a line.
    fn sample<'r>(&self, line: usize, get: &impl Fn(Option<usize>) -> &'r str) -> Result<Sample> {
        let written = |column: Option<usize>| get(column).replace('\\', "/");
        let file = |name: &str| match self.root.join(name) {
            file if file.is_file() => Ok(file),
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

fn shown(path: &Path) -> String {
    plain(&path.display().to_string())
}

/// The name of a column.
fn bare(text: &str) -> String {
    text.trim().trim_matches('"').trim().to_ascii_lowercase()
}

/// What a picture of a table is called: its path below the table's folder, without steps upwards, since results are written under that
/// name and a model must not reveal where on a disk it was fitted. `None` for an absolute path elsewhere.
fn name_in(root: &Path, written: &str) -> Option<String> {
    let path = Path::new(written);
    let below = if path.is_absolute() { path.strip_prefix(root).ok()? } else { path };
    let names = below.components().filter_map(|c| match c {
        Component::Normal(name) => Some(name.to_string_lossy()),
        _ => None,
    });
    Some(names.collect::<Vec<_>>().join("/"))
}
