//! `lupe fit patchcore`: good pictures in, a model file out.

use crate::cli::global::bytes;
use crate::cli::output::{print, quoted};
use crate::cli::session::Session;
use crate::cli::working::{WorkArgs, files_of, place};
use crate::data::dataset::Dataset;
use crate::error::{Error, Result};
use crate::memory::log_peak;
use crate::methods::Fitted;
use crate::methods::patchcore::{Config, FitOptions, Good, PatchCore, Preset, Times, fit};
use crate::models;
use crate::outputs::Inputs;
use crate::watch::Watch;
use clap::ValueEnum;
use serde_json::json;
use std::path::PathBuf;

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Whose {
    /// As amazon-science/patchcore-inspection
    Official,
    /// As anomalib
    Anomalib,
}

/// What it accepts.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A data set: MVTec AD layout, good/ and defect folders, a folder of good pictures, or a .csv
    #[arg(value_name = "DIR")]
    data: PathBuf,
    /// The model file to write
    #[arg(short, long, value_name = "FILE.lupe")]
    output: PathBuf,
    /// Implementation to follow
    #[arg(long, value_enum, default_value = "official")]
    preset: Whose,
    /// Network
    #[arg(long, default_value = "resnet50_thin", value_name = "NAME")]
    backbone: String,
    /// Its weights, safetensors or .pth; only resnet50_thin has built-in ones
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// Store only the backbone's name and hash in the model, not its weights
    #[arg(long)]
    no_embed_backbone: bool,
    /// Places of the network, in the network's order; 2 means layer2 [default: 2,3]
    #[arg(long, value_delimiter = ',', value_name = "PLACE,…", value_parser = place)]
    layers: Option<Vec<String>>,
    /// Share of the patch vectors to keep; 1 keeps all [default: 0.1]
    #[arg(long)]
    ratio: Option<f64>,
    /// Seed of all random choices
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Number of nearest bank rows whose mean distance is the score of a place [default: 1]
    #[arg(long, value_name = "K")]
    neighbors: Option<usize>,
    /// Size of the neighbourhood that re-weights a picture's score; 1: no re-weighting [default: official 1, anomalib 9]
    #[arg(long, value_name = "B")]
    reweight: Option<usize>,
    /// Edge length of the network's input [default: official 224, anomalib 256]
    #[arg(long)]
    size: Option<usize>,
    /// Shorter edge after resizing, before the crop [default: 256]
    #[arg(long)]
    resize: Option<usize>,
    /// Use the whole picture instead of its centre
    #[arg(long)]
    no_crop: bool,
    /// Without a test split, keep every N-th good picture for testing; 0: none
    #[arg(long, default_value_t = 5, value_name = "N")]
    test_split: usize,
    /// Compute all patch vectors again instead of resuming an interrupted fit
    #[arg(long)]
    fresh: bool,
    /// Maximum memory for patch vectors, their selection and the bank, e.g. 4G; the rest of the program comes on top [default: 60 % of
    /// free memory]
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    limit_ram: Option<u64>,
    #[command(flatten)]
    work: WorkArgs,
}

/// Runs the command.
pub fn run(session: &Session, args: &Args) -> Result<()> {
    let config = config(args)?;
    let set = Dataset::open(&args.data)?.split(args.test_split);
    let inputs = Inputs::of(files_of(&set, &args.data).iter().chain(&args.weights));
    session.outputs.file(&args.output, &inputs)?;
    let (network, weights) = models::open(&args.backbone, args.weights.as_deref())?;
    let good = Good { set: &set, network, weights: &weights };
    good.check(&config)?;
    session.watch_for_interrupts()?;
    let gpu = session.gpu()?;
    session.say(&format!("device    {}", gpu.info.describe()));
    let options = FitOptions {
        run: session.run_options(&gpu, args.work.batch),
        loading: args.work.loading(),
        limit_ram: Some(session.limit_ram(args.limit_ram)),
        output: Some(args.output.clone()),
        fresh: args.fresh,
        no_embed_backbone: args.no_embed_backbone,
    };
    let (fitted, missed, times) = pollster::block_on(fit(&gpu, good, &config, &options, session))?;
    log_peak();
    report(session, args, &fitted, times)?;
    missed.ended(set.train.len())
}

fn config(args: &Args) -> Result<Config> {
    let usual = Config::new(match args.preset {
        Whose::Official => Preset::Official,
        Whose::Anomalib => Preset::Anomalib,
    });
    let config = Config {
        layers: args.layers.clone().unwrap_or(usual.layers),
        ratio: args.ratio.unwrap_or(usual.ratio),
        seed: args.seed,
        neighbors: args.neighbors.unwrap_or(usual.neighbors),
        reweight: args.reweight.unwrap_or(usual.reweight),
        size: args.size.unwrap_or(usual.size),
        resize: args.resize.unwrap_or(usual.resize),
        crop: usual.crop && !args.no_crop,
        ..usual
    };
    config.check()?;
    if args.resize.is_some() && !config.crop {
        let what = "--resize applies only with a crop; --size sets the edge of the whole picture";
        return Err(Error::Usage(what.into()));
    }
    Ok(config)
}

fn report(session: &Session, args: &Args, fitted: &PatchCore, times: Times) -> Result<()> {
    let (limit, n, rows) = (fitted.limit(), fitted.file.pictures.len(), fitted.file.sources.len());
    if session.json {
        return print(
            &json!({
                "model": args.output, "pictures": n, "bank": rows, "limit": limit,
                "seconds": {"features": times.features, "coreset": times.coreset, "scoring": times.scoring},
            })
            .to_string(),
        );
    }
    let limit = limit.map_or("none: there is no second picture to compare with".into(), |l| {
        format!("{l:.4}, the largest score among {n} good pictures, each scored without its own part of the bank")
    });
    let (file, d) = (quoted(&args.output), fitted.file.geometry.dim);
    let Times { features, coreset, scoring } = times;
    print(&format!(
        "wrote     {file}\nbank      {rows} rows of {d} values\nlimit     {limit}\ntime      {features:.1} s features, {coreset:.1} s coreset, {scoring:.1} s scoring\n\nNext: lupe predict {file} PICTURES -o results"
    ))
}
