//! A weights file: the network that the weights belong to, or come closest to.

use super::inspect::{Inspection, problems, some};
use super::pictures;
use crate::cli::output::quoted;
use crate::engine::Problem;
use crate::error::{Result, plain, shown};
use crate::models::{self, Comparison, Network, check, nearest};
use crate::weights::Weights;
use serde_json::{Map, Value, json};
use std::path::Path;

/// What a network's weights contain besides convolutions.
struct Layers {
    norms: usize,
    folded: bool,
    classes: Option<usize>,
}

/// What is found out about weights.
pub fn look(file: &Path, bytes: &[u8]) -> Result<Inspection> {
    let origin = shown(file);
    let (outline, taken_off) = Weights::outline(bytes, &origin)?;
    let (fits, unusable) = match Weights::from_bytes(bytes, &origin).and_then(Weights::fold_batch_norm) {
        Ok(weights) => (models::all().filter(|n| check(n, &weights).is_ok()).collect(), vec![]),
        Err(e) => (vec![], problems(e)),
    };
    let nearest = if fits.is_empty() { nearest(&outline) } else { None };
    let model = fits.first().copied().or(nearest.as_ref().map(|n| n.network));
    let layers = layers(&outline);
    let known = pictures::known(file, bytes)?;
    let commands = fits.iter().flat_map(|m| commands(m, file)).collect::<Vec<_>>();
    let mut lines = vec![
        (
            "names",
            if taken_off.is_empty() { "as in the file".into() } else { format!("{} is removed", plain(&taken_off)) },
        ),
        ("batch norms", layers.norms_text()),
        ("last layer", layers.classes_text()),
    ];
    lines.extend(nearest.iter().flat_map(differences));
    if !unusable.is_empty() {
        lines.push(("unusable", some(&unusable)));
    }
    lines.extend(pictures::lines(&known, model));
    if !commands.is_empty() {
        lines.push(("use", commands.join("\n")));
    }
    let names: Vec<&str> = fits.iter().map(|m| m.name).collect();
    let json = json!({
        "kind": "weights", "networks": names, "nearest": nearest.as_ref().map(as_json), "unusable": unusable,
        "taken_off": taken_off, "batch_norms": {"separate": layers.norms, "folded": layers.folded},
        "classes": layers.classes, "catalog": pictures::catalog(&known),
        "preprocessing": model.map(|m| pictures::as_json(&known, m)), "commands": commands,
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

fn commands(model: &Network, file: &Path) -> [String; 2] {
    let (name, file) = (model.name, quoted(file));
    [
        format!("lupe embed PICTURE --model {name} --weights {file}"),
        format!("lupe fit patchcore GOOD_PICTURES -o part.lupe --backbone {name} --weights {file}"),
    ]
}

fn layers(outline: &Weights) -> Layers {
    let names = || outline.tensors().keys();
    let norms = names().filter(|k| k.ends_with(".running_var")).count();
    let biased = |k: &String| k.strip_suffix(".bias").is_some_and(|k| k.rsplit('.').next() == Some("conv1"));
    let classes = outline.tensors().get("fc.bias").or(outline.tensors().get("fc.weight")).map(|t| t.shape.dim(0));
    Layers { norms, folded: norms == 0 && names().any(biased), classes }
}

impl Layers {
    fn norms_text(&self) -> String {
        match (self.norms, self.folded) {
            (0, true) => "folded into the convolutions".into(),
            (0, false) => "none".into(),
            (n, _) => format!("{n}, folded into the convolutions when they are loaded"),
        }
    }

    fn classes_text(&self) -> String {
        self.classes
            .map_or("none; features do not need it".into(), |n| format!("fc, {n} classes; features do not need it"))
    }
}

/// Problems by kind: missing, misshapen, foreign.
fn sorted(problems: &[Problem]) -> [Vec<&Problem>; 3] {
    let of = |kind: fn(&Problem) -> bool| problems.iter().filter(|p| kind(p)).collect();
    [
        of(|p| matches!(p, Problem::Missing { .. })),
        of(|p| matches!(p, Problem::Misshapen { .. })),
        of(|p| matches!(p, Problem::Foreign { .. })),
    ]
}

fn differences(n: &Comparison) -> Vec<(&'static str, String)> {
    let kinds = sorted(&n.problems);
    let (wanted, name) = (n.wanted, n.network.name);
    let [missing, misshapen, foreign] = kinds.each_ref().map(Vec::len);
    let count = format!(
        "{name}: {} of its {wanted} tensors are present, {missing} missing, {misshapen} of the wrong shape; {foreign} tensors are not part of it",
        n.right()
    );
    let lists = ["missing", "misshapen", "not part"].into_iter().zip(&kinds).filter(|(_, list)| !list.is_empty());
    let text = |list: &Vec<&Problem>| some(&list.iter().map(|p| p.to_string()).collect::<Vec<_>>());
    std::iter::once(("network", count)).chain(lists.map(|(kind, list)| (kind, text(list)))).collect()
}

fn as_json(n: &Comparison) -> Value {
    let entry = |p: &&Problem| match p {
        Problem::Missing { name, wanted } => json!({"name": name, "wanted": wanted.dims()}),
        Problem::Misshapen { name, shape, wanted } => {
            json!({"name": name, "shape": shape.dims(), "wanted": wanted.dims()})
        }
        Problem::Foreign { name } => json!({"name": name}),
    };
    let [missing, misshapen, extra] = sorted(&n.problems).map(|list| list.iter().map(entry).collect::<Vec<_>>());
    json!({
        "network": n.network.name, "wanted": n.wanted, "right": n.right(),
        "missing": missing, "misshapen": misshapen, "extra": extra,
    })
}
