//! `lupe fit classifier`: a folder of classes in, a model file out, by cross-entropy.

use super::support::NetworkArgs;
use crate::cli::output::{print, quoted};
use crate::cli::session::Session;
use crate::cli::subject::say_notes;
use crate::cli::working::{KeepingArgs, LoadArgs, files_of, finished, losses_beside, write_losses};
use crate::data::dataset::{Classes, Counted, reason};
use crate::error::Result;
use crate::memory::log_peak;
use crate::methods::classifier::{Asked, Classifier, FitOptions, Layers, Optimizer, Report, Start, fit};
use crate::methods::classifier::{class_words, trained_words, validation_words};
use crate::outputs::Inputs;
use crate::report::Curves;
use crate::watch::Watch;
use clap::ValueEnum;
use serde_json::json;
use std::path::{Path, PathBuf};

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LayersArg {
    /// A new last layer on vectors that are computed once, of pictures as they are: seconds
    Fc,
    /// The whole network and a new last layer, on pictures that are changed in every step; batch norms keep their statistics
    All,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum OptimizerArg {
    /// Adam
    Adam,
    /// Gradient descent with a momentum of 0.9
    Sgd,
}

/// What it accepts.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A folder with a folder of pictures for each class, or a .csv
    #[arg(value_name = "DIR")]
    data: PathBuf,
    /// The model file to write
    #[arg(short, long, value_name = "FILE.lupe")]
    output: PathBuf,
    #[command(flatten)]
    network: NetworkArgs,
    /// What to train
    #[arg(long, value_enum, default_value = "fc")]
    layers: LayersArg,
    /// Times that all pictures are gone through, at most [default: 200, all layers 30]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    epochs: Option<u64>,
    /// Pictures in a step of the training, at most [default: 32, all layers 16]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    batch: Option<u16>,
    /// Learning rate [default: 0.001, sgd 0.01; all layers 0.0001, sgd 0.001]
    #[arg(long, value_name = "RATE")]
    lr: Option<f64>,
    /// How weights follow their gradients
    #[arg(long, value_enum, default_value = "adam")]
    optimizer: OptimizerArg,
    /// Let all classes weigh the same, however many pictures each has
    #[arg(long)]
    balance: bool,
    /// With all layers: leave pictures as they are, not shifted, lighter or darker, with more or less contrast, mirrored
    #[arg(long)]
    no_augment: bool,
    /// With all layers: do not mirror pictures, where left and right tell classes apart
    #[arg(long)]
    no_flip: bool,
    /// Share of each class's pictures to keep: they are not trained on, but say when to stop and how good the model is [default: 0.2]
    #[arg(long, value_name = "SHARE")]
    validation: Option<f64>,
    /// Stop after so many checks in a row in which the loss of the kept pictures did not fall; 0: never [default: 4, all layers 6]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=1_000_000))]
    patience: Option<u64>,
    /// Seed of all random choices
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    keeping: KeepingArgs,
    #[command(flatten)]
    load: LoadArgs,
}

impl Args {
    fn asked(&self) -> Asked {
        let NetworkArgs { backbone, place, size, crop, .. } = &self.network;
        Asked {
            backbone: backbone.clone(),
            place: place.clone(),
            size: *size,
            crop: *crop,
            layers: if matches!(self.layers, LayersArg::Fc) { Layers::Fc } else { Layers::All },
            epochs: self.epochs,
            batch: self.batch.map(usize::from),
            optimizer: if matches!(self.optimizer, OptimizerArg::Adam) { Optimizer::Adam } else { Optimizer::Sgd },
            rate: self.lr,
            balance: self.balance,
            no_augment: self.no_augment,
            no_flip: self.no_flip,
            validation: self.validation,
            patience: self.patience,
            seed: self.seed,
        }
    }
}

/// Runs the command.
pub fn run(session: &Session, args: &Args) -> Result<()> {
    let support = Classes::open(&args.data, args.load.all)?;
    support.notes.iter().for_each(|note| session.say(note));
    let files = files_of(&support.clone().to_test_on(), &args.data);
    let inputs = Inputs::of(files.iter().chain(&args.network.weights));
    session.outputs.model(&args.output, &inputs)?;
    let (keeping, losses) = (args.keeping.beside(&args.output), losses_beside(&args.output));
    losses.iter().chain(&keeping.path).try_for_each(|path| session.outputs.file(path, &inputs))?;
    let (gpu, start) = session.gpu_beside(|| {
        let start = Start::new(&args.asked(), args.network.file().as_ref(), !args.network.no_embed_backbone)?;
        start.check(&support)?;
        Ok(start)
    })?;
    say_notes(session, start.notes());
    session.watch_for_interrupts()?;
    session.say(&format!("device    {}", gpu.info.describe()));
    let options =
        FitOptions { run: session.run_options(&gpu, 4), loading: args.load.loading(), keeping: keeping.clone() };
    let (fitted, went) = pollster::block_on(fit(&gpu, &support, start, &options, session))?;
    fitted.save(&args.output)?;
    write_curves(session, &went, &losses)?;
    finished(session, &keeping);
    log_peak();
    let left_out = went.left_out.iter().map(|l| (reason::SAME, l.picture.name.as_str()));
    let counted = support.fitted(left_out, went.missed.failed.len());
    report(session, &args.output, (&fitted, &went), &counted)?;
    session.say(&counted.to_string());
    went.missed.ended(support.samples.len())
}

/// Writes the losses at every check.
fn write_curves(session: &Session, went: &Report, files: &[PathBuf; 2]) -> Result<()> {
    let names: &[&str] = if went.checks.is_empty() { &["training"] } else { &["training", "validation"] };
    let checks = went.checks.iter().map(Some).chain(std::iter::repeat(None));
    let row = |(loss, check): (&f32, Option<&f32>)| [Some(*loss), check.copied()].into_iter().flatten();
    let rows: Vec<f32> = went.losses.iter().zip(checks).flat_map(row).collect();
    let curves = Curves { title: "Training of a classifier", what: "loss", over: "check", names, rows: &rows };
    write_losses(session, &curves, files)
}

fn report(session: &Session, model: &Path, (fitted, went): (&Classifier, &Report), counted: &Counted) -> Result<()> {
    let (file, [read, trained]) = (&fitted.file, went.seconds);
    if session.json {
        return print(
            &json!({
                "model": model, "classes": file.classes, "pictures": file.pictures.len() - file.kept(), "kept": file.kept(),
                "values": file.weight.shape.dim(1), "config": file.config, "learned": file.learned, "left_out": went.left_out,
                "counts": counted.json(), "seconds": {"reading": read, "training": trained},
            })
            .to_string(),
        );
    }
    let name = quoted(model);
    print(&format!(
        "wrote     {name}\nclasses   {}\nvectors   {} values: {}, {}\ntrained   {}\nkept      {}\ntime      {read:.1} s reading and vectors, {trained:.1} s training\n\nNext: lupe predict {name} PICTURES -o results",
        class_words(file),
        file.weight.shape.dim(1),
        file.backbone.name,
        file.config.place,
        trained_words(file),
        validation_words(file)
    ))
}
