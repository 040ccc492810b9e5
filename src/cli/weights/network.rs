//! A weights file: the network that the weights belong to, or come closest to.

use super::inspect::{Inspection, problems, some};
use super::pictures;
use crate::cli::output::quoted;
use crate::engine::Problem;
use crate::error::{Result, plain, shown};
use crate::models::{self, Comparison, Network, Outline, left_out, nearest, part, read};
use crate::weights::names::tree;
use crate::weights::{Weights, WeightsFile};
use serde_json::{Map, Value, json};
use std::path::Path;

/// A network whose names and shapes are in the file: the trees in which they are.
struct Fit {
    network: &'static Network,
    trees: Vec<Comparison>,
}

/// What is found out about weights.
pub fn look(file: &Path, bytes: &[u8]) -> Result<Inspection> {
    let origin = shown(file);
    let outline = Outline::of(bytes, &origin)?;
    let complete = |network: &'static Network| {
        let trees: Vec<_> = outline.trees(network).into_iter().filter(Comparison::complete).collect();
        (!trees.is_empty()).then_some(Fit { network, trees })
    };
    let whole: Vec<Fit> = models::all().filter_map(complete).collect();
    let (mut fits, mut unusable, mut choose) = (vec![], vec![], false);
    for fit in &whole {
        // As a command would read it; where trees differ, the first is as good as any.
        let first = fit.trees.first().map(|t| tree(&t.prefix).to_string());
        let opened = |tree| {
            let file = WeightsFile { path: file.into(), strict: false, tree };
            read(fit.network, &file).and_then(|w| w.fold_batch_norm())
        };
        match opened(None).or_else(|e| {
            if fit.trees.len() > 1 {
                choose = true;
                opened(first)
            } else {
                Err(e)
            }
        }) {
            Ok(_) => fits.push(fit),
            Err(e) => unusable.extend(problems(e)),
        }
    }
    let nearest = if fits.is_empty() { nearest(&outline) } else { None };
    if whole.is_empty() {
        let read = match &nearest {
            Some(near) => part(bytes, &origin, near),
            None => Weights::from_bytes(bytes, &origin),
        };
        unusable.extend(read.and_then(Weights::fold_batch_norm).err().map(problems).unwrap_or_default());
    }
    let shown = fits.first().and_then(|f| f.trees.first()).or(nearest.as_ref());
    let known = pictures::known(file, bytes)?;
    let commands = fits.iter().flat_map(|f| commands(f, choose, file)).collect::<Vec<_>>();
    let mut lines = shown.map(|c| facts(c, !fits.is_empty())).unwrap_or_default();
    if choose && let Some(fit) = fits.first() {
        let trees: Vec<&str> = fit.trees.iter().map(|t| tree(&t.prefix)).collect();
        lines.push(("trees", format!("{} hold different weights: choose with --tree", plain(&trees.join(", ")))));
    }
    lines.extend(nearest.iter().flat_map(differences));
    if !unusable.is_empty() {
        lines.push(("unusable", some(&unusable)));
    }
    lines.extend(pictures::lines(&known, shown.map(|c| c.network)));
    if !commands.is_empty() {
        lines.push(("use", commands.join("\n")));
    }
    let names: Vec<&str> = fits.iter().map(|f| f.network.name).collect();
    let trees: Vec<&str> = fits.iter().flat_map(|f| &f.trees).map(|t| tree(&t.prefix)).collect();
    let norms = shown.map_or(0, |c| c.norms);
    let json = json!({
        "kind": "weights", "networks": names, "nearest": nearest.as_ref().map(as_json), "unusable": unusable,
        "taken_off": shown.map_or("", |c| &c.prefix), "trees": trees,
        "batch_norms": {"separate": norms, "folded": !fits.is_empty() && norms == 0},
        "classes": shown.and_then(|c| c.classes), "catalog": pictures::catalog(&known),
        "left_out": shown.map_or(&[][..], |c| &c.strangers),
        "preprocessing": shown.map(|c| pictures::as_json(&known, c.network)), "commands": commands,
    });
    let summary = summary(&names, nearest.as_ref());
    Ok(Inspection { summary, lines, json: object(json) })
}

fn object(value: Value) -> Map<String, Value> {
    if let Value::Object(map) = value { map } else { Map::new() }
}

