//! One of Lupe's own files: a fitted model, whatever its method.

use super::inspect::{Inspection, some};
use crate::cli::output::quoted;
use crate::cli::session::Session;
use crate::error::shown;
use crate::methods::Description;
use serde_json::{Map, Value, json};
use std::path::Path;

/// What is found out about a model; a damaged one is reported, not refused.
pub fn look(session: &Session, file: &Path, bytes: &[u8]) -> Inspection {
    let mut json = Map::from_iter([("kind".to_string(), json!("model")), ("networks".to_string(), json!([]))]);
    let described = match session.methods.describe(bytes, &shown(file)) {
        Ok(described) => described,
        Err(e) => {
            let unusable = e.problems();
            let lines = vec![("unusable", some(&unusable))];
            json.insert("unusable".into(), json!(unusable));
            return Inspection { summary: "a Lupe model file that cannot be used".into(), lines, json };
        }
    };
    let commands = commands(file, &described);
    let Description { title, mut lines, json: model, .. } = described;
    lines.push(("use", commands.join("\n")));
    json.extend([
        ("unusable".to_string(), Value::Array(vec![])),
        ("model".to_string(), model),
        ("commands".to_string(), json!(commands)),
    ]);
    Inspection { summary: title, lines, json }
}

fn commands(file: &Path, described: &Description) -> Vec<String> {
    let (file, needed) = (quoted(file), described.needs_weights.as_ref());
    let weights = needed.map_or(String::new(), |name| format!(" --weights WEIGHTS_OF_{}", name.to_uppercase()));
    vec![
        format!("lupe predict {file} NEW_PICTURES -o results{weights}"),
        format!("lupe eval {file} DATA_SET -o results{weights}"),
    ]
}
