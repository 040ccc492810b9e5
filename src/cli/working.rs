//! What fit, predict and eval accept alike: how pictures are worked through, and what is written of them.

use super::global::bytes;
use crate::data::Limits;
use crate::data::load::Loading;
use crate::methods::drawing::{self, Draw};
use crate::methods::patchcore::layer;
use crate::methods::results;
use clap::{Args, ValueEnum};
use std::collections::BTreeSet;
use std::path::PathBuf;

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

impl Work {
    /// How pictures are loaded.
    pub fn loading(&self) -> Loading {
        Loading { limits: Limits::of(self.max_pixels), keep_going: self.keep_going, leave_out: BTreeSet::new() }
    }
}

/// A place by its name, or a stage by its number.
pub fn place(text: &str) -> std::result::Result<String, String> {
    Ok(text.parse().map_or(text.to_string(), layer))
}

/// What comes out.
#[derive(Debug, Args)]
pub struct Out {
    /// Folder for the results
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,
    /// Weights of the backbone, for a model that does not hold them
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    /// How results are written: results.ndjson or results.csv
    #[arg(long, value_enum, default_value = "ndjson")]
    format: Format,
    /// No heat maps
    #[arg(long)]
    no_heatmaps: bool,
    /// Raw maps at the pictures' own size, 32-bit floats
    #[arg(long, value_name = "FORMAT", value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "tiff")]
    maps: Option<MapFormat>,
    /// Masks of what is above the limit, at the pictures' own size, as PNG
    #[arg(long)]
    masks: bool,
    /// Patch vectors [places, values] of every picture, as .npy
    #[arg(long)]
    dump_features: bool,
    #[command(flatten)]
    pub work: Work,
}

impl Out {
    /// The format of results, and what is drawn.
    pub fn wanted(&self) -> (results::Format, Draw) {
        let format = match self.format {
            Format::Ndjson => results::Format::Ndjson,
            Format::Csv => results::Format::Csv,
        };
        let maps = self.maps.map(|format| match format {
            MapFormat::Tiff => drawing::MapFormat::Tiff,
            MapFormat::Npy => drawing::MapFormat::Npy,
        });
        (format, Draw { heatmaps: !self.no_heatmaps, maps, masks: self.masks, features: self.dump_features })
    }
}

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A JSON object a line
    Ndjson,
    /// A table
    Csv,
}

/// How raw maps are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum MapFormat {
    /// TIFF, as MVTec's evaluation code reads it
    Tiff,
    /// NumPy's format
    Npy,
}
