//! What `lupe patchcore` accepts.

use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct PatchCore {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Fits a memory bank on good pictures
    #[command(
        after_help = "Examples:\n  lupe patchcore fit hazelnut -o hazelnut.lupe\n  lupe patchcore fit good_parts -o part.lupe --preset anomalib --ratio 0.05"
    )]
    Fit(Box<Fit>),
    /// Scores pictures and draws where they differ from good ones
    #[command(after_help = "Example:\n  lupe patchcore predict part.lupe new_pictures -o results")]
    Predict(Predict),
    /// Measures a model on labelled pictures
    #[command(after_help = "Example:\n  lupe patchcore eval hazelnut.lupe hazelnut -o results")]
    Eval(Eval),
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Preset {
    /// As amazon-science/patchcore-inspection
    Official,
    /// As anomalib
    Anomalib,
}

#[derive(Debug, Args)]
pub struct Fit {
    /// A data set: MVTec AD layout, good/ and defect folders, pictures alone, or a .csv
    #[arg(value_name = "DIR")]
    pub data: PathBuf,
    /// The model file to write
    #[arg(short, long, value_name = "FILE.lupe")]
    pub output: PathBuf,
    /// Whose PatchCore
    #[arg(long, value_enum, default_value = "official")]
    pub preset: Preset,
    /// Network
    #[arg(long, default_value = "resnet50_thin", value_name = "NAME")]
    pub backbone: String,
    /// Its weights, safetensors; only resnet50_thin has built-in ones
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    /// Keep the backbone's name and hash in the model, not its weights
    #[arg(long)]
    pub no_embed_backbone: bool,
    /// Stages, as in 2,3
    #[arg(long, value_delimiter = ',', value_name = "N,…")]
    pub layers: Option<Vec<usize>>,
    /// Share of the patch vectors to keep; 1 keeps all
    #[arg(long)]
    pub ratio: Option<f64>,
    /// Where all random draws come from
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Nearest rows whose mean distance scores a place
    #[arg(long, value_name = "K")]
    pub neighbors: Option<usize>,
    /// Rows of the neighbourhood that re-weights a picture's score; 1: none
    #[arg(long, value_name = "B")]
    pub reweight: Option<usize>,
    /// Edge of the network's input
    #[arg(long)]
    pub size: Option<usize>,
    /// Shorter edge before the crop
    #[arg(long)]
    pub resize: Option<usize>,
    /// Look at the whole picture instead of its centre
    #[arg(long)]
    pub no_crop: bool,
    /// Without a test split, every N-th good picture is kept aside; 0: none
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub test_split: usize,
    /// Pictures in one run at most; never changes a result
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    pub batch: u16,
}

#[derive(Debug, Args)]
pub struct Predict {
    /// A fitted model
    #[arg(value_name = "MODEL.lupe")]
    pub model: PathBuf,
    /// Pictures, or folders of them
    #[arg(required = true, value_name = "PICTURE|DIR")]
    pub pictures: Vec<PathBuf>,
    /// Folder for the results
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,
    #[command(flatten)]
    pub common: Common,
}

#[derive(Debug, Args)]
pub struct Eval {
    /// A fitted model
    #[arg(value_name = "MODEL.lupe")]
    pub model: PathBuf,
    /// A data set with test pictures
    #[arg(value_name = "DIR")]
    pub data: PathBuf,
    /// Folder for the results
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,
    /// Count pictures that the model was fitted on, too
    #[arg(long)]
    pub allow_seen: bool,
    /// Leave out defective pictures that have no mask
    #[arg(long)]
    pub skip_unmasked: bool,
    #[command(flatten)]
    pub common: Common,
}

#[derive(Debug, Args)]
pub struct Common {
    /// Weights of the backbone, for a model that does not hold them
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    /// No heat maps
    #[arg(long)]
    pub no_heatmaps: bool,
    /// Raw maps at the pictures' own size, as 32-bit float TIFF
    #[arg(long)]
    pub maps: bool,
    /// Pictures in one run at most; never changes a result
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    pub batch: u16,
}
