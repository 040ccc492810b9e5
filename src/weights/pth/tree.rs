//! Names of the tensors in a checkpoint: paths through maps with text keys and through the attributes of TorchScript's objects. Lists
//! and maps with other keys (an optimizer's state) give no names.

use super::budget::Budget;
use super::globals::Meaning;
use super::node::{Id, Pickle, PickleNode};
use crate::weights::contents::Left;
use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;

/// Maximum number of entries looked at: a map may occur in many places, and in itself.
const MAX_VISITS: usize = 1 << 22;

/// Maximum depth of nested maps.
const MAX_DEPTH: usize = 64;

/// Longest name.
const MAX_NAME: usize = 4096;

/// What wrappers call the map with the network, in the order in which they are tried.
const WRAPPERS: [&str; 6] = ["state_dict", "model", "model_state_dict", "teacher", "student", "net"];

/// A pickle, and which of its nodes are tensors.
pub struct Tree<'p, 'a> {
    pickle: &'p Pickle<'a>,
    tensor: &'p dyn Fn(Id) -> bool,
    visits: usize,
}

struct Place<'a> {
    id: Id,
    parent: Rc<str>,
    key: &'a str,
    depth: usize,
}

impl Place<'_> {
    /// The name of what is here.
    fn path(&self) -> Result<String, String> {
        if self.parent.len() + self.key.len() > MAX_NAME {
            return Err(format!("a name has more than {MAX_NAME} bytes"));
        }
        Ok(match self.depth {
            0 => "tensor".into(),
            1 => self.key.into(),
            MAX_DEPTH.. => return Err(format!("its maps are nested deeper than {MAX_DEPTH}")),
            _ => format!("{}.{}", self.parent, self.key),
        })
    }
}

impl<'p, 'a> Tree<'p, 'a> {
    /// The tree of a pickle.
    pub fn new(pickle: &'p Pickle<'a>, tensor: &'p dyn Fn(Id) -> bool) -> Tree<'p, 'a> {
        Tree { pickle, tensor, visits: 0 }
    }

    fn visit(&mut self, entries: usize) -> Result<(), String> {
        self.visits = self.visits.saturating_add(entries);
        if self.visits > MAX_VISITS { Err("its maps contain each other too often".into()) } else { Ok(()) }
    }

    /// What a node contains, by name.
    fn children(&mut self, id: Id) -> Result<Vec<(&'a str, Id)>, String> {
        let pickle = self.pickle;
        let named = |id| match pickle.node(id) {
            PickleNode::Dict(pairs) => pairs.as_slice(),
            _ => &[],
        };
        let pairs = match pickle.node(id) {
            PickleNode::Made(Meaning::Script, parts) => parts.get(2).map_or(&[][..], |&state| named(state)),
            _ => named(id),
        };
        self.visit(pairs.len())?;
        Ok(pairs.iter().filter_map(|&(k, v)| Some((pickle.text(k)?, v))).collect())
    }

    /// The map with the network, and the path to it: the first wrapper that contains named tensors, however deep they are nested.
    pub fn unwrapped(&mut self, root: Id) -> Result<(Id, String), String> {
        let (mut root, mut path) = (root, String::new());
        for _ in 0..MAX_DEPTH {
            let mut inner = None;
            for (name, id) in WRAPPERS.iter().filter_map(|w| Some((w, self.pickle.get(root, w)?))) {
                if !(self.tensor)(id) && self.holds_named(id)? {
                    inner = Some((name, id));
                    break;
                }
            }
            match inner {
                Some((name, id)) => (root, path) = (id, format!("{path}{name}.")),
                None => return Ok((root, path)),
            }
        }
        Err(format!("its wrappers are nested deeper than {MAX_DEPTH}"))
    }

    fn holds_named(&mut self, id: Id) -> Result<bool, String> {
        let (mut open, mut seen) = (vec![id], HashSet::new());
        while let Some(id) = open.pop() {
            if (self.tensor)(id) {
                return Ok(true);
            }
            if seen.insert(id) {
                open.extend(self.children(id)?.into_iter().map(|c| c.1));
            }
        }
        Ok(false)
    }

