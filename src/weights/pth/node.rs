//! The values that a pickle describes: a flat list of nodes that refer to each other by number. A value may contain itself.

use super::globals::Meaning;

/// The number of a node.
pub type Id = u32;

/// A value.
#[derive(Clone, Debug)]
pub enum PickleNode<'a> {
    /// `None`, bytes: never part of a name or a tensor.
    Plain,
    /// A truth value.
    Bool(bool),
    /// A floating-point number.
    Float(f64),
    /// An integer of at most 64 bits.
    Int(i64),
    /// A longer one, two's complement, little-endian.
    Long(&'a [u8]),
    /// A string.
    Text(&'a str),
    /// A tuple or frozen set.
    Tuple(Vec<Id>),
    /// A list or set.
    List(Vec<Id>),
    /// A map, in the order it was filled.
    Dict(Vec<(Id, Id)>),
    /// A name of the table: what it means, and its place among the names.
    Global(Meaning, u32),
    /// The result of a call: the name, the arguments, then states and items.
    Made(Meaning, Vec<Id>),
    /// A reference to something outside the pickle.
    Persistent(Id),
}

/// A whole pickle.
#[derive(Debug, Default)]
pub struct Pickle<'a> {
    nodes: Vec<PickleNode<'a>>,
    names: Vec<(&'a str, &'a str)>,
    /// The value that it describes.
    pub root: Id,
    /// Bytes that it took.
    pub length: usize,
}

impl<'a> Pickle<'a> {
    /// Adds a node.
    pub fn add(&mut self, node: PickleNode<'a>) -> Id {
        self.nodes.push(node);
        (self.nodes.len() - 1) as Id // the pickle machine's bound on steps is far below
    }

    /// The node of a name.
    pub fn global(&mut self, kind: Meaning, module: &'a str, name: &'a str) -> PickleNode<'a> {
        self.names.push((module, name));
        PickleNode::Global(kind, (self.names.len() - 1) as u32)
    }

    /// Number of nodes.
    pub fn len(&self) -> Id {
        self.nodes.len() as Id
    }

    /// The node of that number.
    pub fn node(&self, id: Id) -> &PickleNode<'a> {
        self.nodes.get(id as usize).unwrap_or(&PickleNode::Plain)
    }

    /// The same, mutable.
    pub fn node_mut(&mut self, id: Id) -> Option<&mut PickleNode<'a>> {
        self.nodes.get_mut(id as usize)
    }

    /// What a name, or an object made by it, means.
    pub fn kind(&self, id: Id) -> Option<Meaning> {
        match self.node(id) {
            PickleNode::Global(kind, _) => Some(*kind),
            // What an unknown name returned may be called again; it stays unknown.
            PickleNode::Made(Meaning::Opaque, _) => Some(Meaning::Opaque),
            // A class of modules with its source; without `skip_unknown` its name has ended the reading already.
            PickleNode::Persistent(inner) if self.class(*inner).is_some() => Some(Meaning::Opaque),
            _ => None,
        }
    }

    /// The class in a reference that says `module`, as streams keep the classes of modules.
    fn class(&self, reference: Id) -> Option<Id> {
        self.items(reference)
            .filter(|i| i.first().is_some_and(|tag| self.text(*tag) == Some("module")))?
            .get(1)
            .copied()
    }

    /// `module.name` of a name or of an object made by it.
    pub fn name(&self, id: Id) -> String {
        let mut id = id;
        for _ in 0..64 {
            match self.node(id) {
                PickleNode::Global(_, n) => {
                    let (module, name) = self.names.get(*n as usize).copied().unwrap_or_default();
                    return format!("{module}.{name}");
                }
                PickleNode::Made(_, parts) => id = parts.first().copied().unwrap_or(id),
                PickleNode::Persistent(inner) => id = self.class(*inner).unwrap_or(id),
                _ => break,
            }
        }
        "something unknown".into()
    }

    /// A string.
    pub fn text(&self, id: Id) -> Option<&'a str> {
        if let PickleNode::Text(text) = self.node(id) { Some(text) } else { None }
    }

    /// Items of a tuple or list.
    pub fn items(&self, id: Id) -> Option<&[Id]> {
        if let PickleNode::Tuple(items) | PickleNode::List(items) = self.node(id) { Some(items) } else { None }
    }

    /// A number that is not negative.
    pub fn number(&self, id: Id) -> Option<u64> {
        if let PickleNode::Int(n) = self.node(id) { u64::try_from(*n).ok() } else { None }
    }

    /// The key of a storage or tensor, which old files write as a number. Long ones are refused, since they may be repeated.
    pub fn key(&self, id: Id) -> Option<String> {
        match self.node(id) {
            PickleNode::Text(text) if text.len() <= 256 => Some((*text).to_string()),
            PickleNode::Int(n) => Some(n.to_string()),
            _ => None,
        }
    }

    /// The value of a map under a key.
    pub fn get(&self, map: Id, key: &str) -> Option<Id> {
        let PickleNode::Dict(pairs) = self.node(map) else { return None };
        pairs.iter().rev().find(|(k, _)| self.text(*k) == Some(key)).map(|p| p.1)
    }

    /// Every node that a node consists of.
    pub fn parts(&self, id: Id, mut each: impl FnMut(Id)) {
        match self.node(id) {
            PickleNode::Tuple(items) | PickleNode::List(items) | PickleNode::Made(_, items) => {
                items.iter().copied().for_each(each)
            }
            PickleNode::Dict(pairs) => pairs.iter().for_each(|&(k, v)| {
                each(k);
                each(v);
            }),
            PickleNode::Persistent(inner) => each(*inner),
            _ => {}
        }
    }
}
