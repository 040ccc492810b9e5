//! Names of tensors: prefixes that training programs put before a network's own.

use crate::tensor::Tensor;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What wrappers put before the names, longest first.
const PREFIXES: [&str; 6] = ["module.backbone.", "state_dict.", "backbone.", "encoder.", "module.", "model."];

/// The tensors without a prefix that all of them share, however deep; counters of batch norms dropped.
pub fn stripped(mut named: BTreeMap<String, Arc<Tensor>>) -> BTreeMap<String, Arc<Tensor>> {
    named.retain(|k, _| !k.ends_with("num_batches_tracked"));
    without_prefixes(named)
}

/// Whatever has names, without the prefixes that all of them share.
pub fn without_prefixes<T>(mut named: BTreeMap<String, T>) -> BTreeMap<String, T> {
    while let Some(prefix) = PREFIXES.iter().find(|p| !named.is_empty() && named.keys().all(|k| k.starts_with(**p))) {
        named = named.into_iter().map(|(k, v)| (k.strip_prefix(*prefix).unwrap_or(&k).to_string(), v)).collect();
    }
    named
}
