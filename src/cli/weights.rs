//! `lupe weights inspect`: tensors of a file, and the networks it fits.

use super::args::{Weights as Args, WeightsCommand};
use super::output::print;
use super::session::Session;
use crate::error::Result;
use crate::methods::embed::check;
use crate::models;
use crate::weights::Weights;
use crate::weights::safetensors::{Entry, inspect, with_file};
use comfy_table::{Table, presets};
use serde_json::json;
use std::path::Path;

/// Runs the command.
pub fn run(session: &Session, args: &Args) -> Result<()> {
    let WeightsCommand::Inspect { file } = &args.command;
    let entries = with_file(file, |bytes| inspect(bytes, &file.display().to_string()))?;
    let fits = networks(file)?;
    if session.json {
        let tensor = |e: &Entry| json!({"name": e.name, "dtype": e.dtype, "shape": e.shape, "bytes": e.bytes});
        let tensors: Vec<_> = entries.iter().map(tensor).collect();
        return print(&json!({"tensors": tensors, "networks": fits}).to_string());
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["tensor", "type", "shape", "bytes"]);
    for e in &entries {
        table.add_row([e.name.clone(), e.dtype.clone(), format!("{:?}", e.shape), e.bytes.to_string()]);
    }
    let total: usize = entries.iter().map(|e| e.bytes).sum();
    let fits = if fits.is_empty() { "no network that Lupe knows".into() } else { fits.join(", ") };
    print(&format!("{table}\n{} tensors, {total} bytes; fits {fits}", entries.len()))
}

/// Networks that these weights are complete for.
fn networks(file: &Path) -> Result<Vec<&'static str>> {
    let weights = Weights::open(file)?.fold_batch_norm()?;
    Ok(models::ALL.iter().filter(|m| check(m, &weights).is_ok()).map(|m| m.name).collect())
}
