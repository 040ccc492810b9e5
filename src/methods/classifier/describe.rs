//! How a file describes itself.

use super::config::{Config, Layers};
use super::file::{Figures, Learned, METHOD, ModelFile};
use crate::error::{Result, plain};
use crate::methods::fitted::Description;
use serde_json::json;

/// How a file describes itself, for people and for programs.
///
/// # Errors
/// As [`ModelFile::from_bytes`].
pub fn describe(bytes: &[u8], origin: &str) -> Result<Description> {
    let m = ModelFile::from_bytes(bytes, origin)?;
    let needs_weights = m.backbone.weights.is_none().then(|| m.backbone.name.clone());
    let json = json!({
        "method": METHOD, "config": m.config, "backbone": m.backbone.name, "backbone_sha256": m.backbone.sha256,
        "backbone_embedded": m.backbone.weights.is_some(), "values": m.weight.shape.dim(1), "classes": m.classes,
        "pictures": m.pictures.len() - m.kept(), "kept": m.kept(), "learned": m.learned, "limit": m.limit, "left_out": m.left_out,
    });
    Ok(Description { title: "a classifier".into(), lines: lines(&m), json, needs_weights })
}

fn lines(m: &ModelFile) -> Vec<(&'static str, String)> {
    let (c, inside) = (&m.config, if m.backbone.weights.is_some() { "are" } else { "are not" });
    let left = if m.left_out.is_empty() { String::new() } else { format!("; {} copies left out", m.left_out.len()) };
    let look = if c.crop { "centre crop" } else { "whole" };
    let kept = m.kept();
    vec![
        ("backbone", format!("{}, {}; its weights {inside} in the file", m.backbone.name, plain(&c.place))),
        ("pictures", format!("{look}, {0}x{0}", c.size)),
        ("classes", class_words(m)),
        ("trained", trained_words(m)),
        ("choices", choice_words(c)),
        ("validation", validation_words(m)),
        ("fitted on", format!("{} pictures, {kept} kept{left}", m.pictures.len() - kept)),
        ("limit", m.limit.map_or("none; `lupe limit` can set one".into(), |l| format!("{l}, stated by hand"))),
    ]
}

/// The classes in words, as in `good 24 and 6 kept, spot 3`.
pub fn class_words(m: &ModelFile) -> String {
    let kept = |n: usize| if n == 0 { String::new() } else { format!(" and {n} kept") };
    m.classes
        .iter()
        .map(|c| format!("{} {}{}", plain(&c.name), c.pictures, kept(c.kept)))
        .collect::<Vec<_>>()
        .join(", ")
}

/// What was trained, and for how long, in words.
pub fn trained_words(m: &ModelFile) -> String {
    let what = match m.config.layers {
        Layers::Fc => "the last layer",
        Layers::All => "all layers",
    };
    let Learned { steps, of, validation } = m.learned;
    let early = match steps < of {
        true => format!(" of {of}, after {} checks that gained nothing", m.config.patience),
        false => String::new(),
    };
    let best = validation.map_or("the last weights".into(), |v| format!("the weights after {}", v.step));
    format!("{what}, {steps} steps{early}; {best}")
}

fn choice_words(c: &Config) -> String {
    let balance = if c.balance { ", all classes weighing the same" } else { "" };
    let changed = match (c.augment, c.flip) {
        (false, _) => "as they are",
        (true, false) => "changed, not mirrored",
        (true, true) => "changed and mirrored",
    };
    let (word, rate, batch, seed) = (c.optimizer.word(), c.rate, c.batch, c.seed);
    format!("{word} at {rate}, {batch} pictures a step, {changed}, seed {seed}{balance}")
}

/// What the kept pictures say, in words.
pub fn validation_words(m: &ModelFile) -> String {
    let Some(Figures { loss, accuracy, balanced_accuracy, majority, .. }) = m.learned.validation else {
        return "none: no picture was kept".into();
    };
    let [accuracy, balanced, majority] = [accuracy, balanced_accuracy, majority].map(|share| 100.0 * share);
    format!(
        "{accuracy:.1} % of {} pictures right, {balanced:.1} % balanced, loss {loss:.4}; always saying the largest class: {majority:.1} %",
        m.kept()
    )
}
