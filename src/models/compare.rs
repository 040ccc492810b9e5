//! How the tensors of a file and the networks compare: by names and shapes, without a device.

use super::outline::{Listed, Made, View};
use super::{Network, Outline, all};
use crate::engine::{Graph, Named, Problem, Scope};
use crate::error::Result;
use crate::tensor::{Shape, Tensor};
use crate::weights::Weights;
use crate::weights::names::COUNTER;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Whether the weights belong to this network, ignoring its head; needs no device.
///
/// # Errors
/// [`Error::Weights`](crate::Error::Weights) listing everything missing, misshapen or foreign.
pub fn check(network: &Network, weights: &Weights) -> Result<()> {
    let (graph, _) = built(network, weights.tensors());
    graph.requested().check(&format!("{} as {}", weights.origin(), network.name), weights.tensors(), network.head)
}

/// Most trees of a file that are compared with a network.
const MAX_TREES: usize = 64;

impl Outline {
    /// The places of the file that are anything like this network, the most alike first.
    pub fn trees(&self, network: &'static Network) -> Vec<Comparison> {
        let wanted = wanted(network);
        let mut trees: Vec<Comparison> = self.views(network).flat_map(|view| trees(view, network, &wanted)).collect();
        trees.sort_by_key(|t| t.problems.len());
        trees
    }

    /// How the tensors whose paths begin with `prefix` compare with a network.
    pub fn compare(&self, network: &'static Network, prefix: &str) -> Comparison {
        let spelled = self.views(network).skip(1).map(|view| compared(view, network, prefix));
        let own = compared(&self.own, network, prefix);
        spelled.fold(own, |best, other| if other.problems.len() < best.problems.len() { other } else { best })
    }

    /// The file's own names first, and then as those spellings have them that are this network's.
    fn views(&self, network: &Network) -> impl Iterator<Item = &View> {
        let spellings = network.names.spellings;
        let own = move |view: &&View| view.spelling.is_some_and(|s| spellings.iter().any(|o| o.mark == s.mark));
        std::iter::once(&self.own).chain(self.spelled.iter().filter(own))
    }
}

/// The places of a view that are anything like a network, which asks for `wanted`.
fn trees(view: &View, network: &'static Network, wanted: &BTreeMap<String, Shape>) -> Vec<Comparison> {
    let longest = wanted.keys().map(String::len).max().unwrap_or(0);
    let mut alike: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (name, listed) in &view.tensors {
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
    alike.into_iter().take(MAX_TREES).map(|(prefix, _)| compared(view, network, prefix)).collect()
}

/// How the tensors of a view whose paths begin with `prefix` compare with a network.
fn compared(view: &View, network: &'static Network, prefix: &str) -> Comparison {
    let mut named: Named = view
        .under(prefix)
        .filter(|(_, l)| l.unreadable.is_none())
        .map(|(name, l)| (name.to_string(), Arc::new(Tensor::zeros(Shape::new(&l.shape)))))
        .collect();
    let absorbed = network.norms.absorbed(&named);
    absorbed.iter().for_each(|bias| drop(named.remove(bias)));
    let (graph, classifies) = built(network, &named);
    let used: BTreeSet<String> = graph.requested().names().collect();
    let own = parts(network, used.iter().filter(|name| !network.is_head(name)));
    let mut problems = graph.requested().problems(&Named::new(), &[]);
    problems.retain(|p| !network.is_head(p.name()));
    problems.iter_mut().for_each(|p| explain(view, prefix, p));
    let (mut taken, mut counters, mut strangers) = (BTreeSet::new(), BTreeSet::new(), vec![]);
    let (mut made, mut paths) = (BTreeMap::new(), BTreeSet::new());
    for (name, listed) in view.under(prefix) {
        let whole = format!("{prefix}{name}");
        let at = listed.paths(&whole).into_iter().map(String::from);
        let head = network.is_head(name) && listed.floats;
        if used.contains(name) || head || absorbed.iter().any(|bias| bias == name) {
            taken.insert(name.to_string());
            made.extend(listed.made.clone().map(|how| (name.to_string(), how)));
            paths.extend(at);
        } else if network.names.needless.iter().any(|start| name.starts_with(start)) || counts(name, listed, &used) {
            counters.insert(name.to_string());
            paths.extend(at);
        } else if own.contains(first(name)) && listed.floats {
            // Inside the network's own parts: more blocks, or something in them, make another network.
            problems.push(Problem::Foreign { name: name.to_string() });
        } else {
            strangers.extend(at);
        }
    }
    let outside = view.tensors.iter().filter(|(name, _)| !name.starts_with(prefix));
    strangers.extend(outside.flat_map(|(name, listed)| listed.paths(name)).map(String::from));
    let norms = taken.iter().filter(|name| name.ends_with(".running_var")).count();
    let head = network.head.iter().find_map(|h| view.tensors.get(&format!("{prefix}{h}weight")));
    let classes = head.and_then(|h| h.shape.first().copied());
    Comparison {
        network,
        publisher: view.spelling.map(|s| s.publisher),
        wanted: used.iter().filter(|name| !network.is_head(name)).count(),
        problems,
        prefix: prefix.to_string(),
        taken,
        counters,
        strangers,
        norms,
        classes: classes.filter(|_| classifies || built(network, &Named::new()).1),
        classifies,
        made,
        paths,
    }
}

/// A weight that is there but cannot be read is not missing.
fn explain(view: &View, prefix: &str, problem: &mut Problem) {
    if let Problem::Missing { name, .. } = problem
        && let Some(why) = view.tensors.get(&format!("{prefix}{name}")).and_then(|l| l.unreadable.clone())
    {
        *problem = Problem::Unreadable { name: std::mem::take(name), why };
    }
}

/// How a place of a file and a network compare, ignoring the network's head.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The network.
    pub network: &'static Network,
    /// Whose spelling the file has, where its names are not the network's own.
    pub publisher: Option<&'static str>,
    /// Weights that it asks for.
    pub wanted: usize,
    /// Everything missing, misshapen, unreadable, or foreign to one of the network's own parts: with any, it is another network.
    pub problems: Vec<Problem>,
    /// What stands before the network's names in the file, each with its dot.
    pub prefix: String,
    /// Names of the tensors that are the network's, its head included.
    pub taken: BTreeSet<String>,
    /// Names of the counters of its batch norms and of what only its training needs.
    pub counters: BTreeSet<String>,
    /// Paths of the other tensors of the file, which it can do without.
    pub strangers: Vec<String>,
    /// Batch norms that are not folded.
    pub norms: usize,
    /// Classes of its head, if it is there.
    pub classes: Option<usize>,
    /// Whether it classifies: its last layer has the shapes that the network asks for.
    pub classifies: bool,
    /// How those come about that the file calls otherwise, by their names.
    pub(super) made: BTreeMap<String, Made>,
    /// Paths in the file of what is taken or counts.
    paths: BTreeSet<String>,
}

