//! How a file describes itself.

use super::file::METHOD;
use super::head::Distance;
use super::{Config, ModelFile, Preset};
use crate::error::{Result, plain};
use crate::methods::fitted::Description;
use serde_json::{Map, json};

/// How a file describes itself, for people and for programs.
///
/// # Errors
/// As [`ModelFile::from_bytes`].
pub fn describe(bytes: &[u8], origin: &str) -> Result<Description> {
    let m = ModelFile::from_bytes(bytes, origin)?;
    let needs_weights = m.backbone.weights.is_none().then(|| m.backbone.name.clone());
    let counts: Map<_, _> = m.classes.iter().map(|(name, sums)| (name.clone(), json!(sums.count))).collect();
    let json = json!({
        "method": METHOD, "config": m.config, "backbone": m.backbone.name, "backbone_sha256": m.backbone.sha256,
        "backbone_embedded": m.backbone.weights.is_some(), "values": m.dim, "classes": counts, "pictures": m.pictures.len(),
        "trace": m.trace(), "limit": m.limit, "left_out": m.left_out,
    });
    Ok(Description { title: title(&m.config).into(), lines: lines(&m), json, needs_weights })
}

fn title(config: &Config) -> &'static str {
    match config.preset {
        Preset::Prototype => "a model of prototypes",
        Preset::Pmf if config.finetune.is_some() => "a model of P>M>F, fine-tuned to its pictures",
        Preset::Pmf => "a model of prototypes, as P>M>F before its fine-tuning",
    }
}

fn lines(m: &ModelFile) -> Vec<(&'static str, String)> {
    let (c, inside) = (&m.config, if m.backbone.weights.is_some() { "are" } else { "are not" });
    let left = if m.left_out.is_empty() { String::new() } else { format!("; {} copies left out", m.left_out.len()) };
    let look = if c.crop { "centre crop" } else { "whole" };
    let trace = m.trace().map_or("unknown: every class has one picture".into(), |t| {
        format!("{t:.4}, the trace of the covariance within classes")
    });
    let tuned = c.finetune.map_or("the network is as it was published".into(), |t| {
        let balance = if t.balance { ", all classes weighing the same" } else { "" };
        format!("{} steps of Adam at {}, seed {}{balance}", t.steps, t.rate, t.seed)
    });
    vec![
        ("backbone", format!("{}, {}; its weights {inside} in the file", m.backbone.name, plain(&c.place))),
        ("tuning", tuned),
        ("pictures", format!("{look}, {0}x{0}", c.size)),
        ("classes", class_words(m)),
        ("vectors", format!("{} values; the prototype of a class is the mean of its pictures'", m.dim)),
        ("distance", distance_words(m)),
        ("spread", trace),
        ("fitted on", format!("{} pictures{left}", m.pictures.len())),
        ("limit", m.limit.map_or("none; `lupe limit` can set one".into(), |l| format!("{l}, stated by hand"))),
    ]
}

/// The classes in words, as in `good 5, spot 3`.
pub fn class_words(m: &ModelFile) -> String {
    m.classes.iter().map(|(name, sums)| format!("{} {}", plain(name), sums.count)).collect::<Vec<_>>().join(", ")
}

/// The distance in words.
pub fn distance_words(m: &ModelFile) -> String {
    let head = &m.config.head;
    let scale = match head.distance {
        Distance::Cosine if head.bias != 0.0 => format!("scale {}, bias {}", head.scale, head.bias),
        _ => format!("scale {}", head.scale),
    };
    let more =
        [(head.center, ", centred and normalised"), (head.shot_correction, ", corrected for the number of shots")];
    let more: String = more.iter().filter(|m| m.0).map(|m| m.1).collect();
    format!("{}, {scale}{more}", head.distance.word())
}
