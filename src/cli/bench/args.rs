//! What `lupe bench` accepts.

use crate::cli::subject::{CheckpointArgs, WeightsArgs};
use crate::measure::measurement;
use crate::models;
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Bench {
    #[command(subcommand)]
    pub command: Option<BenchCommand>,
    #[command(flatten)]
    pub sweep: Sweep,
}

#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Says for every measurement in both files whether B is faster than A, slower, the same, or too noisy to tell
    #[command(
        after_help = "Examples:\n  lupe bench compare before.json after.json\n  lupe bench compare main.jsonl branch.jsonl --max-regress 5"
    )]
    Compare(Compare),
}

/// What is measured: every model at every size and batch on every device.
#[derive(Debug, Args)]
pub struct Sweep {
    /// Networks or files of fitted models, separated by commas
    #[arg(long, default_value = models::EMBEDDED.name, value_delimiter = ',', value_name = "MODEL,...")]
    pub model: Vec<String>,
    /// The network's weights, if there is one model; without them, built-in or random weights are used
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    #[command(flatten)]
    pub choice: WeightsArgs,
    #[command(flatten)]
    pub checkpoint: CheckpointArgs,
    /// Edge lengths of the network's input [default: the size that its preprocessing gives]
    #[arg(long, value_delimiter = ',', value_name = "PIXELS,...")]
    pub size: Vec<usize>,
    /// Pictures per run
    #[arg(long, default_value = "1", value_delimiter = ',', value_name = "N,...", value_parser = clap::value_parser!(u16).range(1..))]
    pub batch: Vec<u16>,
    /// Timed runs
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10000))]
    pub repeats: u16,
    /// Warm-up runs before the timed ones
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u16).range(..=1000))]
    pub warmup: u16,
    /// Fresh processes, each timed up to its first result
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u16).range(..=100))]
    pub cold: u16,
    /// Format of what is printed
    #[arg(long, value_enum, default_value = "md")]
    pub format: SweepFormatArg,
    /// Also write the results to this file, after every measurement: .md, .csv, .json or .jsonl
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Resume an interrupted sweep from its .json or .jsonl file: what is in it is not measured again
    #[arg(long, requires = "output")]
    pub resume: bool,
    /// One measurement in this process, for the process that started it
    #[arg(long, hide = true, value_enum, value_name = "ROLE")]
    pub worker: Option<WorkerTask>,
}

/// What a process measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WorkerTask {
    /// The time to its first result
    Start,
    /// Runs
    Runs,
}

impl WorkerTask {
    /// As it is written on the command line.
    pub fn word(self) -> &'static str {
        match self {
            WorkerTask::Start => "start",
            WorkerTask::Runs => "runs",
        }
    }
}

#[derive(Debug, Args)]
pub struct Compare {
    /// Results of `lupe bench` before the change, .json or .jsonl
    #[arg(value_name = "A")]
    pub before: PathBuf,
    /// Results after the change
    #[arg(value_name = "B")]
    pub after: PathBuf,
    /// End with code 8 if a measurement is certainly slower, by more than this many percent
    #[arg(long, value_name = "PERCENT", value_parser = percent, allow_negative_numbers = true)]
    pub max_regress: Option<f64>,
}

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SweepFormatArg {
    /// A table in Markdown
    Md,
    /// One row per measurement, without the individual runs
    Csv,
    /// A list with everything
    Json,
    /// The same, one line per measurement
    Jsonl,
}

impl SweepFormatArg {
    /// The library's name for it.
    pub fn written(self) -> measurement::SweepFormat {
        match self {
            SweepFormatArg::Md => measurement::SweepFormat::Md,
            SweepFormatArg::Csv => measurement::SweepFormat::Csv,
            SweepFormatArg::Json => measurement::SweepFormat::Json,
            SweepFormatArg::Jsonl => measurement::SweepFormat::Jsonl,
        }
    }
}

fn percent(text: &str) -> Result<f64, String> {
    let value = text.trim_end_matches('%').parse::<f64>().ok().filter(|v| v.is_finite() && *v >= 0.0);
    value.ok_or("expected a percentage, 0 or more".into())
}