impl Comparison {
    /// Weights that are as the network needs them.
    pub fn right(&self) -> usize {
        self.wanted.saturating_sub(self.problems.len() - self.foreign())
    }

    /// Whether the tensor of that path is one of the network's, or counts for one.
    pub fn has(&self, path: &str) -> bool {
        self.paths.contains(path)
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

/// The network that most of the file is like, if at least half of the names that it asks for are there. A block of a large network may have
/// all names of a small one: only those are looked at that have a quarter of their weights there, or most of the file.
pub fn nearest(outline: &Outline) -> Option<Comparison> {
    let missing = |c: &Comparison| c.problems.iter().filter(|p| matches!(p, Problem::Missing { .. })).count();
    let most = |c: &Comparison| c.paths.len() >= c.strangers.len() + c.foreign();
    let best = all()
        .filter_map(|n| outline.trees(n).into_iter().next())
        .filter(|c| 4 * c.right() >= c.wanted || most(c))
        .max_by_key(|c| (c.alike(), Reverse(c.problems.len())));
    best.filter(|c| 2 * missing(c) <= c.wanted)
}

/// The network at its own input size, and whether it gives logits: shapes of weights may depend on the size. A head without weights asks
/// for none.
fn built(network: &Network, named: &Named) -> (Graph, bool) {
    let graph = Graph::new();
    let [h, w] = network.input_size();
    let places = network.build(graph.input("picture", [1, h, w, 3]), &Scope::new(&graph, named));
    let classifies = places.get("logits").is_some();
    (graph, classifies)
}

/// Names and shapes that a network asks for where there are no weights at all, its head aside.
fn wanted(network: &Network) -> BTreeMap<String, Shape> {
    let asked = built(network, &Named::new()).0.requested().problems(&Named::new(), &[]);
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

/// The first parts of the names that a network asks for, and of those that its family may ask for.
fn parts<'n>(network: &Network, names: impl Iterator<Item = &'n String>) -> BTreeSet<String> {
    names.map(|name| first(name)).chain(network.names.parts.iter().copied()).map(str::to_string).collect()
}

/// Whether a tensor counts the training steps of a batch norm that is used.
fn counts(name: &str, listed: &Listed, used: &BTreeSet<String>) -> bool {
    let norm = name.strip_suffix(COUNTER).filter(|_| !listed.floats && listed.shape.is_empty());
    norm.is_some_and(|norm| used.contains(&format!("{norm}running_var")))
}

impl Network {
    /// Whether a weight of that name belongs to its head.
    fn is_head(&self, name: &str) -> bool {
        self.head.iter().any(|h| name.starts_with(h))
    }
}
