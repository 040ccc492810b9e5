//! Arguments shared by fit, predict and eval: how pictures are processed, and what is written about them.

use super::env;
use super::output::quoted;
use super::session::Session;
use super::subject::{CheckpointArgs, WeightsArgs, open_model};
use crate::data::Limits;
use crate::data::dataset::{Dataset, Layout, Sample};
use crate::data::load::Loading;
use crate::error::{Error, Result, plain, shown};
use crate::files::write;
use crate::manifest::Manifest;
use crate::methods::Fitted;
use crate::methods::caml::{Asked, Average, Many};
use crate::methods::drawing::{self, Draw};
use crate::methods::kept::Kept;
use crate::methods::patchcore::layer;
use crate::methods::prototype::Adaptation;
use crate::methods::prototype::finetune::Finetune;
use crate::methods::results;
use crate::outputs::{Inputs, ending_in};
use crate::report::Curves;
use crate::train::Keeping;
use crate::watch::Watch;
use crate::weights::WeightsFile;
use clap::{Args, ValueEnum};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// How pictures are loaded.
#[derive(Debug, Args)]
pub struct LoadArgs {
    /// Maximum number of pixels per picture
    #[arg(long, default_value_t = Limits::default().pixels, value_name = "N")]
    pub max_pixels: u64,
    /// Skip pictures that cannot be read, list them and end with exit code 9
    #[arg(long)]
    pub keep_going: bool,
    /// Take all pictures, also those that look like masks of others
    #[arg(long)]
    pub all: bool,
}

impl LoadArgs {
    /// How pictures are loaded.
    pub fn loading(&self) -> Loading {
        Loading { limits: Limits::of(self.max_pixels), keep_going: self.keep_going, leave_out: BTreeSet::new() }
    }
}

/// How pictures are processed.
#[derive(Debug, Args)]
pub struct WorkArgs {
    /// Maximum number of pictures per run; does not affect results
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    pub batch: u16,
    #[command(flatten)]
    pub load: LoadArgs,
}

impl WorkArgs {
    /// How pictures are loaded.
    pub fn loading(&self) -> Loading {
        self.load.loading()
    }
}

/// How classes get the labels of CAML's checkpoint.
#[derive(Debug, Args)]
pub struct LabelArgs {
    /// Average over N ways to give classes their labels, or all: each is a run through the transformer [default: 1]
    #[arg(long, value_name = "N|all")]
    average: Option<Average>,
    /// What to do about more classes than the checkpoint has labels, which the paper does not say
    #[arg(long, value_enum, value_name = "HOW")]
    many_classes: Option<ManyArg>,
    /// Turn the answers of a label-flipped checkpoint round
    #[arg(long)]
    reverse_labels: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ManyArg {
    /// Ask about every choice of as many classes as the checkpoint has labels, and average
    Subsets,
    /// Ask for every class whether it is that one or any other
    OneVsRest,
    /// Ask whether good or not, then which of the others
    TwoStage,
}

impl LabelArgs {
    /// What was asked for, with these choices.
    pub fn with(&self, asked: Asked) -> Asked {
        let many = self.many_classes.map(|many| match many {
            ManyArg::Subsets => Many::Subsets,
            ManyArg::OneVsRest => Many::OneVsRest,
            ManyArg::TwoStage => Many::TwoStage,
        });
        Asked { average: self.average, many, reversed: self.reverse_labels, ..asked }
    }
}

/// What an error leaves behind where an earlier run's results are; an interrupt says it by itself.
pub fn left_over(session: &Session, older: Option<&String>, error: &Error) {
    if let (Some(older), false) = (older, matches!(error, Error::Interrupted(_))) {
        session.say(&format!("note: {older}"));
    }
}

/// All files that are read of a data set: pictures, masks, its table.
pub fn files_of(set: &Dataset, data: &Path) -> Vec<PathBuf> {
    let table = if set.layout == Layout::Csv { ending_in(data, &["csv", "tsv"]) } else { vec![] };
    set.train
        .iter()
        .chain(&set.test)
        .chain(&set.validation)
        .flat_map(Sample::files)
        .map(Path::to_path_buf)
        .chain(table)
        .collect()
}

/// A place by its name, or a stage by its number.
pub fn place(text: &str) -> std::result::Result<String, String> {
    Ok(text.parse().map_or(text.to_string(), layer))
}

/// A value for raw maps: one that 32-bit floats hold, or what is meant to be infinite.
fn outside(text: &str) -> std::result::Result<f32, String> {
    let value = text.parse::<f32>().map_err(|_| "expected a number such as 0 or -1, or nan")?;
    let overflown = value.is_infinite() && text.contains(|c: char| c.is_ascii_digit());
    if overflown { Err("must be between -3.4e38 and 3.4e38, or inf, -inf or nan".into()) } else { Ok(value) }
}

/// What a crop leaves of pictures, of which it sees this share; `None` if it sees all.
pub fn crop_words(seen: Option<f64>) -> Option<String> {
    let seen = seen.filter(|s| *s < 0.995)?;
    Some(format!(
        "the model looks at the centre of a picture: {:.0} % of the pixels here; the rest has no verdict",
        seen * 100.0
    ))
}

/// What is written.
#[derive(Debug, Args)]
pub struct Out {
    /// Folder for the results
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,
    /// Weights of the backbone, for a model that does not contain them
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    #[command(flatten)]
    pub choice: WeightsArgs,
    #[command(flatten)]
    checkpoint: CheckpointArgs,
    /// Format of the results: results.ndjson or results.csv
    #[arg(long, value_enum, default_value = "ndjson")]
    format: ResultsFormatArg,
    /// Write no heat maps
    #[arg(long)]
    no_heatmaps: bool,
    /// Write raw anomaly maps at the pictures' own size, as 32-bit floats
    #[arg(long, value_name = "FORMAT", value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "tiff")]
    maps: Option<MapFormatArg>,
    /// Value of raw maps outside the crop, which was not looked at, e.g. 0 or nan [default: -inf]
    #[arg(long, value_name = "VALUE", requires = "maps", value_parser = outside)]
    maps_outside: Option<f32>,
    /// Write masks of what is above the limit, at the pictures' own size, as PNG
    #[arg(long)]
    masks: bool,
    /// Write the patch vectors [places, values] of every picture, as .npy
    #[arg(long)]
    dump_features: bool,
    #[command(flatten)]
    pub work: WorkArgs,
}

impl Out {
    /// The weights file that was named.
    pub fn weights(&self) -> Option<WeightsFile> {
        self.choice.of(self.weights.as_deref())
    }

