//! Checkpoints that `torch.save` wrote, read without Python: archives, streams and tars. Nothing in them is executed or looked up;
//! files are not trusted. What a name may mean is a closed table (`globals.rs`), and lengths are checked before memory is allocated.

mod budget;
mod globals;
mod legacy;
mod module;
mod node;
mod opcodes;
mod pickle;
mod tar;
mod tree;
pub mod values;
mod view;
mod zip;

use crate::error::{Error, Result};
use crate::weights::contents::{Contents, Left, Raw, ReadOptions, left_text};
use crate::weights::kinds;
use budget::Budget;
use node::{Id, Pickle};
use pickle::Rules;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use tree::Tree;
use view::{View, width};

/// PyTorch's containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// A zip archive, since version 1.6.
    Zip,
    /// A stream of pickles and storages.
    Stream,
    /// A tar, before 2018.
    Tar,
}

/// The container that these bytes look like.
pub fn container(bytes: &[u8]) -> Option<Container> {
    match bytes {
        // A safetensors file whose header is 640 bytes long begins like a pickle.
        [_, _, _, _, _, _, _, _, b'{', ..] => None,
        [b'P', b'K', 3 | 5, 4 | 6, ..] => Some(Container::Zip),
        [0x80, 2..=5, ..] => Some(Container::Stream),
        _ if bytes.get(257..262) == Some(b"ustar") => Some(Container::Tar),
        _ => None,
    }
}

/// The tensors of a checkpoint by name; `origin` is what messages call the file.
///
/// # Errors
/// [`Error::Weights`] with what is wrong and where.
pub fn read<'a>(bytes: &'a [u8], container: Container, origin: &str, options: &ReadOptions) -> Result<Contents<'a>> {
    let contents = match container {
        Container::Zip => read_zip(bytes, options),
        Container::Stream => read_stream(bytes, options),
        Container::Tar => read_tar(bytes, options),
    };
    let why = |e: String| module::found(bytes, container).map_or(e, |whole| whole.advice(origin));
    contents.map_err(|e| Error::Weights(vec![format!("{origin}: {}", why(e))]))
}

/// Weights files in a zip archive that is no checkpoint itself.
#[derive(Debug)]
pub struct Inside<'a> {
    archive: zip::Archive<'a>,
    bytes: usize,
}

impl<'a> Inside<'a> {
    /// Those of an archive; `None` for anything else.
    pub fn of(bytes: &'a [u8]) -> Option<Inside<'a>> {
        let archive = (container(bytes) == Some(Container::Zip)).then(|| zip::Archive::open(bytes).ok()).flatten()?;
        let checkpoint = archive.names().any(|n| n == "data.pkl" || n.ends_with("/data.pkl"));
        let inside = Inside { archive, bytes: bytes.len() };
        (!checkpoint && inside.names().next().is_some()).then_some(inside)
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &'a str> {
        let weights = |name: &&str| [".pth", ".pt", ".safetensors"].iter().any(|end| name.ends_with(end));
        self.archive.names().filter(weights)
    }

    /// One of them, unpacked; `origin` is what messages call the archive.
    ///
    /// # Errors
    /// [`Error::Weights`] for one that is damaged, or that would take too much memory.
    pub fn read(&self, name: &str, origin: &str) -> Result<Cow<'a, [u8]>> {
        let read = self.archive.read(name, &mut Budget::new(self.bytes, None));
        read.map_err(|e| Error::Weights(vec![format!("{origin}: {e}")]))
    }
}

type Found<T> = std::result::Result<T, String>;

