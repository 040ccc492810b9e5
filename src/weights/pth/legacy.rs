//! The stream that PyTorch wrote before it wrote archives: five pickles, then the storages one after the other, little-endian on
//! every machine (its writer swaps on others).

use super::node::{Id, Pickle, PickleNode};
use super::pickle::{Rules, load};
use super::view;
use std::collections::{BTreeMap, BTreeSet};

/// 0x1950a86a20f9469cfc6c, little-endian.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// Storages of a stream by key.
pub type Storages<'a> = BTreeMap<String, &'a [u8]>;

/// A part of a file that is read from beginning to end.
pub struct Reader<'a> {
    rest: &'a [u8],
    rules: Rules,
}

impl<'a> Reader<'a> {
    /// From the beginning of these bytes.
    pub fn new(bytes: &'a [u8], rules: Rules) -> Reader<'a> {
        Reader { rest: bytes, rules }
    }

    /// The next pickle.
    pub fn pickle(&mut self, what: &str) -> Result<Pickle<'a>, String> {
        let pickle = load(self.rest, self.rules).map_err(|e| format!("{what}: {e}"))?;
        self.rest = self.rest.get(pickle.length..).unwrap_or_default();
        Ok(pickle)
    }

    /// The next bytes, or how many are missing.
    pub fn bytes(&mut self, length: u64) -> Result<&'a [u8], u64> {
        let missing = length.saturating_sub(self.rest.len() as u64);
        match usize::try_from(length).ok().and_then(|n| self.rest.split_at_checked(n)) {
            Some((part, rest)) => {
                self.rest = rest;
                Ok(part)
            }
            None => Err(missing),
        }
    }

    /// The next number of 64 bits.
    pub fn long(&mut self) -> Result<i64, u64> {
        self.bytes(8).map(|b| i64::from_le_bytes(b.first_chunk().copied().unwrap_or_default()))
    }

    /// A storage: the number of its elements, which is known already, and its bytes.
    pub fn storage(&mut self, key: &str, bytes: u64, width: u64) -> Result<&'a [u8], String> {
        let cut = |missing: u64| format!("storage {key} is cut off: {missing} bytes are missing");
        let missing_all = |missing: u64| cut(missing + bytes);
        let count = self.long().map_err(missing_all)?;
        if u64::try_from(count).ok().and_then(|c| c.checked_mul(width)) != Some(bytes) {
            return Err(format!("storage {key} has {count} elements, but {} are claimed", bytes / width));
        }
        self.bytes(bytes).map_err(cut)
    }
}

/// The object of a stream and its storages.
pub fn read(bytes: &[u8], rules: Rules) -> Result<(Pickle<'_>, Storages<'_>), String> {
    let mut reader = Reader::new(bytes, rules);
    let object = object(&mut reader)?;
    let keys = reader.pickle("the list of storages")?;
    let storages = storages(&mut reader, &object, &keys)?;
    Ok((object, storages))
}

/// The object of a stream, which its reader is at the beginning of.
pub fn object<'a>(reader: &mut Reader<'a>) -> Result<Pickle<'a>, String> {
    // Whatever a pickle of another program names, it is no checkpoint.
    let all = Reader::new(reader.rest, Rules { skip_unknown: true, ..reader.rules }).pickle("the first pickle")?;
    if !matches!(all.node(all.root), PickleNode::Long(m) if *m == MAGIC) {
        let class = all.name(all.root);
        let of = if matches!(all.node(all.root), PickleNode::Made(..)) {
            format!(" of {}", class.escape_debug())
        } else {
            String::new()
        };
        return Err(format!(
            "is a pickle{of}, but not one written by torch.save: in Python, load it and save its tensors by name with torch.save"
        ));
    }
    reader.pickle("the first pickle")?;
    let version = reader.pickle("the version")?;
    if version.number(version.root) != Some(1001) {
        return Err("is a stream of an unknown version; expected 1001".into());
    }
    reader.pickle("the description of the system")?;
    reader.pickle("the object")
}

fn storages<'a>(reader: &mut Reader<'a>, object: &Pickle, keys: &Pickle) -> Result<Storages<'a>, String> {
    let mut parts = BTreeMap::new();
    for id in (0..object.len()).filter(|&id| matches!(object.node(id), PickleNode::Persistent(_))) {
        let part = view::part(object, id)?;
        if let Some(other) = parts.insert(part.key.clone(), (part.whole, part.dtype))
            && other != (part.whole, part.dtype)
        {
            return Err(format!("storage {} is described in two different ways", part.key));
        }
    }
    let (mut found, mut seen) = (Storages::new(), BTreeSet::new());
    for &id in keys.items(keys.root).ok_or("its list of storages is not a list")? {
        let id: Id = id;
        let key = keys.key(id).ok_or("its list of storages contains something that is not a key")?;
        let (whole, dtype) = *parts.get(&key).ok_or_else(|| format!("storage {key} is not used by any tensor"))?;
        if !seen.insert(key.clone()) {
            return Err(format!("storage {key} is listed twice"));
        }
        found.insert(key.clone(), reader.storage(&key, whole, view::width(dtype))?);
    }
    Ok(found)
}