    /// Opens a fitted model with them, and with its checkpoint.
    ///
    /// # Errors
    /// As [`open_model`].
    pub fn open(&self, session: &Session, model: &Path) -> Result<Box<dyn Fitted>> {
        open_model(session, model, self.weights().as_ref(), &self.checkpoint)
    }

    /// Tries the folder, and holds what a run over `samples` may write there against what it reads.
    pub fn prepare(&self, session: &Session, samples: &[Sample], read: &[PathBuf], metrics: bool) -> Result<()> {
        let inputs = Inputs::of(read.iter().chain(&self.weights).chain(&self.checkpoint.file()));
        let planned = results::planned(samples, self.wanted(), metrics);
        planned.iter().try_for_each(|name| inputs.apart(&self.output.join(name)))?;
        let manifest = Manifest::open(&self.output);
        manifest.spare(&planned)?;
        session.outputs.folder(&self.output)?;
        let unlisted = manifest.unlisted(&planned);
        if let Some(first) = unlisted.first() {
            let (out, n, first) = (shown(&self.output), unlisted.len(), plain(first));
            session.say(&format!(
                "note: {out} holds {n} files that no earlier run listed, such as {first}; they are left there"
            ));
        }
        Ok(())
    }

    /// The format of results, and what is drawn.
    pub fn wanted(&self) -> (results::ResultsFormat, Draw) {
        let format = match self.format {
            ResultsFormatArg::Ndjson => results::ResultsFormat::Ndjson,
            ResultsFormatArg::Csv => results::ResultsFormat::Csv,
        };
        let maps = self.maps.map(|format| match format {
            MapFormatArg::Tiff => drawing::MapFormat::Tiff,
            MapFormatArg::Npy => drawing::MapFormat::Npy,
        });
        (
            format,
            Draw {
                heatmaps: !self.no_heatmaps,
                maps,
                outside: self.maps_outside,
                masks: self.masks,
                features: self.dump_features,
            },
        )
    }
}

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ResultsFormatArg {
    /// One JSON object per line
    Ndjson,
    /// A table
    Csv,
}

/// How raw maps are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum MapFormatArg {
    /// TIFF, as MVTec's evaluation code reads it
    Tiff,
    /// NumPy's format
    Npy,
}