fn read_zip<'a>(bytes: &'a [u8], options: &ReadOptions) -> Found<Contents<'a>> {
    let archive = zip::Archive::open(bytes)?;
    let mut unpacked = Budget::new(bytes.len(), options.limit);
    let root = root(&archive)?;
    let big_endian = big_endian(&archive, root, &mut unpacked)?;
    let has = |start: &str| archive.names().any(|n| n.strip_prefix(root).is_some_and(|n| n.starts_with(start)));
    let rules =
        Rules { skip_unknown: options.skip_unknown, torchscript: has("code/") && has("constants.pkl"), bare: false };
    let text = record(&archive, "data.pkl", &mut unpacked)?;
    let pickle = pickle::load(&text, rules).map_err(|e| format!("record data.pkl: {e}"))?;
    // Before the budget is checked, so that a false statement about a storage is reported as one.
    let checked = |id| {
        let view = view::view(&pickle, id)?;
        if view.elements() > 0 { held(&archive, root, &view).map(|()| view) } else { Ok(view) }
    };
    let views = views(&pickle, bytes.len(), options, &|id| view::is_tensor(&pickle, id), &checked)?;
    let mut storages = BTreeMap::new();
    raws(views, options, |view| {
        let name = format!("{root}data/{}", view.part.key);
        let storage = match storages.entry(name.clone()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(free) => free.insert(archive.read(&name, &mut unpacked)?),
        };
        gather(view, storage, big_endian)
    })
}

/// The prefix of all records' names: the path of the object.
fn root<'a>(archive: &zip::Archive<'a>) -> Found<&'a str> {
    let mut objects = archive.names().filter(|n| *n == "data.pkl" || n.ends_with("/data.pkl"));
    let object = objects.next().ok_or_else(|| format!("is {}", kinds::of_archive(archive.names())))?;
    match objects.next() {
        Some(second) => Err(format!("contains two objects, {object} and {second}")),
        None => Ok(object.strip_suffix("data.pkl").unwrap_or_default()),
    }
}

/// A record of the object, unpacked.
fn record<'a>(archive: &zip::Archive<'a>, name: &str, budget: &mut Budget) -> Found<Cow<'a, [u8]>> {
    archive.read(&format!("{}{name}", root(archive)?), budget)
}

/// Old archives do not state it and are little-endian.
fn big_endian(archive: &zip::Archive, root: &str, budget: &mut Budget) -> Found<bool> {
    let name = format!("{root}byteorder");
    let order =
        if archive.size(&name).is_some() { archive.read(&name, budget)? } else { Cow::Borrowed(&b"little"[..]) };
    match order.trim_ascii() {
        b"little" => Ok(false),
        b"big" => Ok(true),
        _ => Err("record byteorder is neither little nor big".into()),
    }
}

/// A storage's record has as many bytes as the pickle says.
fn held(archive: &zip::Archive, root: &str, view: &View) -> Found<()> {
    let (name, whole) = (format!("data/{}", view.part.key), view.part.whole);
    match archive.size(&format!("{root}{name}")) {
        None => Err(format!("record {name} is missing")),
        Some(size) if size != whole => Err(format!("record {name} has {size} bytes, but {whole} are claimed")),
        Some(_) => Ok(()),
    }
}

fn read_stream<'a>(bytes: &'a [u8], options: &ReadOptions) -> Found<Contents<'a>> {
    let rules = Rules { skip_unknown: options.skip_unknown, ..Rules::default() };
    let (pickle, storages) = legacy::read(bytes, rules)?;
    let views =
        views(&pickle, bytes.len(), options, &|id| view::is_tensor(&pickle, id), &|id| view::view(&pickle, id))?;
    raws(views, options, |view| stored(view, &storages))
}

fn read_tar<'a>(bytes: &'a [u8], options: &ReadOptions) -> Found<Contents<'a>> {
    let rules = Rules { skip_unknown: options.skip_unknown, ..Rules::default() };
    let contents = tar::read(bytes, rules)?;
    let view = |id| tar::named(&contents, id).cloned().ok_or_else(|| "is missing".to_string());
    let views = views(&contents.object, bytes.len(), options, &|id| tar::named(&contents, id).is_some(), &view)?;
    raws(views, options, |view| stored(view, &contents.storages))
}

