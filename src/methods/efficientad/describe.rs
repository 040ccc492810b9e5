//! How a file describes itself.

use super::config::{Border, Config, Preset};
use super::maps::Scale;
use super::{METHOD, ModelFile};
use crate::error::{Result, plain};
use crate::methods::fitted::Description;
use crate::train::End;
use serde_json::{Value, json};

/// How a file describes itself, for people and for programs.
///
/// # Errors
/// As [`ModelFile::from_bytes`].
pub fn describe(bytes: &[u8], origin: &str) -> Result<Description> {
    let m = ModelFile::from_bytes(bytes, origin)?;
    let needs_weights = m.backbone.weights.is_none().then(|| m.backbone.name.clone());
    Ok(Description { title: "an EfficientAD model".into(), lines: lines(&m), json: as_json(&m), needs_weights })
}

fn lines(m: &ModelFile) -> Vec<(&'static str, String)> {
    let (c, left) = (&m.config, m.left_out.len());
    let inside = if m.backbone.weights.is_some() { "in the file" } else { "not in the file" };
    let sha256 = m.backbone.sha256.get(..16).unwrap_or(&m.backbone.sha256);
    let left = if left > 0 { format!("; {left} left out (copies)") } else { String::new() };
    let limit = m.limit().map(|l| format!("{l}, {} ({})", m.limit_rule.words(&m.scores), m.limit_rule));
    let kept = m.validation;
    let scale = |s: Scale| format!("{} becomes 0, {} a tenth", s.low, s.high);
    vec![
        ("preset", preset(c)),
        ("teacher", format!("{}{}, {sha256}…; its weights are {inside}", m.backbone.name, narrow(c.narrow))),
        ("pictures", format!("whole, {0}x{0}", c.image_size)),
        ("trained", trained(m)),
        ("fitted on", format!("{} pictures, and {kept} kept for scales and limits{left}", m.pictures.len() - kept)),
        ("student", scale(m.scales.student)),
        ("autoencoder", scale(m.scales.autoencoder)),
        ("limit", limit.unwrap_or_else(|| "none".into())),
        ("pixel limit", m.map_limit().map_or("none".into(), |l| format!("{l}"))),
    ]
}

fn preset(c: &Config) -> String {
    let whose = match c.preset {
        Preset::Nelson => "nelson (nelson1425/EfficientAD)",
        Preset::Anomalib => "anomalib",
        Preset::Paper => "paper",
    };
    let border = match c.border {
        Border::Zero => "zeros around maps",
        Border::Replicate => "the edges of maps repeated around them",
        Border::None => "padded networks",
    };
    format!("{whose}; {border}")
}

/// By how much published widths are divided, in words.
pub(super) fn narrow(by: usize) -> String {
    if by == 1 { String::new() } else { format!(" at 1/{by} of its width") }
}

fn trained(m: &ModelFile) -> String {
    let c = &m.config;
    let penalty = match &c.penalty {
        None => "no other pictures".into(),
        Some(p) => format!("{} other pictures of {}", p.pictures, plain(&p.folder)),
    };
    let pictures = if c.batch == 1 { "1 picture".into() } else { format!("{} pictures", c.batch) };
    let ended = m.ended.as_ref().map_or(String::new(), |end| format!("; {}", ended(end)));
    format!("{} steps of {pictures}; {penalty}; seed {}{ended}", c.steps, c.seed)
}

/// How a training that might have ended early ended, in words.
pub fn ended(end: &End) -> String {
    let (step, since) = (end.step, end.checks.since());
    let (at, loss) = end.checks.best().unwrap_or_default();
    let why = if end.early {
        format!("ended after {step}, {since} checks in a row having gained nothing")
    } else {
        format!("all {step} done")
    };
    format!("{why}; these are the weights after {at} steps, when the loss on the pictures kept was lowest ({loss:.4})")
}

/// The same for programs.
pub fn ended_json(end: &End) -> Value {
    let best = end.checks.best();
    json!({"steps": end.step, "early": end.early, "best_steps": best.map(|b| b.0), "best_loss": best.map(|b| b.1)})
}

fn as_json(m: &ModelFile) -> Value {
    json!({
        "method": METHOD.name, "config": m.config, "backbone": m.backbone.name, "backbone_sha256": m.backbone.sha256,
        "backbone_embedded": m.backbone.weights.is_some(), "scales": m.scales, "pictures": m.pictures.len(),
        "validation": m.validation, "limit": m.limit(), "pixel_limit": m.map_limit(),
        "limit_rule": m.limit_rule.to_string(), "left_out": m.left_out, "ended": m.ended.as_ref().map(ended_json),
    })
}