fn summary(fits: &[&str], nearest: Option<&Comparison>) -> String {
    match nearest {
        _ if !fits.is_empty() => format!("fits {}", fits.join(", ")),
        Some(n) if n.problems.is_empty() => {
            format!("has the names and shapes of {}, but cannot be used as it is", n.network.name)
        }
        Some(n) => format!("fits no network as it is; the nearest is {}", n.network.name),
        None => "fits no network that Lupe knows".into(),
    }
}

fn commands(fit: &Fit, choose: bool, file: &Path) -> [String; 2] {
    let tree = fit.trees.first().filter(|_| choose).map(|t| format!(" --tree {}", quoted(Path::new(tree(&t.prefix)))));
    let (name, file, tree) = (fit.network.name, quoted(file), tree.unwrap_or_default());
    [
        format!("lupe embed PICTURE --model {name} --weights {file}{tree}"),
        format!("lupe fit patchcore GOOD_PICTURES -o part.lupe --backbone {name} --weights {file}{tree}"),
    ]
}

/// What a tree holds as the network that it is, or is nearest to.
fn facts(c: &Comparison, fits: bool) -> Vec<(&'static str, String)> {
    let names = match c.prefix.as_str() {
        "" => "as in the file".into(),
        prefix => format!("{} is removed", plain(prefix)),
    };
    let norms = match c.norms {
        0 if fits => "folded into the convolutions".into(),
        0 => "none".into(),
        n => format!("{n}, folded into the convolutions when they are loaded"),
    };
    let head = c.network.head.first().map_or("", |h| h.trim_end_matches('.'));
    let classes = match c.classes {
        Some(n) => format!("{head}, {n} classes; features do not need it"),
        None => format!("no {head}; features do not need it"),
    };
    let mut lines = vec![("names", names), ("batch norms", norms), ("last layer", classes)];
    if fits && !c.strangers.is_empty() {
        let strangers: Vec<&String> = c.strangers.iter().collect();
        lines.push(("left out", plain(&left_out(c.network.name, &strangers))));
    }
    lines
}

/// Problems by kind: missing, misshapen, foreign.
fn sorted(problems: &[Problem]) -> [Vec<&Problem>; 3] {
    let of = |kind: fn(&Problem) -> bool| problems.iter().filter(|p| kind(p)).collect();
    [
        of(|p| matches!(p, Problem::Missing { .. })),
        of(|p| matches!(p, Problem::Misshapen { .. } | Problem::Unreadable { .. })),
        of(|p| matches!(p, Problem::Foreign { .. })),
    ]
}

fn differences(n: &Comparison) -> Vec<(&'static str, String)> {
    let kinds = sorted(&n.problems);
    let (wanted, name) = (n.wanted, n.network.name);
    let [missing, misshapen, foreign] = kinds.each_ref().map(Vec::len);
    let foreign = foreign + n.strangers.len();
    let count = format!(
        "{name}: {} of its {wanted} tensors are present, {missing} missing, {misshapen} of the wrong shape; {foreign} tensors are not part of it",
        n.right()
    );
    let text = |list: &Vec<&Problem>| list.iter().map(|p| p.to_string()).collect::<Vec<_>>();
    let [missing, misshapen, mut others] = kinds.each_ref().map(text);
    others.extend(n.strangers.iter().map(|name| format!("{name} is not part of this network")));
    let lists = [("missing", missing), ("misshapen", misshapen), ("not part", others)];
    let lists = lists.into_iter().filter(|(_, list)| !list.is_empty()).map(|(kind, list)| (kind, some(&list)));
    std::iter::once(("network", count)).chain(lists).collect()
}

fn as_json(n: &Comparison) -> Value {
    let entry = |p: &&Problem| match p {
        Problem::Missing { name, wanted } => json!({"name": name, "wanted": wanted.dims()}),
        Problem::Misshapen { name, shape, wanted } => {
            json!({"name": name, "shape": shape.dims(), "wanted": wanted.dims()})
        }
        Problem::Unreadable { name, why } => json!({"name": name, "why": why}),
        Problem::Foreign { name } => json!({"name": name}),
    };
    let [missing, misshapen, mut extra] = sorted(&n.problems).map(|list| list.iter().map(entry).collect::<Vec<_>>());
    extra.extend(n.strangers.iter().map(|name| json!({"name": name})));
    json!({
        "network": n.network.name, "wanted": n.wanted, "right": n.right(),
        "missing": missing, "misshapen": misshapen, "extra": extra,
    })
}
