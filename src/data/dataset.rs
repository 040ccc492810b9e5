//! Data sets on disk: MVTec AD's layout, plain folders, folders of pictures only, and tables.

use crate::error::{self, Error, Result, shown};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// One picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Its file.
    pub path: PathBuf,
    /// Path relative to the data set's folder, `/` between its parts.
    pub name: String,
    /// `good`, or the kind of defect.
    pub label: String,
    /// Its ground truth, if there is one.
    pub mask: Option<PathBuf>,
}

impl Sample {
    /// The files that are read of it.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(self.path.as_path()).chain(self.mask.as_deref())
    }
}

/// How a data set is laid out on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// `train/good`, `test/*`, `ground_truth/*`.
    Mvtec,
    /// `good/`, and a folder for each kind of defect.
    Plain,
    /// Pictures directly in the folder, all of them good.
    Flat,
    /// `image_path,label,split,mask_path`.
    Csv,
}

/// Pictures to fit on and to test on, each in bytewise order of their names.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// Where it is.
    pub root: PathBuf,
    /// Its layout.
    pub layout: Layout,
    /// Good pictures to fit on.
    pub train: Vec<Sample>,
    /// Pictures to test on.
    pub test: Vec<Sample>,
}

/// The label of a picture without defect.
pub const GOOD: &str = "good";

const EXTENSIONS: [&str; 8] = ["png", "jpg", "jpeg", "bmp", "tif", "tiff", "webp", "jfif"];

const EXPECTED: &str = "expected train/good and test/*, or good/ and a folder for each kind of defect, or pictures directly in it, \
                        or a .csv with image_path,label,split,mask_path";

fn fail<T>(path: &Path, what: &str) -> Result<T> {
    Err(Error::Input(error::plain(&format!("{}: {what}", path.display()))))
}

/// Entries of a folder in bytewise order, hidden ones left out.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let wrong = |e: std::io::Error| Error::Input(format!("{}: cannot be read: {e}", shown(folder)));
    let mut found = vec![];
    for entry in fs::read_dir(folder).map_err(wrong)? {
        let entry = entry.map_err(wrong)?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

fn is_picture(path: &Path) -> bool {
    let extension = path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase);
    path.is_file() && extension.is_some_and(|e| EXTENSIONS.contains(&e.as_str()))
}