fn stored<'a>(view: &View, storages: &legacy::Storages<'a>) -> Found<Cow<'a, [u8]>> {
    let key = &view.part.key;
    let storage = storages.get(key).ok_or_else(|| format!("storage {key} is missing"))?;
    gather(view, &Cow::Borrowed(*storage), false)
}

/// A tensor's bytes: a part of the file if possible, else a copy.
fn gather<'a>(view: &View, storage: &Cow<'a, [u8]>, big_endian: bool) -> Found<Cow<'a, [u8]>> {
    match storage {
        Cow::Borrowed(bytes) => view.gather(bytes, big_endian),
        Cow::Owned(bytes) => view.gather(bytes, big_endian).map(|b| Cow::Owned(b.into_owned())),
    }
}

/// Tensors by name, the path to where they were found, and what is not among them.
struct Views {
    wrappers: String,
    views: Vec<(String, View)>,
    unreadable: BTreeMap<String, String>,
    left: Vec<Left>,
}

/// The tensors by name, and what stood before their names; all are checked and taken from the budget before the first is copied.
fn views(
    pickle: &Pickle,
    file: usize,
    options: &ReadOptions,
    tensor: &dyn Fn(Id) -> bool,
    view: &dyn Fn(Id) -> Found<View>,
) -> Found<Views> {
    let mut budget = Budget::new(file, options.limit);
    let mut tree = Tree::new(pickle, tensor);
    let unwrap = options.unwrap && !options.paths;
    let (root, wrappers) = if unwrap { tree.unwrapped(pickle.root)? } else { (pickle.root, String::new()) };
    let mut named = tree.named(root, &mut budget)?;
    let left = tree.left(root, &wrappers, &named)?;
    if named.is_empty() {
        return Err(nothing_named(&left));
    }
    named.retain(|name, _| options.only.is_none_or(|only| only.contains(name)));
    let (mut views, mut unreadable) = (vec![], BTreeMap::new());
    for (name, id) in named {
        let shown = name.escape_debug().to_string();
        match view::unsupported(pickle, id) {
            Some(what) if options.lenient => drop(unreadable.insert(name, what)),
            Some(what) => {
                let way = "`lupe weights convert --skip-unknown` leaves it out";
                return Err(format!("tensor {shown}: {what}; {way}"));
            }
            None => {
                let view = view(id).map_err(|e| format!("tensor {shown}: {e}"))?;
                let size = options.dtype.map_or(0, width).max(width(view.dtype));
                budget.take(view.elements().saturating_mul(size), &format!("tensor {shown}"))?;
                views.push((name, view));
            }
        }
    }
    Ok(Views { wrappers, views, unreadable, left })
}

fn nothing_named(left: &[Left]) -> String {
    match left_text(left).filter(|_| left.iter().any(|l| l.tensors > 0)) {
        Some(there) => format!("contains no named tensors, only {there}: save the network's state_dict()"),
        None => "contains no named tensors".into(),
    }
}

fn raws<'a>(
    found: Views,
    options: &ReadOptions,
    mut load: impl FnMut(&View) -> Found<Cow<'a, [u8]>>,
) -> Found<Contents<'a>> {
    let Views { wrappers, views, unreadable, left } = found;
    let mut found = BTreeMap::new();
    for (name, view) in views {
        let shown = name.escape_debug().to_string();
        let empty = options.outline || view.elements() == 0;
        let bytes = if empty { Ok(Cow::Borrowed(&[][..])) } else { load(&view) };
        let bytes = bytes.map_err(|e| format!("tensor {shown}: {e}"))?;
        let raw = Raw { dtype: view.dtype, shape: view.shape(), bytes };
        let short = name.strip_prefix("state_dict.").filter(|_| !options.paths).map(str::to_string).unwrap_or(name);
        if found.contains_key(&short) {
            return Err(format!("two tensors are called {}", short.escape_debug()));
        }
        found.insert(short, raw);
    }
    Ok(Contents { taken_off: wrappers, tensors: found, unreadable, left })
}
