//! Checkpoints that hold a whole module, pickled, instead of its tensors: where those would be, and how to save them.

use super::legacy::{self, Reader};
use super::node::{Id, Pickle, PickleNode};
use super::pickle::{Rules, load};
use super::{Budget, Container, record, zip};
use std::collections::HashSet;

/// Maximum depth of modules in each other.
const MAX_DEPTH: usize = 64;

/// A module that was found.
pub struct Module {
    /// Its class.
    class: String,
    /// The keys that lead to it.
    keys: Vec<String>,
    /// Names of its tensors.
    names: Vec<String>,
}

/// The module that a file holds, if it is its root or the value of a map there; whatever else is wrong with the file.
pub fn found(bytes: &[u8], container: Container) -> Option<Module> {
    let rules = Rules { skip_unknown: true, ..Rules::default() };
    match container {
        Container::Zip => {
            let archive = zip::Archive::open(bytes).ok()?;
            let text = record(&archive, "data.pkl", &mut Budget::new(bytes.len(), None)).ok()?;
            within(&load(&text, rules).ok()?)
        }
        Container::Stream => within(&legacy::object(&mut Reader::new(bytes, rules)).ok()?),
        Container::Tar => None,
    }
}

impl Module {
    /// What to do.
    pub fn advice(&self, origin: &str) -> String {
        let keys: String = self.keys.iter().map(|k| format!("[{k:?}]")).collect();
        let place = if keys.is_empty() { String::new() } else { format!(" at {}", self.keys.join(".").escape_debug()) };
        let some = self.names.iter().take(3).map(|n| n.escape_debug().to_string()).collect::<Vec<_>>().join(", ");
        let tensors = match self.names.len() {
            0 => "no tensors".into(),
            1 => format!("1 tensor, {some}"),
            n => format!("{n} tensors: {some}{}", if n > 3 { ", …" } else { "" }),
        };
        format!(
            "a whole module was saved{place} ({}, with {tensors}); Lupe executes nothing, so save its state_dict() instead, \
             where its class can be imported and if you trust the file: import torch; \
             torch.save(torch.load({origin:?}, map_location=\"cpu\", weights_only=False){keys}.state_dict(), \"state_dict.pth\")",
            self.class.escape_debug()
        )
    }
}

fn within(pickle: &Pickle) -> Option<Module> {
    let (mut open, mut seen) = (vec![(pickle.root, vec![])], HashSet::new());
    while let Some((id, keys)) = open.pop() {
        if let Some(state) = state(pickle, id) {
            let mut names = vec![];
            named(pickle, state, "", &mut HashSet::new(), &mut names);
            return Some(Module { class: pickle.name(id), keys, names });
        }
        let PickleNode::Dict(pairs) = pickle.node(id) else { continue };
        if keys.len() >= MAX_DEPTH || !seen.insert(id) {
            continue;
        }
        let inner = pairs.iter().filter_map(|&(k, v)| Some((v, [&keys[..], &[pickle.text(k)?.to_string()]].concat())));
        open.extend(inner.collect::<Vec<_>>().into_iter().rev());
    }
    None
}

/// The attributes of a module.
fn state(pickle: &Pickle, id: Id) -> Option<Id> {
    let PickleNode::Made(_, parts) = pickle.node(id) else { return None };
    let module = |state: &&Id| ["_parameters", "_modules"].iter().all(|key| pickle.get(**state, key).is_some());
    parts.iter().skip(2).find(module).copied()
}

/// Names of the parameters and buffers below a module's attributes, as its `state_dict()` has them.
fn named(pickle: &Pickle, state_of: Id, path: &str, seen: &mut HashSet<Id>, names: &mut Vec<String>) {
    if !seen.insert(state_of) || path.matches('.').count() > MAX_DEPTH {
        return;
    }
    let pairs = |key: &str| match pickle.get(state_of, key).map(|id| pickle.node(id)) {
        Some(PickleNode::Dict(pairs)) => pairs.clone(),
        _ => vec![],
    };
    for (key, value) in [pairs("_parameters"), pairs("_buffers")].concat() {
        if let (Some(key), false) = (pickle.text(key), matches!(pickle.node(value), PickleNode::Plain)) {
            names.push(format!("{path}{key}"));
        }
    }
    for (key, value) in pairs("_modules") {
        if let (Some(key), Some(inner)) = (pickle.text(key), state(pickle, value)) {
            named(pickle, inner, &format!("{path}{key}."), seen, names);
        }
    }
}
