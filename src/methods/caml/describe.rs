//! How a file describes itself.

use super::file::METHOD;
use super::{Average, ModelFile};
use crate::error::{Result, plain};
use crate::methods::fitted::Description;
use crate::models;
use serde_json::{Map, json};

/// How a file describes itself, for people and for programs.
///
/// # Errors
/// As [`ModelFile::from_bytes`].
pub fn describe(bytes: &[u8], origin: &str) -> Result<Description> {
    let m = ModelFile::from_bytes(bytes, origin)?;
    let needs_weights = (m.encoder.name != models::EMBEDDED.name).then(|| m.encoder.name.clone());
    let counts: Map<_, _> = m.classes.iter().map(|(name, n)| (name.clone(), json!(n))).collect();
    let json = json!({
        "method": METHOD, "config": m.config, "encoder": m.encoder.name, "encoder_sha256": m.encoder.sha256,
        "checkpoint": m.checkpoint, "classes": counts, "pictures": m.pictures.len(), "limit": m.limit, "left_out": m.left_out,
    });
    Ok(Description { title: "a model of CAML".into(), lines: lines(&m), json, needs_weights })
}

fn lines(m: &ModelFile) -> Vec<(&'static str, String)> {
    let (c, sizes) = (&m.config, &m.checkpoint.sizes);
    let left = if m.left_out.is_empty() { String::new() } else { format!("; {} copies left out", m.left_out.len()) };
    let look = if c.crop { "centre crop" } else { "whole" };
    vec![
        ("encoder", format!("{}, {}; its weights are not in the file", m.encoder.name, plain(&c.place))),
        (
            "checkpoint",
            format!("{}, {} blocks of {}; not in the file", plain(&m.checkpoint.file), sizes.depth, sizes.width()),
        ),
        ("pictures", format!("{look}, {0}x{0}", c.size)),
        ("classes", class_words(m)),
        ("labels", label_words(m)),
        ("fitted on", format!("{} pictures{left}", m.pictures.len())),
        ("limit", m.limit.map_or("none; `lupe limit` can set one".into(), |l| format!("{l}, stated by hand"))),
    ]
}

/// The classes in words, as in `good 5, spot 3`.
pub fn class_words(m: &ModelFile) -> String {
    m.classes.iter().map(|(name, n)| format!("{} {n}", plain(name))).collect::<Vec<_>>().join(", ")
}

/// How classes get labels, in words.
pub fn label_words(m: &ModelFile) -> String {
    let (c, labels) = (&m.config, m.checkpoint.sizes.labels);
    let many = c.many.map_or(String::new(), |many| format!(", {} classes by {}", m.classes.len(), many.word()));
    let average = match c.average {
        Average::First(1) => "in their order".into(),
        Average::First(n) => format!("averaged over {n} ways to give them"),
        Average::All => "averaged over all ways to give them".into(),
    };
    let turned = if c.reversed { ", read in the reverse order" } else { "" };
    format!("{labels}, {average}{many}{turned}")
}