    /// Whether an opaque node contains a tensor.
    fn hides(&mut self, id: Id) -> Result<bool, String> {
        let (mut open, mut seen) = (vec![id], HashSet::new());
        while let Some(id) = open.pop() {
            self.visit(1)?;
            if (self.tensor)(id) || matches!(self.pickle.node(id), PickleNode::Persistent(_)) {
                return Ok(true);
            }
            if seen.insert(id) {
                self.pickle.parts(id, |part| open.push(part));
            }
        }
        Ok(false)
    }

    /// All tensors below a node by name. Names are taken from the budget: there may be many.
    pub fn named(&mut self, root: Id, budget: &mut Budget) -> Result<BTreeMap<String, Id>, String> {
        let mut found = BTreeMap::new();
        let mut open = vec![Place { id: root, parent: "".into(), key: "", depth: 0 }];
        while let Some(place) = open.pop() {
            self.visit(1)?;
            if (self.tensor)(place.id) {
                let path = place.path()?;
                budget.take(path.len() as u64 + 64, "the names of its tensors")?;
                if let Some(path) = found.insert(path.clone(), place.id).map(|_| path) {
                    return Err(format!("two tensors are called {}", path.escape_debug()));
                }
            } else if let PickleNode::Made(Meaning::Opaque, _) = self.pickle.node(place.id) {
                if self.hides(place.id)? {
                    let (path, name) = (place.path()?, self.pickle.name(place.id));
                    return Err(format!("tensor {} is inside {name}, which is unknown", path.escape_debug()));
                }
            } else {
                let children = self.children(place.id)?;
                if !children.is_empty() {
                    let (parent, depth): (Rc<str>, _) = (place.path()?.into(), place.depth + 1);
                    open.extend(children.into_iter().map(|(key, id)| Place { id, parent: parent.clone(), key, depth }));
                }
            }
        }
        Ok(found)
    }

    /// What the pickle holds beside the tensors that have names below `tree`, to which `way` leads from its root: tensors in lists and
    /// in maps with other keys, other trees, and what is no tensor at all.
    pub fn left(&mut self, tree: Id, way: &str, named: &BTreeMap<String, Id>) -> Result<Vec<Left>, String> {
        let named: HashSet<Id> = named.values().copied().collect();
        // The attributes of a script are its code's, not somebody's data.
        let data = matches!(self.pickle.node(self.pickle.root), PickleNode::Dict(_));
        let (mut left, mut seen, mut at, mut parent) = (vec![], HashSet::new(), self.pickle.root, String::new());
        for _ in 0..MAX_DEPTH {
            let rest = way.strip_prefix(parent.as_str()).unwrap_or_default();
            let next = rest.split_once('.').map(|(key, _)| key).filter(|_| at != tree);
            let mut inner = None;
            for (key, id) in self.children(at)? {
                if Some(key) == next {
                    inner = Some(id);
                    continue;
                }
                let (tensors, known) = self.count(id, &named, &mut seen);
                if tensors > 0 || (data && !known) {
                    left.push(Left { path: format!("{parent}{key}"), tensors });
                }
            }
            let Some((key, id)) = next.zip(inner) else { break };
            (at, parent) = (id, format!("{parent}{key}."));
        }
        Ok(left)
    }

    /// Tensors below a node that have no name and were not seen before, and whether any has a name.
    fn count(&self, id: Id, named: &HashSet<Id>, seen: &mut HashSet<Id>) -> (usize, bool) {
        let (mut open, mut tensors, mut known) = (vec![id], 0, false);
        while let Some(id) = open.pop() {
            known |= named.contains(&id);
            if named.contains(&id) || !seen.insert(id) {
                continue;
            }
            match (self.tensor)(id) {
                true => tensors += 1,
                false => self.pickle.parts(id, |part| open.push(part)),
            }
        }
        (tensors, known)
    }
}
