//! A network's weights from a file: the tree in it under whose names and shapes the network fits, whatever wrapped it.

use super::compare::{Comparison, nearest};
use super::outline::Outline;
use super::{Network, all};
use crate::error::{Error, Result, plain};
use crate::weights::names::{prefix, tree};
use crate::weights::pth::Inside;
use crate::weights::raw::{self, Raw, ReadOptions, unknown_tree};
use crate::weights::safetensors::with_file;
use crate::weights::{Weights, WeightsFile};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Names that a message lists.
const LISTED: usize = 5;

/// The weights of a network in a file, or in the one file of a zip archive in which they are.
///
/// # Errors
/// [`Error::Weights`] with everything missing, misshapen or foreign, for several trees that differ, and with `strict` for tensors that
/// the network does not ask for; [`Error::Usage`] for a tree that the file does not have.
pub fn read(network: &'static Network, file: &WeightsFile) -> Result<Weights> {
    let origin = file.path.display().to_string();
    with_file(&file.path, |bytes| match Inside::of(bytes) {
        Some(inside) => read_inside(network, &inside, &origin, file),
        None => read_bytes(network, bytes, &origin, file),
    })
}

/// Whether [`read`] would find weights of a network by their names and shapes, whatever else is wrong with them.
///
/// # Errors
/// [`Error::Weights`] for a file that cannot be read at all.
pub fn holds(network: &'static Network, file: &WeightsFile) -> Result<bool> {
    let origin = file.path.display().to_string();
    let found =
        |bytes: &[u8], origin: &str| Ok(Outline::of(bytes, origin)?.trees(network).iter().any(Comparison::complete));
    with_file(&file.path, |bytes| match Inside::of(bytes) {
        Some(inside) => {
            let one = |name| found(&inside.read(name, &origin)?, &format!("{origin}, {name}"));
            inside.names().map(one).try_fold(false, |any, one| Ok(one? || any))
        }
        None => found(bytes, &origin),
    })
}

fn read_bytes(network: &'static Network, bytes: &[u8], origin: &str, file: &WeightsFile) -> Result<Weights> {
    Search { network, outline: Outline::of(bytes, origin)?, bytes, origin, file }.weights()
}

/// The weights of a network in an archive of weights files, of which one has them.
fn read_inside(network: &'static Network, inside: &Inside, origin: &str, file: &WeightsFile) -> Result<Weights> {
    let (mut found, mut problems) = (vec![], vec![]);
    for name in inside.names() {
        let whole = plain(&format!("{origin}, {name}"));
        match read_bytes(network, &inside.read(name, origin)?, &whole, file) {
            Ok(weights) => found.push((name, weights)),
            Err(e) => problems.extend(e.problems()),
        }
    }
    let name = network.name;
    match (found.pop(), found.first()) {
        (Some((inside, weights)), None) => {
            Ok(weights.noted(plain(&format!("{origin}: the weights of {name} are in {inside}"))))
        }
        (Some((one, _)), Some((other, _))) => {
            let what =
                format!("{origin}: contains several weights of {name}, {other} and {one}; unpack it and name one");
            Err(Error::Weights(vec![plain(&what)]))
        }
        (None, _) => Err(Error::Weights(problems)),
    }
}

struct Search<'s> {
    network: &'static Network,
    outline: Outline,
    bytes: &'s [u8],
    origin: &'s str,
    file: &'s WeightsFile,
}

