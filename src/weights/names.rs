//! Names of tensors: prefixes that training programs add to a network's own names.

use crate::tensor::Tensor;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The prefixes that wrappers add to the names, longest first.
const PREFIXES: [&str; 6] = ["module.backbone.", "state_dict.", "backbone.", "encoder.", "module.", "model."];

/// The prefixes that all names share, however deep, and the tensors without them; counters of batch norms are dropped.
pub fn stripped(mut named: BTreeMap<String, Arc<Tensor>>) -> (String, BTreeMap<String, Arc<Tensor>>) {
    named.retain(|k, _| !k.ends_with("num_batches_tracked"));
    without_prefixes(named)
}

/// The prefixes that all names share, and the named things without them.
pub fn without_prefixes<T>(mut named: BTreeMap<String, T>) -> (String, BTreeMap<String, T>) {
    let mut taken_off = String::new();
    while let Some(prefix) = PREFIXES.iter().find(|p| !named.is_empty() && named.keys().all(|k| k.starts_with(**p))) {
        named = named.into_iter().map(|(k, v)| (k.strip_prefix(*prefix).unwrap_or(&k).to_string(), v)).collect();
        taken_off += prefix;
    }
    (taken_off, named)
}
