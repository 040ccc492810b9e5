//! What the command line accepts.

use super::bench;
use super::patchcore::{self, args::PatchCore};
use super::subject;
use crate::methods::embed::Tap;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Looks at pictures of manufactured parts, on any GPU.
#[derive(Debug, Parser)]
#[command(name = "lupe", version, disable_help_subcommand = true, max_term_width = 110)]
#[command(after_help = "Examples:\n  lupe demo\n  lupe embed part.png -o features.safetensors\n  lupe help exit-codes")]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Flags of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Everywhere")]
pub struct Global {
    /// Adapter: auto, its number in `lupe devices`, or part of its name
    #[arg(short, long, global = true, default_value = "auto", value_name = "auto|INDEX|NAME")]
    pub device: String,
    /// Results as JSON on stdout
    #[arg(long, global = true)]
    pub json: bool,
    /// Results and errors only
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// More about what happens; twice for details
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// The default kernels, whatever `lupe tune` wrote
    #[arg(long, global = true)]
    pub deterministic: bool,
    /// Device memory to use at most, as in 512M or 2G
    #[arg(long, global = true, value_name = "SIZE", value_parser = bytes)]
    pub limit_memory: Option<u64>,
    /// Keeps the software driver at its own vector width (as LUPE_NO_REEXEC does); never changes a result
    #[arg(long, global = true)]
    pub no_reexec: bool,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists the adapters and which kernels each will run
    #[command(after_help = "Examples:\n  lupe devices --json\n  lupe devices --self-test --device 0")]
    Devices(Devices),
    /// Turns pictures into features of a network's stages
    #[command(
        after_help = "Examples:\n  lupe embed part.png\n  lupe embed *.jpg --tap layer2 --tap layer3 -o features.safetensors\n  lupe embed part.png --model resnet18 --weights resnet18.safetensors --tap pool -o feature.npy"
    )]
    Embed(Embed),
    /// Finds defects after seeing good pictures only: fit, predict, eval; import of models that others fitted
    #[command(after_help = "Example:\n  lupe patchcore fit good_parts -o part.lupe")]
    Patchcore(PatchCore),
    /// Looks into files of weights and converts them
    #[command(
        after_help = "Examples:\n  lupe weights inspect resnet18.safetensors\n  lupe weights convert resnet18.pth resnet18.safetensors"
    )]
    Weights(Weights),
    /// Times every dispatch of a network or a fitted model, against what the adapter can do
    #[command(
        after_help = "Examples:\n  lupe profile resnet18\n  lupe profile part.lupe part.png --html profile.html --trace trace.json\n  lupe profile resnet50_thin --by op --device 0"
    )]
    Profile(Profile),
    /// Times networks and fitted models whole: sweeps of models, sizes, batches and devices; compare of two such sweeps
    #[command(
        after_help = "Examples:\n  lupe bench --model resnet18,resnet50_thin --batch 1,8 --device 0,1\n  lupe bench --model part.lupe -o before.json\n  lupe bench compare before.json after.json --max-regress 5\n\nEvery measurement runs in processes of its own; times are from numbers in the host's memory to numbers there."
    )]
    Bench(bench::args::Bench),
    /// Times the candidates of every node on this adapter and keeps the fastest for later runs
    #[command(
        after_help = "Examples:\n  lupe tune resnet18\n  lupe tune part.lupe --repeats 50\n\nScores stay the same to the bit: only kernels that add up in the default's order are taken, unless --fast."
    )]
    Tune(Tune),
    /// Shows what a run of a network consists of: dispatches, forms, slots, FLOPs
    #[command(after_help = "Examples:\n  lupe plan resnet18\n  lupe plan part.lupe --json")]
    Plan(PlanArgs),
    /// Compares every dispatch with its reference on the CPU; ends with code 7 at the first that differs
    #[command(
        after_help = "Examples:\n  lupe verify resnet50_thin part.png\n  lupe verify resnet18 --size 64 --device all\n  lupe verify resnet18 --candidate conv_direct"
    )]
    Verify(Verify),
    /// Writes every kernel as plain WGSL
    #[command(after_help = "Example:\n  lupe shaders --dump wgsl")]
    Shaders(Shaders),
    /// Finds painted defects on photographs that ship with Lupe: fit, eval, heat maps
    #[command(after_help = "Examples:\n  lupe demo\n  lupe demo -o /tmp/demo --device 0")]
    Demo {
        /// Folder for everything that it makes
        #[arg(short, long, default_value = "lupe-demo", value_name = "DIR")]
        output: PathBuf,
    },
    /// Help on a command, or on exit-codes
    #[command(after_help = "Examples:\n  lupe help embed\n  lupe help exit-codes")]
    Help {
        /// A command, or `exit-codes`
        topic: Vec<String>,
    },
}

impl Command {
    /// Whether the command opens a device, or tells of them.
    pub fn needs_device(&self) -> bool {
        match self {
            Command::Patchcore(args) => !matches!(args.command, patchcore::args::Command::Import(_)),
            // A sweep leaves its devices to its workers.
            Command::Bench(args) => args.sweep.worker.is_some(),
            Command::Weights(_) | Command::Shaders(_) | Command::Help { .. } => false,
            Command::Devices(_) | Command::Embed(_) | Command::Demo { .. } => true,
            Command::Plan(_) | Command::Verify(_) | Command::Profile(_) | Command::Tune(_) => true,
        }
    }
}

