//! How a file describes itself.

use super::{METHOD, ModelFile, Preset};
use crate::error::Result;
use crate::methods::fitted::Description;
use serde_json::{Value, json};

/// How a file describes itself, for people and for programs.
///
/// # Errors
/// As [`ModelFile::from_bytes`].
pub fn describe(bytes: &[u8], origin: &str) -> Result<Description> {
    let m = ModelFile::from_bytes(bytes, origin)?;
    let needs_weights = m.backbone.weights.is_none().then(|| m.backbone.name.clone());
    Ok(Description { title: "a PatchCore model".into(), lines: lines(&m), json: as_json(&m), needs_weights })
}

fn lines(m: &ModelFile) -> Vec<(&'static str, String)> {
    let (c, [h, w]) = (&m.config, m.geometry.grid);
    let whose = match c.preset {
        Preset::Official => "official (amazon-science/patchcore-inspection)",
        Preset::Anomalib => "anomalib",
    };
    let no_limit = match m.origin {
        Some(_) => "none: its source has none; `lupe limit` can set one",
        None => "none: fitted on one picture only",
    };
    let limit = m.limit().map(|l| format!("{l}, {} ({})", m.limit_rule.words(&m.scores), m.limit_rule));
    let inside =
        if m.backbone.weights.is_some() { "its weights are in the file" } else { "its weights are not in the file" };
    let look = match c.crop {
        true if c.preset == Preset::Anomalib => {
            format!("whole, resized to {0}x{0}; centre crop {1}x{1}", c.resize, c.size)
        }
        true => format!("shorter edge to {}; centre crop {}x{}", c.resize, c.size, c.size),
        false => format!("whole, {}x{}", c.size, c.size),
    };
    vec![
        ("preset", whose.into()),
        ("backbone", format!("{}, {}; {inside}", m.backbone.name, c.layers.join(", "))),
        ("pictures", format!("{look}; {h}x{w} places")),
        ("vectors", patch_vectors(m)),
        bank(m),
        match &m.origin {
            Some(origin) => ("imported", format!("from {origin}")),
            None => {
                let [on, left, held] = [m.pictures.len(), m.left_out.len(), m.held_out.len()];
                let left = if left > 0 { format!("; {left} left out (copies, outliers)") } else { String::new() };
                ("fitted on", format!("{on} pictures; {held} kept aside for testing{left}"))
            }
        },
        ("limit", limit.unwrap_or_else(|| no_limit.into())),
        ("pixel limit", m.map_limit().map_or("none".into(), |l| format!("{l}"))),
    ]
}

/// What a place becomes.
fn patch_vectors(m: &ModelFile) -> String {
    let ([each, together], patch) = (m.config.pooled_to(), m.config.patch);
    let each = match each {
        Some(dim) => format!("the {patch}x{patch} places around each, every layer pooled to {dim} values"),
        None => format!("the mean of every channel over the {patch}x{patch} places around each"),
    };
    let together = together.map_or(String::new(), |dim| format!(", all layers together to {dim}"));
    format!("{each}{together}; {} values", m.geometry.dim)
}

/// Ratio and seed do not apply to an import.
fn bank(m: &ModelFile) -> (&'static str, String) {
    let rows = format!("{} rows of {}", m.bank.shape.dim(0), m.geometry.dim);
    let drawn = format!(", ratio {}, seed {}", m.config.ratio, m.config.seed);
    ("bank", if m.origin.is_some() { rows } else { rows + &drawn })
}

fn as_json(m: &ModelFile) -> Value {
    json!({
        "method": METHOD.name, "config": m.config, "geometry": m.geometry, "backbone": m.backbone.name,
        "backbone_sha256": m.backbone.sha256, "backbone_embedded": m.backbone.weights.is_some(),
        "bank_rows": m.bank.shape.dim(0), "origin": m.origin, "pictures": m.pictures.len(), "held_out": m.held_out.len(), "limit": m.limit(),
        "pixel_limit": m.map_limit(), "limit_rule": m.limit_rule.to_string(), "left_out": m.left_out,
    })
}
