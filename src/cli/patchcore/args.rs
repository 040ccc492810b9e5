//! What `lupe patchcore` accepts.

use crate::cli::args::bytes;
use crate::data::Limits;
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
        after_help = "Examples:\n  lupe patchcore fit hazelnut -o hazelnut.lupe\n  lupe patchcore fit good_parts -o part.lupe --preset anomalib --ratio 0.05\n\nAn interrupted fit goes on where it ended when the same command is given again."
    )]
    Fit(Box<Fit>),
    /// Scores pictures and draws where they differ from good ones
    #[command(after_help = "Example:\n  lupe patchcore predict part.lupe new_pictures -o results --masks --maps=npy")]
    Predict(Predict),
    /// Measures a model on labelled pictures
    #[command(after_help = "Example:\n  lupe patchcore eval hazelnut.lupe hazelnut -o results")]
    Eval(Eval),
    /// Makes a model of what the official implementation or anomalib saved; nothing in their files is executed
    #[command(
        after_help = "Examples:\n  lupe patchcore import models/mvtec_bottle -o bottle.lupe --weights wide_resnet50_2-95faca4d.pth\n  lupe patchcore import model.ckpt -o part.lupe --weights wide_resnet50_2.racm_in1k.safetensors\n\nScores are those of the implementation that fitted the bank. Where the source says how it was fitted, that counts; flags fill in what it does not say."
    )]
    Import(Box<Import>),
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
    /// Its weights, safetensors or .pth; only resnet50_thin has built-in ones
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    /// Keep the backbone's name and hash in the model, not its weights
    #[arg(long)]
    pub no_embed_backbone: bool,
    /// Stages [default: 2,3]
    #[arg(long, value_delimiter = ',', value_name = "N,…")]
    pub layers: Option<Vec<usize>>,
    /// Share of the patch vectors to keep; 1 keeps all [default: 0.1]
    #[arg(long)]
    pub ratio: Option<f64>,
    /// Where all random draws come from
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Nearest rows whose mean distance scores a place [default: 1]
    #[arg(long, value_name = "K")]
    pub neighbors: Option<usize>,
    /// Rows of the neighbourhood that re-weights a picture's score; 1: none [default: official 1, anomalib 9]
    #[arg(long, value_name = "B")]
    pub reweight: Option<usize>,
    /// Edge of the network's input [default: official 224, anomalib 256]
    #[arg(long)]
    pub size: Option<usize>,
    /// Shorter edge before the crop [default: 256]
    #[arg(long)]
    pub resize: Option<usize>,
    /// Look at the whole picture instead of its centre
    #[arg(long)]
    pub no_crop: bool,
    /// Without a test split, every N-th good picture is kept aside; 0: none
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub test_split: usize,
    /// Make all patch vectors again instead of going on where an interrupted fit ended
    #[arg(long)]
    pub fresh: bool,
    #[command(flatten)]
    pub work: Work,
}

#[derive(Debug, Args)]
pub struct Import {
    /// A folder with nnscorer_search_index.faiss and patchcore_params.pkl, or a checkpoint of anomalib
    #[arg(value_name = "DIR|CKPT")]
    pub source: PathBuf,
    /// The model file to write
    #[arg(short, long, value_name = "FILE.lupe")]
    pub output: PathBuf,
    /// Weights of the network that the bank was fitted with, safetensors or .pth
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    /// Network, in place of the one that the source names
    #[arg(long, value_name = "NAME")]
    pub backbone: Option<String>,
    /// Keep the backbone's name and hash in the model, not its weights
    #[arg(long)]
    pub no_embed_backbone: bool,
    /// Shorter edge before the crop, which the official implementation does not save [default: 256 for 224, 366 for 320]
    #[arg(long)]
    pub resize: Option<usize>,
    /// Nearest rows whose mean distance scores a place [default: as the official model says]
    #[arg(long, value_name = "K")]
    pub neighbors: Option<usize>,
    /// Stages, where a checkpoint does not state them [default: 2,3]
    #[arg(long, value_delimiter = ',', value_name = "N,…")]
    pub layers: Option<Vec<usize>>,
    /// Edge of the network's input, where a checkpoint does not state it [default: 256]
    #[arg(long)]
    pub size: Option<usize>,
    /// anomalib's num_neighbors, where a checkpoint does not state it [default: 9]
    #[arg(long, value_name = "B")]
    pub reweight: Option<usize>,
    /// Which model of a saved ensemble, from 1
    #[arg(long, value_name = "N")]
    pub member: Option<usize>,
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
    /// End with exit code 1 if a picture is above the limit
    #[arg(long)]
    pub exit_code: bool,
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

/// How pictures are worked through.
#[derive(Debug, Args)]
pub struct Work {
    /// Pictures in one run at most; never changes a result
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    pub batch: u16,
    /// Pixels of a picture at most
    #[arg(long, default_value_t = Limits::default().pixels, value_name = "N")]
    pub max_pixels: u64,
    /// Memory to use at most, as in 4G [default: 60 % of what is free]
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    pub limit_ram: Option<u64>,
    /// Go on without pictures that cannot be read, list them and end with exit code 9
    #[arg(long)]
    pub keep_going: bool,
}

/// What comes out.
#[derive(Debug, Args)]
pub struct Common {
    /// Weights of the backbone, for a model that does not hold them
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    /// How results are written: results.ndjson or results.csv
    #[arg(long, value_enum, default_value = "ndjson")]
    pub format: Format,
    /// No heat maps
    #[arg(long)]
    pub no_heatmaps: bool,
    /// Raw maps at the pictures' own size, 32-bit floats
    #[arg(long, value_name = "FORMAT", value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "tiff")]
    pub maps: Option<MapFormat>,
    /// Masks of what is above the limit, at the pictures' own size, as PNG
    #[arg(long)]
    pub masks: bool,
    /// Patch vectors [places, values] of every picture, as .npy
    #[arg(long)]
    pub dump_features: bool,
    #[command(flatten)]
    pub work: Work,
}

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A JSON object a line
    Ndjson,
    /// A table
    Csv,
}

/// How raw maps are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum MapFormat {
    /// TIFF, as MVTec's evaluation code reads it
    Tiff,
    /// NumPy's format
    Npy,
}
