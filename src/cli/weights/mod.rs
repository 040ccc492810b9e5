//! `lupe weights`: the tensors of a file and the networks it fits; a PyTorch file as safetensors.

mod catalog;
mod inspect;
mod model;
mod network;
mod pictures;
mod pull;

use super::env;
use super::global::bytes;
use super::output::print;
use super::session::Session;
use crate::error::{Error, Result, shown};
use crate::files::write_by;
use crate::memory::log_peak;
use crate::outputs::Inputs;
use crate::weights::convert::{Cast, Converted};
use crate::weights::raw::{self, Left, ReadOptions, left_text};
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
    /// Says what a file contains: tensors, the network they belong to or come closest to, what they can be used for
    #[command(after_help = "Examples:\n  lupe weights inspect resnet18.pth\n  lupe weights inspect part.lupe --json")]
    Inspect {
        /// A PyTorch or safetensors file, a name in `lupe weights list`, or a fitted model
        file: PathBuf,
    },
    /// Converts a PyTorch file to safetensors; nothing in it is executed
    #[command(
        after_help = "Examples:\n  lupe weights convert resnet18.pth resnet18.safetensors\n  lupe weights convert best.pth net.safetensors --unwrap --dtype f16 --keep-below 40000"
    )]
    Convert(Convert),
    /// Lists published weights: their address, how pictures are prepared for them, how a file is recognised
    #[command(after_help = "Example:\n  lupe weights list --json")]
    List,
    /// Gets published weights from their publisher into the cache folder, where `--weights NAME` finds them
    #[command(
        after_help = "Examples:\n  lupe weights pull dinov2_vits14.facebook\n  lupe weights pull caml.clip --print\n\nA file appears whole and checked, or not at all: its SHA-256, or the start of it, is compared where a source states it. What came before an interrupt is kept, and the next pull goes on. HTTPS_PROXY and NO_PROXY are heeded. No other command opens a connection."
    )]
    Pull(pull::Pull),
    /// Compares a file's SHA-256 with what publishers state: matched, prefix matched, mismatch (exit code 4) or unverified
    #[command(after_help = "Example:\n  lupe weights verify wide_resnet50_2-95faca4d.pth")]
    Verify {
        /// The file as it was downloaded
        file: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
struct Convert {
    /// A .pth, .pt, .bin or .safetensors file, recognised by its content
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// The file to write
    #[arg(value_name = "OUT.safetensors")]
    output: PathBuf,
    /// Type of floating-point tensors; other tensors are kept as they are
    #[arg(long, default_value = "keep", value_name = "TYPE")]
    dtype: Kept,
    /// Keep tensors of fewer elements as they are, as in 40000: they take little room, and rounding early layers is felt most
    #[arg(long, default_value_t = 0, requires = "dtype", value_name = "ELEMENTS")]
    keep_below: usize,
    /// Only the network: look inside `state_dict`, `model`, ... and remove prefixes such as `module.`
    #[arg(long)]
    unwrap: bool,
    /// Only what is under this path, as in `model_ema` or `state_dict.module`, which is removed from the names
    #[arg(long, value_name = "NAME", conflicts_with = "unwrap")]
    tree: Option<String>,
    /// Leave out objects of unknown types and tensors of kinds that cannot be read; a tensor that needs an object is still an error
    #[arg(long)]
    skip_unknown: bool,
    /// Maximum memory that the file may expand to, e.g. 2G [default: 64M or four times the file, whichever is more]
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    limit_ram: Option<u64>,
}

/// The type that floating-point tensors get.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Kept {
    /// Unchanged
    Keep,
    /// Single precision
    F32,
    /// Half precision
    F16,
}

/// Runs the command.
pub fn run(session: &Session, args: &Args) -> Result<()> {
    match &args.command {
        WeightsCommand::Inspect { file } => inspect::run(session, &env::weights(file)),
        WeightsCommand::Convert(args) => convert(session, args),
        WeightsCommand::List => catalog::list(session),
        WeightsCommand::Pull(args) => pull::run(session, args),
        WeightsCommand::Verify { file } => catalog::verify(session, &env::weights(file)),
    }
}

fn convert(session: &Session, args: &Convert) -> Result<()> {
    if args.output.extension().is_none_or(|e| e != "safetensors") {
        return Err(Error::Usage(format!(
            "{}: expected an output name that ends in .safetensors",
            shown(&args.output)
        )));
    }
    session.outputs.file(&args.output, &Inputs::of([&args.input]))?;
    let dtype = match args.dtype {
        Kept::Keep => None,
        Kept::F32 => Some(Dtype::F32),
        Kept::F16 => Some(Dtype::F16),
    };
    let options = ReadOptions {
        unwrap: args.unwrap,
        skip_unknown: args.skip_unknown,
        limit: args.limit_ram,
        dtype,
        tree: args.tree.as_deref(),
        lenient: args.skip_unknown,
        ..ReadOptions::default()
    };
    let origin = shown(&args.input);
    let (tensors, bytes, left) = with_file(&args.input, |bytes| {
        let mut found = raw::contents(bytes, &origin, &options)?;
        let unreadable = std::mem::take(&mut found.unreadable);
        found.left.extend(unreadable.into_keys().map(|path| Left { path, tensors: 1 }));
        let file = Converted::new(&found.tensors, Cast { dtype, keep_below: args.keep_below }, &origin)?;
        write_by(&args.output, &|out| file.write(out))?;
        Ok((found.tensors.len(), file.bytes(), found.left))
    })?;
    log_peak();
    let out = args.output.display().to_string();
    if session.json {
        let left = inspect::besides(&left);
        return print(&json!({"output": out, "tensors": tensors, "bytes": bytes, "left_out": left}).to_string());
    }
    let out = shown(&args.output);
    let left = left_text(&left).map_or(String::new(), |left| format!("\nleft out: {left}"));
    print(&format!("{out}: {tensors} tensors, {bytes} bytes{left}"))
}
