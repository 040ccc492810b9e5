//! How a file describes itself.

use super::config::{Config, Preset, Turns};
use super::foreground::Growth;
use super::learned::Learned;
use super::{Detector, ModelFile};
use crate::error::Result;
use crate::methods::fitted::Description;
use serde_json::{Value, json};

/// How a file describes itself, for people and for programs.
///
/// # Errors
/// As [`ModelFile::from_bytes`].
pub fn describe(bytes: &[u8], origin: &str) -> Result<Description> {
    let m = ModelFile::from_bytes(bytes, origin)?;
    let title = match m.config.detector {
        Detector::Neighbors { .. } => "an AnomalyDINO model",
        Detector::Subspace { .. } => "a SubspaceAD model",
    };
    let needs_weights = m.backbone.weights.is_none().then(|| m.backbone.name.clone());
    Ok(Description { title: title.into(), lines: lines(&m), json: as_json(&m), needs_weights })
}

fn lines(m: &ModelFile) -> Vec<(&'static str, String)> {
    let (c, [h, w], left) = (&m.config, m.grid, m.left_out.len());
    let whose = if c.preset == Preset::Authors { "authors" } else { "anomalib" };
    let inside = if m.backbone.weights.is_some() { "in the file" } else { "not in the file" };
    let backbone = format!(
        "{}, {}; its weights are {inside}; positions {}",
        m.backbone.name,
        c.layers.join(", "),
        c.positions.name()
    );
    let look = match c.whole_maps() {
        true => format!("shorter edge to {}", c.size),
        false => format!("whole, {0}x{0}", c.size),
    };
    let left = if left > 0 { format!("; {left} left out (copies)") } else { String::new() };
    let limit = m.limit().map(|l| format!("{l}, {} ({})", m.limit_rule.words(&m.scores), m.limit_rule));
    let none = "none: fitted on fewer than three pictures; `lupe limit` can set one";
    vec![
        ("preset", whose.into()),
        ("backbone", backbone),
        ("pictures", format!("{look}; {h}x{w} patches of the first reference")),
        learned(m),
        ("mask", mask(c)),
        ("fitted on", format!("{} pictures, {}{left}", m.pictures.len(), views(c))),
        ("limit", limit.unwrap_or_else(|| none.into())),
        ("pixel limit", m.map_limit().map_or("none".into(), |l| format!("{l}"))),
    ]
}

fn learned(m: &ModelFile) -> (&'static str, String) {
    let d = m.learned.dim();
    match (&m.learned, m.config.detector) {
        (Learned::Subspace(s), Detector::Subspace { share }) => {
            ("subspace", format!("{} of {d} dimensions, {share} of the variance", s.components.shape.dim(0)))
        }
        (Learned::Bank { rows, .. }, _) => {
            let k = m.config.neighbors();
            ("bank", format!("{} tokens of {d} values; distance to the nearest {k}", rows.shape.dim(0)))
        }
        (Learned::Subspace(s), _) => ("subspace", format!("{} of {d} dimensions", s.components.shape.dim(0))),
    }
}

/// Which patches count.
fn mask(c: &Config) -> String {
    let references = match c.detector {
        Detector::Neighbors { mask_references: true, .. } => ", of references as well",
        _ => "",
    };
    match c.mask() {
        None => "none: all patches count".into(),
        Some(Growth::Grid) => format!("the foreground, grown on the grid{references}"),
        Some(Growth::Column) => format!("the foreground, grown along the list of patches{references}"),
    }
}

/// The views of references in words.
pub fn views(c: &Config) -> String {
    match c.turns {
        Turns::None => "as they are".into(),
        Turns::Eighths => "each in 8 directions".into(),
        Turns::Drawn(n) => format!("each and {n} views of it, turned by angles of seed {}", c.seed),
    }
}

fn as_json(m: &ModelFile) -> Value {
    let (bank, dimensions) = match &m.learned {
        Learned::Bank { rows, .. } => (json!(rows.shape.dim(0)), Value::Null),
        Learned::Subspace(s) => (Value::Null, json!(s.components.shape.dim(0))),
    };
    json!({
        "method": m.config.detector.method(), "config": m.config, "grid": m.grid, "backbone": m.backbone.name,
        "backbone_sha256": m.backbone.sha256, "backbone_embedded": m.backbone.weights.is_some(), "bank_rows": bank,
        "dimensions": dimensions, "dim": m.learned.dim(), "pictures": m.pictures.len(), "limit": m.limit(),
        "pixel_limit": m.map_limit(), "limit_rule": m.limit_rule.to_string(), "left_out": m.left_out,
    })
}
