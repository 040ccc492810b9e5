//! `lupe weights`: the tensors of a file and the networks it fits; a file of PyTorch as safetensors.

mod catalog;
mod inspect;
mod model;
mod network;
mod pictures;

use super::global::bytes;
use super::memory::log_peak;
use super::output::print;
use super::session::Session;
use crate::error::{Error, Result};
use crate::files::write_by;
use crate::weights::convert::Converted;
use crate::weights::raw::{self, Options};
use crate::weights::safetensors::with_file;
use clap::Subcommand;
use safetensors::Dtype;
use serde_json::json;
use std::path::PathBuf;

/// What `lupe weights` accepts.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: WeightsCommand,
}

#[derive(Debug, Subcommand)]
enum WeightsCommand {
    /// Says what a file holds: tensors, the network that they are or nearly are, what they can be used for
    #[command(after_help = "Examples:\n  lupe weights inspect resnet18.pth\n  lupe weights inspect part.lupe --json")]
    Inspect {
        /// A file of PyTorch or safetensors, or a model that was fitted
        file: PathBuf,
    },
    /// Writes the tensors of a file of PyTorch as safetensors; nothing in it is executed
    #[command(
        after_help = "Examples:\n  lupe weights convert resnet18.pth resnet18.safetensors\n  lupe weights convert best.pth net.safetensors --unwrap --dtype f32"
    )]
    Convert(Convert),
    /// Lists published weights: their address, what pictures go through, how a file is known again
    #[command(after_help = "Example:\n  lupe weights list --json")]
    List,
    /// Compares a file's SHA-256 with what publishers state: prefix matched, mismatch (exit code 4) or unverified
    #[command(after_help = "Example:\n  lupe weights verify wide_resnet50_2-95faca4d.pth")]
    Verify {
        /// The file as it was got
        file: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
struct Convert {
    /// A .pth, .pt, .bin or .safetensors file; its first bytes say what it is
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// The file to write
    #[arg(value_name = "OUT.safetensors")]
    output: PathBuf,
    /// Type of floating-point tensors; others are kept in any case
    #[arg(long, default_value = "keep", value_name = "TYPE")]
    dtype: Kept,
    /// Only the network: down into `state_dict`, `model`, ..., without prefixes such as `module.`
    #[arg(long)]
    unwrap: bool,
    /// Leaves out what unknown names stand for; no tensor that is wanted may lie behind one
    #[arg(long)]
    skip_unknown: bool,
    /// Bytes that the file may become at most, as in 2G; else 64M or four times the file
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    limit_ram: Option<u64>,
}

/// What becomes of floating-point tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Kept {
    /// As they are
    Keep,
    /// Single precision
    F32,
    /// Half precision
    F16,
}

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
        write_by(&args.output, &|out| file.write(out))?;
        Ok((tensors.len(), file.bytes()))
    })?;
    log_peak();
    let out = args.output.display().to_string();
    if session.json {
        return print(&json!({"output": out, "tensors": tensors, "bytes": bytes}).to_string());
    }
    print(&format!("{out}: {tensors} tensors, {bytes} bytes"))
}
