//! `lupe fit patchcore`: good pictures in, a model file out.

use crate::cli::global::bytes;
use crate::cli::output::{print, quoted};
use crate::cli::session::Session;
use crate::cli::subject::{WeightsArgs, say_notes};
use crate::cli::working::{WorkArgs, crop_words, files_of, place};
use crate::data::dataset::{self, Counted, Dataset, reason};
use crate::error::{Error, Result};
use crate::memory::log_peak;
use crate::methods::patchcore::{Config, FitOptions, Good, PatchCore, Preset, Report, Times, fit};
use crate::methods::{Fitted, LeftOut, LimitRule, Why, limit};
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
    /// Implementation to follow in everything but the layers [default: as official, but the whole picture at 256x256, and patch vectors
    /// as they suit the network]
    #[arg(long, value_enum)]
    preset: Option<Whose>,
    /// Network
    #[arg(long, default_value = models::EMBEDDED.name, value_name = "NAME")]
    backbone: String,
    /// Its weights, safetensors or .pth; only the default network has built-in ones
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    #[command(flatten)]
    choice: WeightsArgs,
    /// Store only the backbone's name and hash in the model, not its weights
    #[arg(long)]
    no_embed_backbone: bool,
    /// Places of the network, in the network's order; 2 means layer2 [default: the network's own]
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
    /// Edge length of the network's input [default: 256, official 224]
    #[arg(long)]
    size: Option<usize>,
    /// Shorter edge after resizing, before the crop [default: 256]
    #[arg(long)]
    resize: Option<usize>,
    /// Look at the whole picture, also with --preset official, which looks at its centre
    #[arg(long)]
    no_crop: bool,
    /// Without a test split, keep every N-th good picture for testing; 0: none
    #[arg(long, default_value_t = 5, value_name = "N")]
    test_split: usize,
    /// How the limit follows from the training scores: max, second, quantile=0.99, fixed=SCORE or fixed=SCORE,PIXEL
    #[arg(long, default_value = "max", value_name = "RULE")]
    limit: LimitRule,
    /// Leave out training pictures whose scores stand apart, and fit once more without them
    #[arg(long)]
    drop_outliers: bool,
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
    let set = Dataset::open(&args.data)?.to_fit(args.work.load.all)?;
    let good = set.train.len();
    let set = set.split(args.test_split);
    let aside = good - set.train.len();
    if aside == 0 && good > 0 && args.test_split > good && !set.test.iter().any(dataset::good) {
        let every = args.test_split;
        session.say(&format!(
            "note: none of the {good} good pictures is kept to test with: --test-split {every} is more than there are"
        ));
    }
    set.notes.iter().for_each(|note| session.say(note));
    let inputs = Inputs::of(files_of(&set, &args.data).iter().chain(&args.weights));
    session.outputs.model(&args.output, &inputs)?;
    let file = args.choice.of(args.weights.as_deref());
    let (network, weights) = models::open(&args.backbone, file.as_ref())?;
    say_notes(session, weights.notes());
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
        limit_rule: args.limit,
        drop_outliers: args.drop_outliers,
    };
    let (fitted, went) = pollster::block_on(fit(&gpu, good, &config, &options, session))?;
    log_peak();
    let counted = set.fitted(fitted.file.left_out.iter().map(left_out), went.missed.failed.len());
    report(session, args, (&fitted, &went), (&counted, aside))?;
    session.say(&counted.to_string());
    went.missed.ended(set.train.len())
}

/// The reason and name of a picture that the fit left out.
fn left_out(left: &LeftOut) -> (&'static str, &str) {
    let reason = match left.why {
        Why::SameAs(_) => reason::SAME,
        Why::Outlier(_) => reason::OUTLIER,
    };
    (reason, &left.picture.name)
}

fn config(args: &Args) -> Result<Config> {
    let own = Config::of(models::named(&args.backbone)?);
    let layers = args.layers.clone().unwrap_or_else(|| own.layers.clone());
    let usual = match args.preset {
        None => own,
        Some(Whose::Official) => Config::new(Preset::Official),
        Some(Whose::Anomalib) => Config::new(Preset::Anomalib),
    };
    let config = Config {
        layers,
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
        let what =
            "--resize applies only with a crop, which --preset official has; --size sets the edge of the whole picture";
        return Err(Error::Usage(what.into()));
    }
    Ok(config)
}

fn report(
    session: &Session,
    args: &Args,
    (fitted, went): (&PatchCore, &Report),
    (counted, aside): (&Counted, usize),
) -> Result<()> {
    let (file, trained) = (&fitted.file, fitted.training());
    let (n, rows, d) = (file.pictures.len(), file.sources.len(), file.geometry.dim);
    let Times { features, coreset, scoring } = went.times;
    if session.json {
        let apart = limit::apart_names(&trained);
        return print(
            &json!({
                "model": args.output, "pictures": n, "bank": rows, "limit": fitted.limit(), "pixel_limit": fitted.map_limit(),
                "limit_rule": fitted.limit_rule().map(|rule| rule.to_string()), "apart": apart, "left_out": file.left_out,
                "held_out": file.held_out.len(), "counts": counted.json(), "seen_share": went.seen,
                "seconds": {"features": features, "coreset": coreset, "scoring": scoring},
            })
            .to_string(),
        );
    }
    let limit = limit::words(fitted).unwrap_or_else(|| "none: there is no second picture to compare with".into());
    let chart = limit::drawn(fitted).map_or(String::new(), |chart| chart + "\n\n");
    let apart = limit::apart_words(&trained).map_or(String::new(), |words| {
        format!("\napart     {words}\n          `lupe limit` gives the model another rule, --drop-outliers leaves such pictures out")
    });
    let (model, every) = (quoted(&args.output), args.test_split);
    let held = match aside {
        0 => String::new(),
        n => {
            format!("\naside     {n} good pictures, one in {every}, are kept to test with (--test-split 0 keeps none)")
        }
    };
    let crop = crop_words(went.seen).map_or(String::new(), |words| format!("\ncrop      {words}"));
    print(&format!(
        "{chart}wrote     {model}\nbank      {rows} rows of {d} values, of {n} pictures{held}{crop}\nlimit     {limit}{apart}\ntime      {features:.1} s features, {coreset:.1} s coreset, {scoring:.1} s scoring\n\nNext: lupe predict {model} PICTURES -o results"
    ))
}