impl Search<'_> {
    fn weights(&self) -> Result<Weights> {
        let all = self.outline.trees(self.network);
        let trees = self.named(&all)?;
        let (taken, same) = self.chosen(&trees)?;
        let within = self.file.tree.as_deref().map(prefix).unwrap_or_default();
        let others: Vec<&Comparison> = all.iter().filter(|t| t.complete() && t.prefix != taken.prefix).collect();
        let copy = |name: &String| others.iter().any(|other| other.has(name));
        let strangers: Vec<&String> = taken.strangers.iter().filter(|name| !copy(name)).collect();
        let refused = strangers.iter().filter(|name| name.starts_with(&within));
        if self.file.strict && refused.clone().count() > 0 {
            let one =
                |name: &&&String| format!("{}: {name} is not part of {} (--strict)", self.origin, self.network.name);
            return Err(Error::Weights(refused.map(|n| one(&n)).collect()));
        }
        let differ: Vec<&Comparison> =
            others.into_iter().filter(|o| same.iter().all(|s| s.prefix != o.prefix)).collect();
        let notes = self.notes(taken, [&same, &differ], &strangers);
        Weights::from_raw(self.raws(taken)?, self.origin, notes)
    }

    /// Of the trees that are like the network those in question: all, or the ones that the user named.
    fn named(&self, all: &[Comparison]) -> Result<Vec<Comparison>> {
        let mut trees = all.to_vec();
        let Some(named) = &self.file.tree else { return Ok(trees) };
        let wanted = prefix(named);
        let held = |name: &str| name.starts_with(&wanted);
        if !self.outline.names().any(held) {
            let complete: Vec<&str> = trees.iter().filter(|t| t.complete()).map(|t| tree(&t.prefix)).collect();
            return Err(match complete.is_empty() {
                true => unknown_tree(self.origin, named, self.outline.names()),
                false => {
                    let available = complete.join(", ");
                    Error::Usage(plain(&format!("{}: unknown tree `{named}`; available: {available}", self.origin)))
                }
            });
        }
        trees.retain(|t| if wanted.is_empty() { t.prefix.is_empty() } else { t.prefix.starts_with(&wanted) });
        if trees.is_empty() {
            trees.push(self.outline.compare(self.network, &wanted));
        }
        Ok(trees)
    }

    /// The complete tree, and others that hold the same.
    fn chosen<'t>(&self, trees: &'t [Comparison]) -> Result<(&'t Comparison, Vec<&'t Comparison>)> {
        let complete: Vec<&Comparison> = trees.iter().filter(|t| t.complete()).collect();
        let Some((first, others)) = complete.split_first() else { return Err(self.unfit(trees.first())) };
        if !others.is_empty() {
            let own = self.raws(first)?;
            for other in others {
                if self.raws(other)? != own {
                    return Err(self.several(&complete));
                }
            }
        }
        Ok((first, others.to_vec()))
    }

    fn raws(&self, tree: &Comparison) -> Result<BTreeMap<String, Raw<'_>>> {
        raws(self.bytes, self.origin, tree)
    }

    fn several(&self, complete: &[&Comparison]) -> Error {
        let names: Vec<&str> = complete.iter().map(|t| tree(&t.prefix)).collect();
        Error::Weights(vec![format!(
            "{}: contains {} weights of {} that differ, under {}: choose with --tree, as in --tree {}",
            self.origin,
            complete.len(),
            self.network.name,
            names.join(", "),
            names.first().unwrap_or(&".")
        )])
    }

    /// Why no tree is the network's: the problems of the nearest one.
    fn unfit(&self, nearest: Option<&Comparison>) -> Error {
        let compared = nearest.cloned().unwrap_or_else(|| {
            let top = self.file.tree.as_deref().map(prefix).unwrap_or_default();
            self.outline.compare(self.network, &top)
        });
        let place =
            if compared.prefix.is_empty() { String::new() } else { format!(", under {},", tree(&compared.prefix)) };
        let comma = if place.is_empty() { "," } else { "" };
        let names = compared.publisher.map_or(String::new(), |whose| format!("{comma} by the names of {whose},"));
        let start = format!("{}{place}{names} as {}", self.origin, self.network.name);
        let mut problems: Vec<String> = compared.problems.iter().map(|p| format!("{start}: {p}")).collect();
        let fits = |other: &&'static Network| self.outline.trees(other).iter().any(Comparison::complete);
        let others: Vec<&str> = all().filter(fits).map(|n| n.name).collect();
        if let (false, Some(last)) = (others.is_empty(), problems.last_mut()) {
            *last += &format!("; its names and shapes are those of {}", others.join(", "));
        }
        Error::Weights(problems)
    }

    fn notes(&self, taken: &Comparison, [same, differ]: [&Vec<&Comparison>; 2], strangers: &[&String]) -> Vec<String> {
        let name = self.network.name;
        let mut notes = vec![];
        if !taken.prefix.is_empty() {
            notes.push(format!("{}: the weights of {name} are under {}", self.origin, tree(&taken.prefix)));
        }
        if let Some(whose) = taken.publisher {
            notes.push(format!("{}: the names of {whose} are read as those of {name}", self.origin));
        }
        for (which, others) in [("the same", same), ("other", differ)] {
            let places = others.iter().map(|t| tree(&t.prefix)).collect::<Vec<_>>().join(", ");
            if !others.is_empty() {
                notes.push(format!("{}: {which} weights of {name} are also under {places}, and left out", self.origin));
            }
        }
        if !strangers.is_empty() {
            notes.push(format!("{}: {}", self.origin, left_out(name, strangers)));
        }
        notes.iter().map(|note| plain(note)).collect()
    }
}