fn relative(path: &Path, root: &Path) -> String {
    let inner = path.strip_prefix(root).unwrap_or(path);
    inner.components().map(|c| c.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

/// Pictures of a folder, under one label.
fn samples(folder: &Path, root: &Path, label: &str) -> Result<Vec<Sample>> {
    let sample = |path: PathBuf| Sample { name: relative(&path, root), path, label: label.into(), mask: None };
    Ok(entries(folder)?.into_iter().filter(|p| is_picture(p)).map(sample).collect())
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Gives pictures of `label` their masks from `folder`: `X_mask.png`, else any `X.*`.
fn with_masks(samples: &mut [Sample], folder: &Path) -> Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    for mask in entries(folder)?.into_iter().filter(|p| is_picture(p)) {
        let stem = mask.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        let wanted = stem.strip_suffix("_mask").unwrap_or(&stem);
        let stem_of = |s: &Sample| s.path.file_stem().map(|s| s.to_string_lossy().into_owned());
        match samples.iter_mut().find(|s| stem_of(s).is_some_and(|n| n == wanted || n == stem)) {
            Some(sample) => sample.mask = Some(mask),
            None => return fail(&mask, "is a mask without a matching picture; remove it or add its picture"),
        }
    }
    Ok(())
}

impl Dataset {
    /// Reads a folder or a table, by the first layout that fits.
    ///
    /// # Errors
    /// [`Error::Input`] saying what was expected and what is wrong, or that there is no good picture.
    pub fn open(path: &Path) -> Result<Dataset> {
        if !path.exists() {
            return fail(path, "does not exist");
        }
        let csv = |p: &Path| p.extension().is_some_and(|e| e.eq_ignore_ascii_case("csv"));
        if path.is_file() {
            return if csv(path) { table(path) } else { fail(path, &format!("not a folder or a table; {EXPECTED}")) };
        }
        let set = if path.join("train/good").is_dir() {
            mvtec(path)?
        } else if path.join(GOOD).is_dir() {
            plain(path)?
        } else {
            let inside = entries(path)?;
            match inside.iter().filter(|p| csv(p)).collect::<Vec<_>>()[..] {
                [one] => return table(one),
                _ => {
                    Dataset { root: path.into(), layout: Layout::Flat, train: samples(path, path, GOOD)?, test: vec![] }
                }
            }
        };
        set.checked()
    }

    fn checked(mut self) -> Result<Dataset> {
        for list in [&mut self.train, &mut self.test] {
            list.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
        }
        let mut seen = BTreeSet::new();
        if let Some(twice) = self.train.iter().chain(&self.test).find(|s| !seen.insert(s.name.clone())) {
            return fail(&self.root, &format!("{} occurs twice", twice.name));
        }
        if self.train.is_empty() {
            let found: Vec<String> = if self.root.is_dir() {
                entries(&self.root)?.iter().map(|p| name_of(p)).take(5).collect()
            } else {
                vec![]
            };
            let found = if found.is_empty() { "nothing".into() } else { found.join(", ") };
            return fail(&self.root, &format!("has no good pictures to fit on; {EXPECTED}; found {found}"));
        }
        Ok(self)
    }

    /// Keeps every `every`-th good picture aside for testing if the data set has none of its own; 0 keeps none.
    pub fn split(mut self, every: usize) -> Dataset {
        if self.test.iter().any(good) || every == 0 {
            return self;
        }
        let (aside, train) = self.train.into_iter().enumerate().partition(|(i, _)| i % every == every - 1);
        let list = |part: Vec<(usize, Sample)>| part.into_iter().map(|p| p.1).collect::<Vec<_>>();
        self.train = list(train);
        self.test.extend(list(aside));
        self.test.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
        self
    }
}

/// Whether a picture has no defect.
pub fn good(sample: &Sample) -> bool {
    sample.label == GOOD
}

fn mvtec(root: &Path) -> Result<Dataset> {
    let train = samples(&root.join("train/good"), root, GOOD)?;
    let mut test = vec![];
    let folder = root.join("test");
    let kinds = if folder.is_dir() { entries(&folder)? } else { vec![] };
    for kind in kinds.iter().filter(|p| p.is_dir()) {
        let label = name_of(kind);
        let mut found = samples(kind, root, &label)?;
        if label != GOOD {
            with_masks(&mut found, &root.join("ground_truth").join(&label))?;
        }
        test.extend(found);
    }
    Ok(Dataset { root: root.into(), layout: Layout::Mvtec, train, test })
}

fn plain(root: &Path) -> Result<Dataset> {
    const MASKS: [&str; 2] = ["ground_truth", "masks"];
    let train = samples(&root.join(GOOD), root, GOOD)?;
    let mut test = vec![];
    for kind in entries(root)?.iter().filter(|p| p.is_dir()) {
        let label = name_of(kind);
        if label == GOOD || MASKS.contains(&label.as_str()) {
            continue;
        }
        let mut found = samples(kind, root, &label)?;
        for masks in MASKS {
            with_masks(&mut found, &root.join(masks).join(&label))?;
        }
        test.extend(found);
    }
    Ok(Dataset { root: root.into(), layout: Layout::Plain, train, test })
}

fn table(path: &Path) -> Result<Dataset> {
    let root = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let wrong = |e: csv::Error| Error::Input(format!("{}: {e}", shown(path)));
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(path).map_err(wrong)?;
    let header = reader.headers().map_err(wrong)?.clone();
    let column = |name: &str| header.iter().position(|h| h == name);
    let (Some(image), Some(label), Some(split)) = (column("image_path"), column("label"), column("split")) else {
        return fail(path, "its first line must name image_path, label and split (and optionally mask_path)");
    };
    let (mut train, mut test) = (vec![], vec![]);
    for (i, row) in reader.records().enumerate() {
        let row = row.map_err(wrong)?;
        let line = i + 2;
        let get = |c: usize| row.get(c).unwrap_or_default();
        let file = |name: &str| {
            let file = root.join(name);
            if file.is_file() { Ok(file) } else { fail(path, &format!("line {line}: {name} does not exist")) }
        };
        let written = get(image).replace('\\', "/");
        let label = if ["good", "normal", "0"].contains(&get(label)) { GOOD.into() } else { get(label).to_string() };
        let mask = column("mask_path").map(get).filter(|m| !m.is_empty()).map(&file).transpose()?;
        let Some(name) = name_in(root, &written) else {
            return fail(
                path,
                &format!("line {line}: {written} is outside the table's folder; give it relative to the table"),
            );
        };
        let sample = Sample { path: file(&written)?, name, label, mask };
        match get(split) {
            "train" if good(&sample) => train.push(sample),
            "train" => {
                return fail(path, &format!("line {line}: {} is not good, so it cannot be fitted on", sample.name));
            }
            "test" => test.push(sample),
            other => return fail(path, &format!("line {line}: split is {other:?}, expected train or test")),
        }
    }
    Dataset { root: root.into(), layout: Layout::Csv, train, test }.checked()
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

/// Pictures given one by one, and those below folders, in bytewise order.
///
/// # Errors
/// [`Error::Input`] for what does not exist and for a folder without pictures.
pub fn pictures(paths: &[PathBuf]) -> Result<Vec<Sample>> {
    let mut found = vec![];
    for path in paths {
        if !path.is_dir() {
            let sample = Sample { path: path.clone(), name: name_of(path), label: String::new(), mask: None };
            found.push(sample);
            continue;
        }
        let (before, mut open) = (found.len(), vec![path.clone()]);
        while let Some(folder) = open.pop() {
            found.extend(samples(&folder, path, "")?);
            open.extend(entries(&folder)?.into_iter().filter(|p| p.is_dir() && !p.is_symlink()));
        }
        if found.len() == before {
            return fail(path, "has no pictures (png, jpg, jpeg, bmp, tif, tiff, webp)");
        }
        if let Some(new) = found.get_mut(before..) {
            new.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
        }
    }
    Ok(found)
}
