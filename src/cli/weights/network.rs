//! A weights file: the network that the weights belong to, or come closest to.

use super::inspect::{Inspection, some};
use super::pictures;
use crate::cli::output::quoted;
use crate::engine::Problem;
use crate::error::{Result, plain};
use crate::models::{Comparison, Fit, left_out, recognise};
use crate::weights::names::tree;
use serde_json::{Map, Value, json};
use std::path::Path;

/// What is found out about weights.
pub fn look(file: &Path, bytes: &[u8]) -> Result<Inspection> {
    let found = recognise(file, bytes)?;
    let (fits, nearest, unusable) = (&found.fits, found.nearest.as_ref(), &found.unusable);
    let shown = fits.first().and_then(|f| f.trees.first()).or(nearest);
    let known = pictures::known(file, bytes)?;
    let commands = fits.iter().flat_map(|f| commands(f, file)).collect::<Vec<_>>();
    let mut lines = shown.map(|c| facts(c, !fits.is_empty())).unwrap_or_default();
    if let Some(fit) = fits.first().filter(|f| f.choose) {
        let trees = trees(fit).collect::<Vec<_>>().join(", ");
        lines.push(("trees", format!("{} hold different weights: choose with --tree", plain(&trees))));
    }
    lines.extend(nearest.into_iter().flat_map(differences));
    if !unusable.is_empty() {
        lines.push(("unusable", some(unusable)));
    }
    lines.extend(pictures::lines(&known, shown.map(|c| c.network)));
    if !commands.is_empty() {
        lines.push(("use", commands.join("\n")));
    }
    let names: Vec<&str> = fits.iter().map(|f| f.network.name).collect();
    let norms = shown.map_or(0, |c| c.norms);
    let json = json!({
        "kind": "weights", "networks": names, "nearest": nearest.map(as_json), "unusable": unusable,
        "taken_off": shown.map_or("", |c| &c.prefix), "trees": fits.iter().flat_map(trees).collect::<Vec<_>>(),
        "batch_norms": {"separate": norms, "folded": !fits.is_empty() && norms == 0 && shown.is_some_and(|c| !c.network.norms.is_none())},
        "classes": shown.and_then(|c| c.classes), "catalog": pictures::catalog(&known),
        "left_out": shown.map_or(&[][..], |c| &c.strangers),
        "preprocessing": shown.map(|c| pictures::as_json(&known, c.network)), "commands": commands,
    });
    Ok(Inspection { summary: summary(&names, nearest), lines, json: object(json) })
}

/// The trees of a file in which a network is.
fn trees(fit: &Fit) -> impl Iterator<Item = &str> {
    fit.trees.iter().map(|t| tree(&t.prefix))
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

fn commands(fit: &Fit, file: &Path) -> Vec<String> {
    let tree = trees(fit).next().filter(|_| fit.choose).map(|t| format!(" --tree {}", quoted(Path::new(t))));
    let (name, file, tree) = (fit.network.name, quoted(file), tree.unwrap_or_default());
    let classifies = fit.trees.first().is_some_and(|t| t.classifies);
    let classify = classifies.then(|| format!("lupe classify PICTURE --model {name} --weights {file}{tree}"));
    let others = [
        format!("lupe embed PICTURE --model {name} --weights {file}{tree}"),
        format!("lupe fit patchcore GOOD_PICTURES -o part.lupe --backbone {name} --weights {file}{tree}"),
    ];
    others.into_iter().chain(classify).collect()
}

/// What a tree holds as the network that it is, or is nearest to.
fn facts(c: &Comparison, fits: bool) -> Vec<(&'static str, String)> {
    let removed = (!c.prefix.is_empty()).then(|| format!("{} is removed", plain(&c.prefix)));
    let spelled = c.publisher.map(|whose| format!("those of {whose} become Lupe's"));
    let names: Vec<String> = removed.into_iter().chain(spelled).collect();
    let names = if names.is_empty() { "as in the file".into() } else { names.join("; ") };
    let norms = match c.norms {
        _ if c.network.norms.is_none() => "none; this network has no batch norms".into(),
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
