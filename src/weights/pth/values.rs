//! Plain values of a pickle: strings, numbers, lists and maps. Anything else is named, and has no value.

use super::budget::Budget;
use super::node::{Id, Pickle, PickleNode};
use super::pickle::{self, Rules};
use super::{Container, Found, container, legacy, record, zip};
use crate::error::{Error, Result};
use std::collections::BTreeMap;

/// Maximum depth of nested values.
const MAX_DEPTH: usize = 16;

/// Maximum number of values: one that is used twice counts twice.
const MAX_VALUES: usize = 1 << 16;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Pickled {
    /// Nothing, and what is not needed: bytes, whole numbers of more than 64 bits.
    None,
    /// A truth value.
    Bool(bool),
    /// A string.
    Text(String),
    /// A whole number.
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// A list, tuple or set.
    List(Vec<Pickled>),
    /// A map, as far as its keys are strings.
    Map(BTreeMap<String, Pickled>),
    /// An object: nothing of it but its class, its arguments and its attributes.
    Object(Box<Object>),
}

/// What is known of an object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object {
    /// The path of its class.
    pub class: String,
    /// What it was made from.
    pub arguments: Vec<Pickled>,
    /// Its attributes, as far as they are stored by name.
    pub attributes: BTreeMap<String, Pickled>,
}

impl Pickled {
    /// What a map has under a key, or an object as an attribute.
    pub fn get(&self, key: &str) -> Option<&Pickled> {
        match self {
            Pickled::Map(map) => map.get(key),
            Pickled::Object(object) => object.attributes.get(key),
            _ => None,
        }
    }

    /// A string.
    pub fn text(&self) -> Option<&str> {
        if let Pickled::Text(text) = self { Some(text) } else { None }
    }

    /// A whole number that is not negative.
    pub fn number(&self) -> Option<usize> {
        if let Pickled::Int(n) = self { usize::try_from(*n).ok() } else { None }
    }

    /// A number, whole or not.
    pub fn float(&self) -> Option<f64> {
        match self {
            Pickled::Int(n) => Some(*n as f64),
            Pickled::Float(v) => Some(*v),
            _ => None,
        }
    }

    /// Items of a list.
    pub fn items(&self) -> Option<&[Pickled]> {
        if let Pickled::List(items) = self { Some(items) } else { None }
    }
}

/// The value of a file that is a pickle and nothing else. As in checkpoints, nothing in it is executed or looked up.
///
/// # Errors
/// [`Error::Weights`] for a name outside the table, more than 65,536 values, more than 16 levels of nesting, or bytes after the pickle.
pub fn pickled(bytes: &[u8], origin: &str) -> Result<Pickled> {
    let value = || {
        let pickle = pickle::load(bytes, Rules { bare: true, ..Rules::default() })?;
        match bytes.len() - pickle.length.min(bytes.len()) {
            0 => value(&pickle, pickle.root),
            more => Err(format!("has {more} bytes after its pickle")),
        }
    };
    value().map_err(|e| Error::Weights(vec![format!("{origin}: {e}")]))
}

/// What the map of a checkpoint has under these paths of keys, in their order; names outside the table are objects. Nothing is found in
/// a tar, which is older than anything that is asked for.
///
/// # Errors
/// [`Error::Weights`] for what is damaged, and for more values than [`pickled`] allows.
pub fn beside(bytes: &[u8], paths: &[&[&str]], origin: &str) -> Result<Vec<Option<Pickled>>> {
    let rules = Rules { skip_unknown: true, ..Rules::default() };
    let found = || match container(bytes) {
        Some(Container::Zip) => {
            let archive = zip::Archive::open(bytes)?;
            let text = record(&archive, "data.pkl", &mut Budget::new(bytes.len(), None))?;
            all(&pickle::load(&text, rules)?, paths)
        }
        Some(Container::Stream) => all(&legacy::read(bytes, rules)?.0, paths),
        _ => Ok(vec![None; paths.len()]),
    };
    found().map_err(|e| Error::Weights(vec![format!("{origin}: {e}")]))
}

fn all(pickle: &Pickle, paths: &[&[&str]]) -> Found<Vec<Option<Pickled>>> {
    let one = |path: &&[&str]| {
        let id = path.iter().try_fold(pickle.root, |at, key| pickle.get(at, key));
        id.map(|id| value(pickle, id)).transpose().map_err(|e| format!("{}: {e}", path.join(".")))
    };
    paths.iter().map(one).collect()
}

fn value(pickle: &Pickle, root: Id) -> Found<Pickled> {
    Values { pickle, left: MAX_VALUES }.value(root, MAX_DEPTH)
}

/// An object of which only the class is known.
fn bare(class: String) -> Pickled {
    Pickled::Object(Box::new(Object { class, ..Object::default() }))
}

struct Values<'p, 'a> {
    pickle: &'p Pickle<'a>,
    left: usize,
}

impl Values<'_, '_> {
    fn value(&mut self, id: Id, deep: usize) -> Found<Pickled> {
        self.left = self.left.checked_sub(1).ok_or_else(|| format!("contains more than {MAX_VALUES} values"))?;
        let deeper = deep.checked_sub(1).ok_or_else(|| format!("its values are nested deeper than {MAX_DEPTH}"));
        Ok(match self.pickle.node(id) {
            PickleNode::Text(text) => Pickled::Text((*text).to_string()),
            PickleNode::Int(n) => Pickled::Int(*n),
            PickleNode::Tuple(items) | PickleNode::List(items) => {
                let deeper = deeper?;
                Pickled::List(items.iter().map(|&i| self.value(i, deeper)).collect::<Found<_>>()?)
            }
            PickleNode::Dict(pairs) => {
                let (deeper, pickle) = (deeper?, self.pickle);
                let named = pairs.iter().filter_map(|&(k, v)| Some((pickle.text(k)?, v)));
                Pickled::Map(named.map(|(k, v)| Ok((k.to_string(), self.value(v, deeper)?))).collect::<Found<_>>()?)
            }
            PickleNode::Made(_, parts) => {
                let (class, parts) = (self.pickle.name(id), parts.clone());
                Pickled::Object(Box::new(self.object(class, &parts, deeper)))
            }
            PickleNode::Global(..) => bare(self.pickle.name(id)),
            PickleNode::Persistent(_) => bare("a storage".into()),
            PickleNode::Bool(v) => Pickled::Bool(*v),
            PickleNode::Float(v) => Pickled::Float(*v),
            PickleNode::Plain | PickleNode::Long(_) => Pickled::None,
        })
    }

    /// An object as far as it has values that can be read: it may hold anything.
    fn object(&mut self, class: String, parts: &[Id], deeper: Found<usize>) -> Object {
        let Ok(deeper) = deeper else { return Object { class, ..Object::default() } };
        let mut value = |id: Option<&Id>| id.and_then(|&id| self.value(id, deeper).ok());
        let arguments = match value(parts.get(1)) {
            Some(Pickled::List(items)) => items,
            _ => vec![],
        };
        let attributes = match value(parts.get(2)) {
            Some(Pickled::Map(map)) => map,
            _ => BTreeMap::new(),
        };
        Object { class, arguments, attributes }
    }
}
