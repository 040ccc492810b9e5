//! One of Lupe's own files: a fitted model.

use super::{Report, problems, quoted, some};
use crate::error::Result;
use crate::methods::patchcore::Preset;
use crate::methods::patchcore::model::Model;
use serde_json::{Map, Value, json};
use std::path::Path;

/// What is found out about a model; a damaged one is reported, not refused.
pub fn look(file: &Path, bytes: &[u8]) -> Result<Report> {
    let mut json = Map::from_iter([("kind".to_string(), json!("model")), ("networks".to_string(), json!([]))]);
    let read = Model::from_bytes(bytes, &file.display().to_string());
    let model = match read {
        Ok(model) => model,
        Err(e) => {
            let unusable = problems(e);
            let lines = vec![("unusable", some(&unusable))];
            json.insert("unusable".into(), json!(unusable));
            return Ok(Report { summary: "a model file of Lupe's that cannot be used".into(), lines, json });
        }
    };
    let commands = commands(file, &model);
    let mut lines = lines(&model);
    lines.push(("use", commands.join("\n")));
    json.extend([
        ("unusable".to_string(), Value::Array(vec![])),
        ("model".to_string(), as_json(&model)),
        ("commands".to_string(), json!(commands)),
    ]);
    Ok(Report { summary: "a PatchCore model".into(), lines, json })
}

fn lines(m: &Model) -> Vec<(&'static str, String)> {
    let (c, [h, w]) = (&m.config, m.geometry.grid);
    let layers: Vec<String> = c.layers.iter().map(usize::to_string).collect();
    let whose = match c.preset {
        Preset::Official => "official (amazon-science/patchcore-inspection)",
        Preset::Anomalib => "anomalib",
    };
    let no_limit = if m.origin.is_some() { "none: its source has none" } else { "none: one picture only" };
    let inside =
        if m.backbone.weights.is_some() { "its weights are in the file" } else { "its weights are not in the file" };
    let look = match c.crop {
        true => format!("shorter edge to {}; centre crop {}x{}", c.resize, c.size, c.size),
        false => format!("whole, {}x{}", c.size, c.size),
    };
    vec![
        ("preset", whose.into()),
        ("backbone", format!("{}, stages {}; {inside}", m.backbone.name, layers.join(", "))),
        ("pictures", format!("{look}; {h}x{w} places")),
        bank(m),
        match &m.origin {
            Some(origin) => ("imported from", origin.clone()),
            None => ("fitted on", format!("{} pictures; {} kept aside", m.pictures.len(), m.held_out.len())),
        },
        ("limit", m.limit().map_or(no_limit.into(), |l| format!("{l}"))),
    ]
}

/// Ratio and seed mean nothing in an import.
fn bank(m: &Model) -> (&'static str, String) {
    let rows = format!("{} rows of {}", m.bank.shape.dim(0), m.geometry.dim);
    let drawn = format!(", ratio {}, seed {}", m.config.ratio, m.config.seed);
    ("bank", if m.origin.is_some() { rows } else { rows + &drawn })
}

fn commands(file: &Path, m: &Model) -> Vec<String> {
    let (file, name) = (quoted(file), &m.backbone.name);
    let weights = match m.backbone.weights {
        Some(_) => String::new(),
        None => format!(" --weights WEIGHTS_OF_{}", name.to_uppercase()),
    };
    vec![
        format!("lupe patchcore predict {file} NEW_PICTURES -o results{weights}"),
        format!("lupe patchcore eval {file} DATA_SET -o results{weights}"),
    ]
}

fn as_json(m: &Model) -> Value {
    json!({
        "method": "patchcore", "config": m.config, "geometry": m.geometry, "backbone": m.backbone.name,
        "backbone_sha256": m.backbone.sha256, "backbone_embedded": m.backbone.weights.is_some(),
        "bank_rows": m.bank.shape.dim(0), "origin": m.origin, "pictures": m.pictures.len(), "held_out": m.held_out.len(), "limit": m.limit(),
    })
}
