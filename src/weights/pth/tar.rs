//! The oldest container of PyTorch, a tar with four members: storages, views of them, tensors, and the object that names the tensors.

use super::globals::Meaning;
use super::legacy::{Reader, Storages};
use super::node::{Pickle, PickleNode};
use super::pickle::{Rules, load};
use super::view::{StoragePart, View, width};
use ::safetensors::Dtype;
use std::collections::BTreeMap;

const BLOCK: usize = 512;

/// The object, the tensors that its references name, and their storages.
pub struct TarContents<'a> {
    /// The object.
    pub object: Pickle<'a>,
    /// Tensors by key.
    pub tensors: BTreeMap<String, View>,
    /// Storages by key.
    pub storages: Storages<'a>,
}

/// Reads the archive.
pub fn read(bytes: &[u8], rules: Rules) -> Result<TarContents<'_>, String> {
    let members = members(bytes)?;
    let member = |name: &str| members.get(name).copied().ok_or_else(|| format!("member {name} is missing"));
    let (storages, parts) = storages(&mut Reader::new(member("storages")?, rules))?;
    let tensors = tensors(&mut Reader::new(member("tensors")?, rules), &parts)?;
    let object = load(member("pickle")?, rules).map_err(|e| format!("member pickle: {e}"))?;
    Ok(TarContents { object, tensors, storages })
}

fn members(bytes: &[u8]) -> Result<BTreeMap<&str, &[u8]>, String> {
    let (mut found, mut rest) = (BTreeMap::new(), bytes);
    while let Some((head, after)) = rest.split_at_checked(BLOCK) {
        if head.iter().all(|&b| b == 0) {
            break;
        }
        let name = text(head, 0, 100).ok_or("a member's name is not text")?;
        let own = octal(head, 148, 8).ok_or_else(|| format!("member {name} has no checksum"))?;
        let sum: u64 =
            head.iter().enumerate().map(|(i, &b)| if (148..156).contains(&i) { 32 } else { u64::from(b) }).sum();
        if own != sum {
            return Err(format!("the header of member {name} is damaged"));
        }
        let size = octal(head, 124, 12).and_then(|s| usize::try_from(s).ok());
        let size = size.ok_or_else(|| format!("member {name} has no valid length"))?;
        let data = after.get(..size);
        let data = data.ok_or_else(|| {
            format!("member {name} should have {size} bytes, but only {} are left in the file", after.len())
        })?;
        let name = name.strip_prefix("./").unwrap_or(name);
        if name.starts_with('/') || name.split('/').any(|p| p == "..") {
            return Err(format!("member \"{name}\" has a name that leaves the archive"));
        }
        let file = matches!(head.get(156), Some(b'0' | 0));
        if file && found.insert(name, data).is_some() {
            return Err(format!("two members are called {name}"));
        }
        rest = after.get(size.next_multiple_of(BLOCK)..).unwrap_or_default();
    }
    Ok(found)
}

fn text(head: &[u8], at: usize, length: usize) -> Option<&str> {
    let field = head.get(at..at + length)?;
    let end = field.iter().position(|&b| b == 0).unwrap_or(length);
    std::str::from_utf8(field.get(..end)?).ok()
}

fn octal(head: &[u8], at: usize, length: usize) -> Option<u64> {
    u64::from_str_radix(text(head, at, length)?.trim_matches(' '), 8).ok()
}

/// How many follow, as a pickle.
fn count(reader: &mut Reader, what: &str) -> Result<u64, String> {
    let pickle = reader.pickle(what)?;
    pickle.number(pickle.root).ok_or_else(|| format!("{what} do not begin with their count"))
}

type StorageParts = BTreeMap<String, StoragePart>;

