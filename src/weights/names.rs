//! Names of tensors: prefixes that training programs add to a network's own names, and the parts that names fall into.

use crate::tensor::Tensor;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The prefixes that wrappers add to the names, longest first.
const PREFIXES: [&str; 6] = ["module.backbone.", "state_dict.", "backbone.", "encoder.", "module.", "model."];

/// The prefixes that all names share, however deep, and the tensors without them; counters of batch norms are dropped.
pub fn stripped(mut named: BTreeMap<String, Arc<Tensor>>) -> (String, BTreeMap<String, Arc<Tensor>>) {
    named.retain(|k, _| !k.ends_with(COUNTER));
    without_prefixes(named)
}

/// How the name of a batch norm's counter of training steps ends.
pub const COUNTER: &str = "num_batches_tracked";

/// The prefixes that all names share, and the named things without them.
pub fn without_prefixes<T>(mut named: BTreeMap<String, T>) -> (String, BTreeMap<String, T>) {
    let mut taken_off = String::new();
    while let Some(prefix) = PREFIXES.iter().find(|p| !named.is_empty() && named.keys().all(|k| k.starts_with(**p))) {
        named = named.into_iter().map(|(k, v)| (k.strip_prefix(*prefix).unwrap_or(&k).to_string(), v)).collect();
        taken_off += prefix;
    }
    (taken_off, named)
}

/// What stands before the names of a tree: its path and a dot; nothing for `.`, the top of the file.
pub fn prefix(tree: &str) -> String {
    let path = tree.trim_end_matches('.');
    if path.is_empty() { String::new() } else { format!("{path}.") }
}

/// The tree that a prefix belongs to: the reverse of [`prefix`].
pub fn tree(prefix: &str) -> &str {
    prefix.strip_suffix('.').unwrap_or(".")
}

/// The paths at which names part for the first time, and how many names each one has.
pub fn parts<'n>(names: impl Iterator<Item = &'n str>) -> Vec<(String, usize)> {
    let names: Vec<&str> = names.collect();
    let mut shared = names.first().copied().unwrap_or_default();
    for name in &names {
        let same = shared.bytes().zip(name.bytes()).take_while(|(a, b)| a == b).count();
        shared = shared.get(..shared.floor_char_boundary(same)).unwrap_or_default();
    }
    let shared = shared.rfind('.').map_or(0, |dot| dot + 1);
    let mut parts: BTreeMap<&str, usize> = BTreeMap::new();
    for name in names {
        let rest = name.get(shared..).unwrap_or_default();
        let end = shared + rest.find('.').unwrap_or(rest.len());
        *parts.entry(name.get(..end).unwrap_or(name)).or_default() += 1;
    }
    parts.into_iter().map(|(path, n)| (path.to_string(), n)).collect()
}
