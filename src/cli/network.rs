//! The network that a command names, with its weights.

use crate::error::{Error, Result};
use crate::methods::embed::check;
use crate::models::{self, Model};
use crate::weights::Weights;
use std::path::Path;

/// The network of that name and its weights, batch norms folded: from a file, else built in.
///
/// # Errors
/// [`Error::Usage`] for an unknown name or one without built-in weights, [`Error::Weights`] for weights of another network.
pub fn network(name: &str, file: Option<&Path>) -> Result<(&'static Model, Weights)> {
    let model = models::find(name).ok_or_else(|| {
        let names: Vec<&str> = models::ALL.iter().map(|m| m.name).collect();
        Error::Usage(format!("there is no network {name}; there are {}", names.join(", ")))
    })?;
    let weights = match file {
        Some(path) => Weights::open(path)?,
        None if model.name == models::EMBEDDED.name => Weights::embedded()?,
        None => {
            let built_in = models::EMBEDDED.name;
            return Err(Error::Usage(format!(
                "{name} has no built-in weights (only {built_in} has): give --weights FILE"
            )));
        }
    };
    let weights = weights.fold_batch_norm()?;
    check(model, &weights)?;
    Ok((model, weights))
}