fn storages<'a>(reader: &mut Reader<'a>) -> Result<(Storages<'a>, StorageParts), String> {
    let (mut found, mut parts) = (Storages::new(), StorageParts::new());
    // Each one takes bytes of the member, so a false count ends at the member's end.
    for _ in 0..count(reader, "storages")? {
        let head = reader.pickle("a storage")?;
        let (key, dtype) = storage_head(&head).ok_or("a storage is described in an unknown way")?;
        let width = width(dtype);
        let elements = reader.long().ok().and_then(|n| u64::try_from(n).ok()).and_then(|n| n.checked_mul(width));
        let whole = elements.ok_or_else(|| format!("storage {key} has no valid number of elements"))?;
        let missing = |n: u64| format!("storage {key} is cut off: {n} bytes are missing");
        let data = reader.bytes(whole).map_err(missing)?;
        let part = StoragePart { key: key.clone(), dtype, whole, from: 0, bytes: whole };
        if found.insert(key.clone(), data).is_some() {
            return Err(format!("two storages are called {key}"));
        }
        parts.insert(key, part);
    }
    let views = reader.pickle("the views of storages")?;
    for &id in views.items(views.root).ok_or("the views of storages are not a list")? {
        let (key, part) = storage_view(&views, id, &parts).ok_or("a view of a storage lies outside it")?;
        parts.insert(key, part);
    }
    Ok((found, parts))
}

fn storage_head(pickle: &Pickle) -> Option<(String, Dtype)> {
    let &[key, _location, class, ..] = pickle.items(pickle.root)? else { return None };
    let Some(Meaning::Storage(dtype)) = pickle.kind(class) else { return None };
    Some((pickle.key(key)?, dtype))
}

/// `(key, root, offset, numel)`: a part of a storage under a key of its own.
fn storage_view(pickle: &Pickle, id: u32, parts: &StorageParts) -> Option<(String, StoragePart)> {
    let &[key, root, offset, size, ..] = pickle.items(id)? else { return None };
    let root = parts.get(&pickle.key(root)?)?;
    let times = |id| pickle.number(id)?.checked_mul(width(root.dtype));
    let (from, bytes) = (root.from.checked_add(times(offset)?)?, times(size)?);
    let inside = from.checked_add(bytes)? <= root.from + root.bytes;
    inside.then(|| Some((pickle.key(key)?, StoragePart { from, bytes, ..root.clone() })))?
}

fn tensors(reader: &mut Reader, parts: &StorageParts) -> Result<BTreeMap<String, View>, String> {
    let mut found = BTreeMap::new();
    for _ in 0..count(reader, "tensors")? {
        let head = reader.pickle("a tensor")?;
        let keys = match head.items(head.root) {
            Some(&[key, storage, _class, ..]) => head.key(key).zip(head.key(storage)),
            _ => None,
        };
        let (key, storage) = keys.ok_or("a tensor is described in an unknown way")?;
        let part =
            parts.get(&storage).ok_or_else(|| format!("tensor {key} uses storage {storage}, which is missing"))?;
        let view = window(reader, part).map_err(|e| format!("tensor {key}: {e}"))?;
        if found.insert(key.clone(), view).is_some() {
            return Err(format!("two tensors have the key {key}"));
        }
    }
    Ok(found)
}

/// Number of axes, four unused bytes, sizes, strides, offset.
fn window(reader: &mut Reader, part: &StoragePart) -> Result<View, String> {
    let cut = |_| "is cut off".to_string();
    let axes = reader.bytes(8).map_err(cut)?.first_chunk::<4>().copied().unwrap_or_default();
    let axes = u64::from(u32::from_le_bytes(axes));
    let mut list = |n: u64| {
        let bytes = reader.bytes(n * 8).map_err(cut)?;
        let numbers = bytes.as_chunks::<8>().0.iter().map(|b| u64::try_from(i64::from_le_bytes(*b)).ok());
        numbers.collect::<Option<Vec<u64>>>().ok_or_else(|| "has negative sizes or strides".to_string())
    };
    let (sizes, strides, offset) = (list(axes)?, list(axes)?, list(1)?);
    View::new(part.clone(), None, sizes, strides, offset.first().copied().unwrap_or(0))
}

/// The tensor that a reference of the object names.
pub fn named<'t>(contents: &'t TarContents, id: u32) -> Option<&'t View> {
    let PickleNode::Persistent(inner) = contents.object.node(id) else { return None };
    contents.tensors.get(&contents.object.key(*inner)?)
}
