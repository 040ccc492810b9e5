//! How the tensors of a file and the networks compare: by names and shapes, without a device.

use super::{Network, all};
use crate::engine::{Graph, Named, Problem, Scope};
use crate::error::Result;
use crate::tensor::{Shape, Tensor};
use crate::weights::Weights;
use crate::weights::names::COUNTER;
use crate::weights::raw::{self, Left, Raw, ReadOptions};
use safetensors::Dtype;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

/// Whether the weights belong to this network, ignoring its head; needs no device.
///
/// # Errors
/// [`Error::Weights`](crate::Error::Weights) listing everything missing, misshapen or foreign.
pub fn check(network: &Network, weights: &Weights) -> Result<()> {
    let graph = built(network, weights.tensors());
    graph.requested().check(&format!("{} as {}", weights.origin(), network.name), weights.tensors(), network.head)
}

/// Most trees of a file that are compared with a network.
const MAX_TREES: usize = 64;

/// Most axes that a weight may have.
const MAX_AXES: usize = 4;

/// The tensors of a file by their whole paths, without their elements.
#[derive(Clone, Debug, Default)]
pub struct Outline {
    tensors: BTreeMap<String, Listed>,
    /// What is in the file beside tensors that have names.
    pub left: Vec<Left>,
}

#[derive(Clone, Debug)]
struct Listed {
    shape: Vec<usize>,
    /// Whether its elements are floating-point numbers, as those of all weights are.
    floats: bool,
    /// Why it cannot be read, if it cannot.
    unreadable: Option<String>,
}

impl Outline {
    /// The outline of a file; `origin` is what messages call it.
    ///
    /// # Errors
    /// [`Error::Weights`](crate::Error::Weights) for a file that cannot be read at all.
    pub fn of(bytes: &[u8], origin: &str) -> Result<Outline> {
        let options = ReadOptions { paths: true, outline: true, lenient: true, ..ReadOptions::default() };
        let found = raw::contents(bytes, origin, &options)?;
        let readable = |(name, raw): (String, Raw)| {
            let axes = raw.shape.len();
            let why = (axes > MAX_AXES).then(|| format!("has {axes} axes; at most four are supported"));
            (name, Listed { floats: is_float(raw.dtype), shape: raw.shape, unreadable: why })
        };
        let not = |(name, why)| (name, Listed { shape: vec![], floats: false, unreadable: Some(why) });
        let tensors = found.tensors.into_iter().map(readable).chain(found.unreadable.into_iter().map(not));
        Ok(Outline { tensors: tensors.collect(), left: found.left })
    }

    /// The paths of all tensors.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// The tensors whose paths begin with `prefix`, by what follows it.
    fn under<'o>(&'o self, prefix: &'o str) -> impl Iterator<Item = (&'o str, &'o Listed)> {
        let from = self.tensors.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        from.map_while(move |(name, listed)| Some((name.strip_prefix(prefix)?, listed)))
    }

    /// The places of the file that are anything like this network, the most alike first.
    pub fn trees(&self, network: &'static Network) -> Vec<Comparison> {
        let wanted = wanted(network);
        let longest = wanted.keys().map(String::len).max().unwrap_or(0);
        let mut alike: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for (name, listed) in &self.tensors {
            let dots = name.match_indices('.').map(|(at, _)| at + 1);
            for at in std::iter::once(0).chain(dots).filter(|at| name.len() - at <= longest) {
                let (prefix, short) = name.split_at(at);
                if let Some(shape) = wanted.get(short) {
                    let (shapes, names) = alike.entry(prefix).or_default();
                    *names += 1;
                    *shapes += usize::from(shape.dims() == listed.shape);
                }
            }
        }
        // Half of what is asked for are biases, which networks with batch norms do not have.
        let mut alike: Vec<_> = alike.into_iter().filter(|(_, (_, names))| 4 * names >= wanted.len()).collect();
        alike.sort_by_key(|&(prefix, found)| (Reverse(found), prefix.matches('.').count(), prefix));
        let compared = alike.into_iter().take(MAX_TREES).map(|(prefix, _)| self.compare(network, prefix));
        let mut trees: Vec<Comparison> = compared.collect();
        trees.sort_by_key(|t| t.problems.len());
        trees
    }

    /// How the tensors whose paths begin with `prefix` compare with a network.
    pub fn compare(&self, network: &'static Network, prefix: &str) -> Comparison {
        let mut named: Named = self
            .under(prefix)
            .filter(|(_, l)| l.unreadable.is_none())
            .map(|(name, l)| (name.to_string(), Arc::new(Tensor::zeros(Shape::new(&l.shape)))))
            .collect();
        let absorbed = network.norms.absorbed(&named);
        absorbed.iter().for_each(|bias| drop(named.remove(bias)));
        let graph = built(network, &named);
        let used: BTreeSet<String> = graph.requested().names().collect();
        let own = parts(used.iter().filter(|name| !network.is_head(name)));
        let mut problems = graph.requested().problems(&Named::new(), &[]);
        problems.retain(|p| !network.is_head(p.name()));
        problems.iter_mut().for_each(|p| self.explain(prefix, p));
        let (mut taken, mut counters, mut strangers) = (BTreeSet::new(), BTreeSet::new(), vec![]);
        for (name, listed) in self.under(prefix) {
            let head = network.is_head(name) && listed.floats;
            if used.contains(name) || head || absorbed.iter().any(|bias| bias == name) {
                taken.insert(name.to_string());
            } else if own.contains(first(name)) && listed.floats {
                // Inside the network's own parts: more blocks, or something in them, make another network.
                problems.push(Problem::Foreign { name: name.to_string() });
            } else if counts(name, listed, &used) {
                counters.insert(name.to_string());
            } else {
                strangers.push(format!("{prefix}{name}"));
            }
        }
        strangers.extend(self.names().filter(|n| !n.starts_with(prefix)).map(str::to_string));
        let classifies = used.iter().any(|name| network.is_head(name));
        let norms = taken.iter().filter(|name| name.ends_with(".running_var")).count();
        let head = network.head.iter().find_map(|h| self.tensors.get(&format!("{prefix}{h}weight")));
        Comparison {
            network,
            wanted: used.iter().filter(|name| !network.is_head(name)).count(),
            problems,
            prefix: prefix.to_string(),
            taken,
            counters,
            strangers,
            norms,
            classes: head.and_then(|h| h.shape.first().copied()),
            classifies,
        }
    }

    /// A weight that is there but cannot be read is not missing.
    fn explain(&self, prefix: &str, problem: &mut Problem) {
        if let Problem::Missing { name, .. } = problem
            && let Some(why) = self.tensors.get(&format!("{prefix}{name}")).and_then(|l| l.unreadable.clone())
        {
            *problem = Problem::Unreadable { name: std::mem::take(name), why };
        }
    }
}

