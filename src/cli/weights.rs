//! `lupe weights`: the tensors of a file and the networks it fits; a file of PyTorch as safetensors.

use super::args::{Convert, Kept, Weights as Args, WeightsCommand};
use super::output::{self, print};
use super::session::{Session, peak_memory};
use super::{catalog, inspect};
use crate::error::{Error, Result};
use crate::weights::convert::Converted;
use crate::weights::raw::{self, Options};
use crate::weights::safetensors::with_file;
use safetensors::Dtype;
use serde_json::json;

/// Runs the command.
pub fn run(session: &Session, args: &Args) -> Result<()> {
    match &args.command {
        WeightsCommand::Inspect { file } => inspect::run(session, file),
        WeightsCommand::Convert(args) => convert(session, args),
        WeightsCommand::List => catalog::list(session),
        WeightsCommand::Verify { file } => catalog::verify(session, file),
    }
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
    let (tensors, bytes) = with_file(&args.input, |bytes| {
        let tensors = raw::read(bytes, &origin, &options)?;
        let file = Converted::new(&tensors, dtype, &origin)?;
        output::write_by(&args.output, &|out| file.write(out))?;
        Ok((tensors.len(), file.bytes()))
    })?;
    if let Some(peak) = peak_memory() {
        log::info!("peak memory {:.0} MB", peak as f64 / 1e6);
    }
    let out = args.output.display().to_string();
    if session.json {
        return print(&json!({"output": out, "tensors": tensors, "bytes": bytes}).to_string());
    }
    print(&format!("{out}: {tensors} tensors, {bytes} bytes"))
}
