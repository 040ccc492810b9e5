//! `lupe distill`: pictures and a network in, a teacher for EfficientAD out.

use super::output::{print, quoted};
use super::session::Session;
use super::subject::{WeightsArgs, say_notes};
use super::working::{KeepingArgs, LoadArgs, finished, place};
use crate::data::dataset::pictures;
use crate::error::Result;
use crate::files::write;
use crate::memory::log_peak;
use crate::methods::distill::{Config, Source, distill};
use crate::models;
use crate::models::pdn::Size;
use crate::outputs::Inputs;
use crate::watch::Watch;
use crate::weights::{Weights, safetensors};
use clap::ValueEnum;
use serde_json::json;
use std::path::PathBuf;

#[derive(Clone, Copy, Debug, ValueEnum)]
enum SizeArg {
    /// EfficientAD-S
    S,
    /// EfficientAD-M
    M,
}

/// What it accepts.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Pictures to learn on: files, or folders with all below them
    #[arg(value_name = "PICTURES", required = true)]
    pictures: Vec<PathBuf>,
    /// The teacher's weights to write
    #[arg(short, long, value_name = "FILE.safetensors")]
    output: PathBuf,
    /// Network to learn from
    #[arg(long, default_value = models::EMBEDDED.name, value_name = "NAME")]
    backbone: String,
    /// Its weights, safetensors or .pth; only the default network has built-in ones
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    #[command(flatten)]
    choice: WeightsArgs,
    /// Places of the network, the finest first [default: the network's own]
    #[arg(long, value_delimiter = ',', value_name = "PLACE,…", value_parser = place)]
    layers: Option<Vec<String>>,
    /// Size of the teacher
    #[arg(long, value_enum, default_value = "s")]
    size: SizeArg,
    /// Divide the teacher's widths, 1, 2, 4, 8 or 16: smaller, faster, weaker
    #[arg(long, default_value_t = 1, value_name = "BY")]
    narrow: usize,
    /// Edge length of the teacher's input
    #[arg(long, default_value_t = 256, value_name = "N")]
    image_size: usize,
    /// Steps of the training
    #[arg(long, default_value_t = 60_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    steps: u64,
    /// Pictures in a step
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    batch: u16,
    /// Pictures that means and deviations are taken of, at most
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    statistics: usize,
    /// Seed of all random choices
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    keeping: KeepingArgs,
    #[command(flatten)]
    load: LoadArgs,
}

/// Runs the command.
pub fn run(session: &Session, args: &Args) -> Result<()> {
    let samples = pictures(&args.pictures, args.load.all)?.samples;
    let file = args.choice.of(args.weights.as_deref());
    let (network, weights) = models::open(&args.backbone, file.as_ref())?;
    say_notes(session, weights.notes());
    let config = config(args, network);
    config.check()?;
    let keeping = args.keeping.beside(&args.output);
    let inputs = Inputs::of(samples.iter().map(|s| &s.path).chain(&args.weights));
    std::iter::once(&args.output).chain(&keeping.path).try_for_each(|path| session.outputs.file(path, &inputs))?;
    session.watch_for_interrupts()?;
    let gpu = session.gpu()?;
    session.say(&format!("device    {}", gpu.info.describe()));
    let run = session.run_options(&gpu, 1);
    let source = Source { network, weights: &weights };
    let loading = args.load.loading();
    let work = distill(&gpu, (source, &samples), &config, (&run, &loading, &keeping), session);
    let made = pollster::block_on(work)?;
    let tensors: Vec<_> = made.weights.iter().map(|(name, t)| (name.clone(), &**t)).collect();
    write(&args.output, &safetensors::write(&tensors)?)?;
    finished(session, &keeping);
    log_peak();
    let own = Weights::from_tensors(made.weights.iter().map(|(name, t)| (name.clone(), (**t).clone())));
    let (output, hash) = (quoted(&args.output), own.sha256());
    let share = |part: &[f32]| part.iter().sum::<f32>() / part.len().max(1) as f32;
    let n = made.losses.data.len();
    let few = (n / 20).max(1);
    let (begin, end) = (made.losses.data.chunks(few).next(), made.losses.data.rchunks(few).next());
    let [first, last] = [begin, end].map(|part| share(part.unwrap_or_default()));
    if session.json {
        let all =
            json!({"teacher": args.output, "fingerprint": hash, "steps": n, "loss_first": first, "loss_last": last});
        return print(&all.to_string());
    }
    print(&format!(
        "wrote     {output}\nloss      {first:.4} over the first twentieth of the steps, {last:.4} over the last\nteacher   fingerprint {hash}\n\nNext: lupe fit efficientad GOOD_PARTS --teacher {output} --penalty {} -o part.lupe",
        quoted(args.pictures.first().map_or(std::path::Path::new("none"), |p| p))
    ))
}

fn config(args: &Args, network: &models::Network) -> Config {
    let size = if matches!(args.size, SizeArg::S) { Size::Small } else { Size::Medium };
    let usual = Config::new(size, network);
    Config {
        narrow: args.narrow,
        layers: args.layers.clone().unwrap_or(usual.layers),
        image_size: args.image_size,
        steps: args.steps,
        batch: args.batch.into(),
        statistics: args.statistics,
        seed: args.seed,
        size,
    }
}