#[derive(Debug, Args)]
pub struct Devices {
    /// Compares the kernels of the chosen device with their references instead; ends with code 7 at the first that differs
    #[arg(long)]
    pub self_test: bool,
}

#[derive(Debug, Args)]
pub struct Embed {
    /// Pictures: PNG, JPEG, BMP, TIFF or WebP
    #[arg(required = true, value_name = "PICTURE")]
    pub pictures: Vec<PathBuf>,
    /// Network
    #[arg(long, default_value = "resnet50_thin", value_name = "NAME")]
    pub model: String,
    /// Its weights, safetensors or .pth; only resnet50_thin has built-in ones
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    /// layer1, layer2, layer3, layer4 or pool; may be given several times
    #[arg(long, default_value = "pool", value_name = "TAP")]
    pub tap: Vec<Tap>,
    /// Pictures in one run at most; never changes a result
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub batch: u16,
    /// Output: .safetensors, .npy (one tap) or .json; without it a summary is printed
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Profile {
    #[command(flatten)]
    pub subject: subject::Named,
    /// The picture to look at [default: noise, and no decoding]
    pub picture: Option<PathBuf>,
    /// Runs that are timed, after one to warm up
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub repeats: u16,
    /// Rows of the table
    #[arg(long, value_enum, default_value = "node")]
    pub by: By,
    /// All of it as one page with a roofline and sortable tables
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// The last run as a trace for Perfetto or Chrome
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Tune {
    #[command(flatten)]
    pub subject: subject::Named,
    /// Runs of every candidate, after one to warm up
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub repeats: u16,
    /// Also kernels that add up in another order: results may differ in the last bits, and say so
    #[arg(long)]
    pub fast: bool,
}

/// What a row of a profile is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum By {
    /// A dispatch
    Node,
    /// All dispatches of an op
    Op,
    /// All dispatches of a shader
    Shader,
}

#[derive(Debug, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    pub subject: subject::Named,
    /// Take the first candidate whose name contains this text wherever there is one
    #[arg(long, value_name = "LABEL")]
    pub candidate: Option<String>,
}

#[derive(Debug, Args)]
pub struct Verify {
    #[command(flatten)]
    pub subject: subject::Named,
    /// The picture to look at [default: noise]
    pub picture: Option<PathBuf>,
    /// Take the first candidate whose name contains this text wherever there is one
    #[arg(long, value_name = "LABEL")]
    pub candidate: Option<String>,
}

#[derive(Debug, Args)]
pub struct Shaders {
    /// Folder for one .wgsl a kernel, and their list shaders.csv
    #[arg(long, value_name = "DIR")]
    pub dump: PathBuf,
}

#[derive(Debug, Args)]
pub struct Weights {
    #[command(subcommand)]
    pub command: WeightsCommand,
}

#[derive(Debug, Subcommand)]
pub enum WeightsCommand {
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

#[derive(Debug, Args)]
pub struct Convert {
    /// A .pth, .pt, .bin or .safetensors file; its first bytes say what it is
    #[arg(value_name = "IN")]
    pub input: PathBuf,
    /// The file to write
    #[arg(value_name = "OUT.safetensors")]
    pub output: PathBuf,
    /// Type of floating-point tensors; others are kept in any case
    #[arg(long, default_value = "keep", value_name = "TYPE")]
    pub dtype: Kept,
    /// Only the network: down into `state_dict`, `model`, ..., without prefixes such as `module.`
    #[arg(long)]
    pub unwrap: bool,
    /// Leaves out what unknown names stand for; no tensor that is wanted may lie behind one
    #[arg(long)]
    pub skip_unknown: bool,
    /// Bytes that the file may become at most, as in 2G; else 64M or four times the file
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    pub limit_ram: Option<u64>,
}

/// What becomes of floating-point tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kept {
    /// As they are
    Keep,
    /// Single precision
    F32,
    /// Half precision
    F16,
}

/// `512M`, `2G`, `1000000`.
pub fn bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.strip_prefix(digits).map(str::to_ascii_uppercase).as_deref() {
        Some("" | "B") => 1u64,
        Some("K" | "KB" | "KIB") => 1 << 10,
        Some("M" | "MB" | "MIB") => 1 << 20,
        Some("G" | "GB" | "GIB") => 1 << 30,
        _ => return Err("a number with K, M or G is wanted, as in 512M".into()),
    };
    let number: u64 = digits.parse().map_err(|_| "a number with K, M or G is wanted, as in 512M".to_string())?;
    number.checked_mul(unit).ok_or("that is more than there can be".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(bytes("8M"), Ok(8 << 20));
        assert_eq!(bytes("2gib"), Ok(2 << 30));
        assert_eq!(bytes("100"), Ok(100));
        for bad in ["", "M", "8X", "-1M", "99999999999G"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