/// A tree's tensors by the network's names.
fn raws<'b>(bytes: &'b [u8], origin: &str, tree: &Comparison) -> Result<BTreeMap<String, Raw<'b>>> {
    let whole = |name: &String| format!("{}{name}", tree.prefix);
    let paths = |name: &String| tree.made.get(name).map_or_else(|| vec![whole(name)], |made| made.of.clone());
    let only: BTreeSet<String> = tree.taken.iter().flat_map(paths).collect();
    let options = ReadOptions { paths: true, only: Some(&only), lenient: true, ..ReadOptions::default() };
    let mut found = raw::contents(bytes, origin, &options)?.tensors;
    let mut named = BTreeMap::new();
    for name in &tree.taken {
        let mut parts: Vec<Raw> = paths(name).iter().filter_map(|path| found.remove(path)).collect();
        let raw = match tree.made.get(name) {
            Some(made) => {
                let fail =
                    |why| Error::Weights(vec![plain(&format!("{origin}: {name} {why} ({})", made.of.join(", ")))]);
                Some(made.form.made(parts).map_err(fail)?)
            }
            None => parts.pop(),
        };
        named.extend(raw.map(|raw| (name.clone(), raw)));
    }
    Ok(named)
}

/// A network whose names and shapes are in a file.
#[derive(Debug)]
pub struct Fit {
    /// The network.
    pub network: &'static Network,
    /// Where it is.
    pub trees: Vec<Comparison>,
    /// Whether the user has to choose one of them, because they differ.
    pub choose: bool,
}

/// What a weights file is.
#[derive(Debug, Default)]
pub struct Recognised {
    /// The networks that can be read from it.
    pub fits: Vec<Fit>,
    /// The one that it is nearest to, if there is none.
    pub nearest: Option<Comparison>,
    /// What keeps its tensors from being used.
    pub unusable: Vec<String>,
}

/// Which networks a file holds, or which one it is nearest to, and what keeps it from being used.
///
/// # Errors
/// [`Error::Weights`] for a file that cannot be read at all.
pub fn recognise(path: &Path, bytes: &[u8]) -> Result<Recognised> {
    let origin = path.display().to_string();
    let outline = Outline::of(bytes, &origin)?;
    let (mut found, mut any) = (Recognised::default(), false);
    for network in all() {
        let all: Vec<_> = outline.trees(network).into_iter().filter(Comparison::complete).collect();
        let mut trees = all.clone();
        for t in &mut trees {
            t.strangers.retain(|name| all.iter().all(|other| other.prefix == t.prefix || !other.has(name)));
        }
        let Some(first) = trees.first().map(|t| tree(&t.prefix).to_string()) else { continue };
        any = true;
        // As a command would read it; where trees differ, the first is as good as any.
        let opened = |tree| read(network, &WeightsFile { path: path.into(), strict: false, tree });
        let (choose, read) = match opened(None) {
            Err(_) if trees.len() > 1 => (true, opened(Some(first))),
            read => (false, read),
        };
        match read.and_then(|w| w.fold_batch_norm(&network.norms)) {
            Ok(_) => found.fits.push(Fit { network, trees, choose }),
            Err(e) => found.unusable.extend(e.problems()),
        }
    }
    if found.fits.is_empty() {
        found.nearest = nearest(&outline);
    }
    if !any {
        let part = match &found.nearest {
            Some(near) => raws(bytes, &origin, near)
                .and_then(|raws| Weights::from_raw(raws, &origin, vec![]))
                .and_then(|weights| weights.fold_batch_norm(&near.network.norms)),
            None => Weights::from_bytes(bytes, &origin),
        };
        found.unusable = part.err().map(Error::problems).unwrap_or_default();
    }
    Ok(found)
}

/// That tensors are left out, and the first of their names.
pub fn left_out(network: &str, strangers: &[&String]) -> String {
    let some: Vec<&str> = strangers.iter().take(LISTED).map(|s| s.as_str()).collect();
    let more = if strangers.len() > LISTED { ", …" } else { "" };
    let (n, some) = (strangers.len(), some.join(", "));
    match n {
        1 => format!("1 tensor is not part of {network} and is left out: {some}"),
        _ => format!("{n} tensors are not part of {network} and are left out: {some}{more}"),
    }
}
