//! `lupe weights`: the tensors of a file and the networks it fits; a file of PyTorch as safetensors.

use super::args::{Convert, Kept, Weights as Args, WeightsCommand};
use super::catalog;
use super::output::{self, print};
use super::session::Session;
use crate::error::{Error, Result};
use crate::methods::embed::check;
use crate::models;
use crate::weights::Weights;
use crate::weights::raw::{self, Options};
use crate::weights::safetensors::{Entry, inspect, with_file};
use comfy_table::{Table, presets};
use safetensors::Dtype;
use serde_json::json;
use std::path::Path;

/// Runs the command.
pub fn run(session: &Session, args: &Args) -> Result<()> {
    match &args.command {
        WeightsCommand::Inspect { file } => look(session, file),
        WeightsCommand::Convert(args) => convert(session, args),
        WeightsCommand::List => catalog::list(session),
        WeightsCommand::Verify { file } => catalog::verify(session, file),
    }
}

fn look(session: &Session, file: &Path) -> Result<()> {
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

fn convert(session: &Session, args: &Convert) -> Result<()> {
    if args.output.extension().is_none_or(|e| e != "safetensors") {
        return Err(Error::Usage(format!("{}: the file to write must end in .safetensors", args.output.display())));
    }
    let dtype = match args.dtype {
        Kept::Keep => None,
        Kept::F32 => Some(Dtype::F32),
        Kept::F16 => Some(Dtype::F16),
    };
    let options = Options { unwrap: args.unwrap, skip_unknown: args.skip_unknown, limit: args.limit_ram, dtype };
    let origin = args.input.display().to_string();
    let (tensors, file) = with_file(&args.input, |bytes| {
        let tensors = raw::read(bytes, &origin, &options)?;
        let tensors = if let Some(dtype) = dtype { raw::cast(tensors, dtype, &origin)? } else { tensors };
        Ok((tensors.len(), raw::write(&tensors)?))
    })?;
    output::write(&args.output, &file)?;
    let (out, bytes) = (args.output.display().to_string(), file.len());
    if session.json {
        return print(&json!({"output": out, "tensors": tensors, "bytes": bytes}).to_string());
    }
    print(&format!("{out}: {tensors} tensors, {bytes} bytes"))
}

/// Networks that these weights are complete for.
fn networks(file: &Path) -> Result<Vec<&'static str>> {
    let weights = Weights::open(file)?.fold_batch_norm()?;
    Ok(models::ALL.iter().filter(|m| check(m, &weights).is_ok()).map(|m| m.name).collect())
}