/// How a place of a file and a network compare, ignoring the network's head.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The network.
    pub network: &'static Network,
    /// Weights that it asks for.
    pub wanted: usize,
    /// Everything missing, misshapen, unreadable, or foreign to one of the network's own parts: with any, it is another network.
    pub problems: Vec<Problem>,
    /// What stands before the network's names in the file, each with its dot.
    pub prefix: String,
    /// Names of the tensors that are the network's, its head included.
    pub taken: BTreeSet<String>,
    /// Names of the counters of its batch norms, which nobody needs.
    pub counters: BTreeSet<String>,
    /// Paths of the other tensors of the file, which it can do without.
    pub strangers: Vec<String>,
    /// Batch norms that are not folded.
    pub norms: usize,
    /// Classes of its head, if it is there.
    pub classes: Option<usize>,
    /// Whether it classifies: its last layer has the shapes that the network asks for.
    pub classifies: bool,
}

impl Comparison {
    /// Weights that are as the network needs them.
    pub fn right(&self) -> usize {
        self.wanted.saturating_sub(self.problems.len() - self.foreign())
    }

    /// Whether the tensor of that path is one of the network's, or counts for one.
    pub fn has(&self, path: &str) -> bool {
        path.strip_prefix(&self.prefix).is_some_and(|name| self.taken.contains(name) || self.counters.contains(name))
    }

    fn foreign(&self) -> usize {
        self.problems.iter().filter(|p| matches!(p, Problem::Foreign { .. })).count()
    }

    /// How much of the network is there, in thousandths, less what is foreign to it.
    fn alike(&self) -> i64 {
        1000 * (self.right() as i64 - self.foreign() as i64) / self.wanted.max(1) as i64
    }

    /// Whether every weight that the network asks for is there, and nothing says that it is another network.
    pub fn complete(&self) -> bool {
        self.problems.is_empty()
    }
}

/// The network that most of the file is like, if at least half of the names that it asks for are there.
pub fn nearest(outline: &Outline) -> Option<Comparison> {
    let best = all()
        .filter_map(|n| outline.trees(n).into_iter().next())
        .max_by_key(|c| (c.alike(), Reverse(c.problems.len())));
    let missing = |c: &Comparison| c.problems.iter().filter(|p| matches!(p, Problem::Missing { .. })).count();
    best.filter(|c| 2 * missing(c) <= c.wanted)
}

/// The network at its own input size: shapes of weights may depend on it. A head without weights asks for none.
fn built(network: &Network, named: &Named) -> Graph {
    let graph = Graph::new();
    let [h, w] = network.input_size();
    (network.build)(graph.input("picture", [1, h, w, 3]), &Scope::new(&graph, named));
    graph
}

/// Names and shapes that a network asks for where there are no weights at all, its head aside.
fn wanted(network: &Network) -> BTreeMap<String, Shape> {
    let asked = built(network, &Named::new()).requested().problems(&Named::new(), &[]);
    let missing = asked.into_iter().filter_map(|p| match p {
        Problem::Missing { name, wanted } if !network.is_head(&name) => Some((name, wanted)),
        _ => None,
    });
    missing.collect()
}

/// The first part of a name.
fn first(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

fn parts<'n>(names: impl Iterator<Item = &'n String>) -> BTreeSet<String> {
    names.map(|name| first(name).to_string()).collect()
}

/// Whether a tensor counts the training steps of a batch norm that is used.
fn counts(name: &str, listed: &Listed, used: &BTreeSet<String>) -> bool {
    let norm = name.strip_suffix(COUNTER).filter(|_| !listed.floats && listed.shape.is_empty());
    norm.is_some_and(|norm| used.contains(&format!("{norm}running_var")))
}

fn is_float(dtype: Dtype) -> bool {
    let name = format!("{dtype:?}"); // F32, F16, BF16, F8_E4M3, …
    name.starts_with(['F', 'B']) && dtype != Dtype::BOOL
}

impl Network {
    /// Whether a weight of that name belongs to its head.
    fn is_head(&self, name: &str) -> bool {
        self.head.iter().any(|h| name.starts_with(h))
    }
}