/// The fine-tuning.
#[derive(Clone, Copy, Debug, Args)]
pub struct TuningArgs {
    /// Steps of fine-tuning, such as 50; 0: the network stays as it is
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = clap::value_parser!(u32).range(..=100_000))]
    steps: u32,
    /// Learning rate of the fine-tuning, or auto: 0.01, 0.001, 0.0001 and none are tried on the pictures themselves
    #[arg(long, default_value = "0.0001", value_name = "RATE|auto", value_parser = rate)]
    lr: Lr,
    /// Let all classes weigh the same, however many pictures each has
    #[arg(long)]
    balance: bool,
    /// Blank half the rows and columns of every augmented copy, a window at random
    #[arg(long)]
    cutout: bool,
    /// Seed of the augmentation
    #[arg(long, default_value_t = 0)]
    tuning_seed: u64,
    /// Pictures of the fine-tuning in memory at a time, copies counted [default: as many as fit]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    micro_batch: Option<u32>,
}

/// A rate; `None`: it is to be found.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Lr(Option<f64>);

fn rate(text: &str) -> std::result::Result<Lr, String> {
    if text == "auto" {
        return Ok(Lr(None));
    }
    match text.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate <= 1.0 => Ok(Lr(Some(rate))),
        _ => Err("expected a number above 0 and up to 1, or auto".into()),
    }
}

impl TuningArgs {
    /// What is asked for, if anything is.
    ///
    /// # Errors
    /// [`Error::Usage`] for flags of a fine-tuning that is not done.
    pub fn adaptation(&self) -> Result<Option<Adaptation>> {
        if self.steps == 0 {
            let flags = [
                ("--balance", self.balance),
                ("--cutout", self.cutout),
                ("--lr auto", self.lr.0.is_none()),
                ("--micro-batch", self.micro_batch.is_some()),
            ];
            return match flags.iter().find(|f| f.1) {
                Some((flag, _)) => Err(Error::Usage(format!(
                    "{flag}: is a choice of fine-tuning; give --steps too, such as --steps 50"
                ))),
                None => Ok(None),
            };
        }
        let (rate, balance, seed) = (self.lr.0.unwrap_or_default(), self.balance, self.tuning_seed);
        let tuning = Finetune { steps: self.steps.into(), rate, balance, cutout: self.cutout, seed };
        Ok(Some(Adaptation { tuning, auto: self.lr.0.is_none(), few: self.micro_batch.map(|n| n as usize) }))
    }
}

/// Where what networks say of pictures is kept between runs: in a folder of the cache, which takes so many bytes at most.
pub fn keep(folder: &str, most: u64, fresh: bool) -> Kept {
    let folder = env::cache().filter(|_| most > 0).map(|cache| cache.join(folder));
    Kept { folder, most, fresh }
}

/// How a training is kept while it goes on.
#[derive(Clone, Copy, Debug, Args)]
pub struct KeepingArgs {
    /// Steps from one checkpoint to the next; it lies beside the output until that is written, and a command that was stopped goes on from it
    #[arg(long, default_value_t = 1000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    checkpoint_every: u64,
    /// Begin anew instead of going on from a checkpoint
    #[arg(long)]
    fresh: bool,
}

impl KeepingArgs {
    /// In a file beside this output.
    pub fn beside(&self, output: &Path) -> Keeping {
        Keeping { path: Some(beside(output, ".training")), every: self.checkpoint_every, fresh: self.fresh }
    }
}

/// The files beside an output that hold the losses of its training: a table and a picture.
pub fn losses_beside(output: &Path) -> [PathBuf; 2] {
    [".losses.csv", ".losses.svg"].map(|ending| beside(output, ending))
}

/// Writes losses to these files.
pub fn write_losses(session: &Session, curves: &Curves<'_>, [table, picture]: &[PathBuf; 2]) -> Result<()> {
    write(table, &curves.csv()?)?;
    write(picture, curves.svg()?.as_bytes())?;
    session.say(&format!("losses    {}, {}", quoted(table), quoted(picture)));
    Ok(())
}

/// The file beside another one whose name has this ending more.
fn beside(output: &Path, ending: &str) -> PathBuf {
    let mut name = output.file_name().unwrap_or_default().to_os_string();
    name.push(ending);
    output.with_file_name(name)
}

/// Removes a checkpoint: with the output written, it is of no use any more.
pub fn finished(session: &Session, keeping: &Keeping) {
    let Some(path) = &keeping.path else { return };
    if let Err(e) = std::fs::remove_file(path)
        && path.exists()
    {
        let path = quoted(path);
        session.say(&format!("note: {path} is of no use any more and cannot be removed: {e}"));
    }
}
