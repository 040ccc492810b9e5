//! `lupe fit caml`: a few pictures of each class, an encoder and a checkpoint of CAML in, a model file out.

use crate::cli::env;
use crate::cli::output::{print, quoted};
use crate::cli::session::Session;
use crate::cli::subject::{WeightsArgs, say_notes};
use crate::cli::working::{LabelArgs, WorkArgs, files_of};
use crate::data::dataset::{Classes, Counted, reason};
use crate::error::Result;
use crate::memory::log_peak;
use crate::methods::caml::{Asked, CamlModel, FitOptions, Report, Start, class_words, fit, label_words};
use crate::outputs::Inputs;
use crate::watch::Watch;
use serde_json::json;
use std::path::PathBuf;

/// What it accepts.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A folder with a folder of pictures for each class, or a .csv
    #[arg(value_name = "DIR")]
    data: PathBuf,
    /// The model file to write
    #[arg(short, long, value_name = "FILE.lupe")]
    output: PathBuf,
    /// CAML's checkpoint, .pth or safetensors, a file or a name in `lupe weights list`
    #[arg(long, value_name = "FILE")]
    checkpoint: PathBuf,
    /// The network that gives features [default: the one that the checkpoint was released with]
    #[arg(long, value_name = "NAME")]
    encoder: Option<String>,
    /// Its weights, a file or a name in `lupe weights list`
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    #[command(flatten)]
    choice: WeightsArgs,
    /// Place of the encoder that features are taken from [default: pool or cls]
    #[arg(long, value_name = "PLACE")]
    place: Option<String>,
    /// Edge length of the encoder's input [default: the encoder's own]
    #[arg(long)]
    size: Option<usize>,
    /// Look at the centre of a picture, as CAML's authors do, not at the whole
    #[arg(long)]
    crop: bool,
    #[command(flatten)]
    labels: LabelArgs,
    #[command(flatten)]
    work: WorkArgs,
}

impl Args {
    fn asked(&self) -> Asked {
        let own = Asked {
            encoder: self.encoder.clone(),
            place: self.place.clone(),
            size: self.size,
            crop: self.crop,
            ..Asked::default()
        };
        self.labels.with(own)
    }
}

/// Runs the command.
pub fn run(session: &Session, args: &Args) -> Result<()> {
    let support = Classes::open(&args.data, args.work.load.all)?;
    support.notes.iter().for_each(|note| session.say(note));
    let files = files_of(&support.clone().to_test_on(), &args.data);
    let checkpoint = env::weights(&args.checkpoint);
    let read = files.iter().chain(&args.weights).chain([&checkpoint]);
    session.outputs.model(&args.output, &Inputs::of(read))?;
    let (gpu, start) = session.gpu_beside(|| {
        let weights = args.choice.of(args.weights.as_deref());
        let start = Start::new(&args.asked(), weights.as_ref(), &checkpoint)?;
        start.check(&support)?;
        Ok(start)
    })?;
    say_notes(session, start.notes().iter().chain(&start.unlike_training(&support.counts())));
    session.watch_for_interrupts()?;
    session.say(&format!("device    {}", gpu.info.describe()));
    let mut run = session.run_options(&gpu, args.work.batch);
    run.batch = run.batch.min(support.samples.len());
    let options = FitOptions { run, loading: args.work.loading() };
    let (fitted, went) = pollster::block_on(fit(&gpu, &support, start, &options, session))?;
    went.verdict.warning().iter().for_each(|text| session.say(text));
    fitted.save(&args.output)?;
    log_peak();
    let left_out = fitted.file.left_out.iter().map(|l| (reason::SAME, l.picture.name.as_str()));
    let counted = support.fitted(left_out, went.missed.failed.len());
    report(session, args, (&fitted, &went), &counted)?;
    session.say(&counted.to_string());
    went.missed.ended(support.samples.len())
}

fn report(session: &Session, args: &Args, (fitted, went): (&CamlModel, &Report), counted: &Counted) -> Result<()> {
    let (file, [test, ready, features]) = (&fitted.file, went.seconds);
    if session.json {
        let classes: Vec<_> = file.classes.iter().map(|(name, n)| json!({"name": name, "pictures": n})).collect();
        return print(
            &json!({
                "model": args.output, "classes": classes, "pictures": file.pictures.len(), "encoder": file.encoder.name,
                "checkpoint": file.checkpoint, "self_test": went.verdict.warning().is_none(), "left_out": file.left_out, "counts": counted.json(),
                "seconds": {"self_test": test, "encoder": ready, "features": features},
            })
            .to_string(),
        );
    }
    let name = quoted(&args.output);
    let weights = args.weights.as_ref().map_or(String::new(), |path| format!(" --weights {}", quoted(path)));
    print(&format!(
        "wrote     {name}\nclasses   {}\nlabels    {}\nencoder   {}, {} values\ntime      {test:.1} s self-test of the checkpoint, \
         {ready:.1} s until the encoder was ready, {features:.1} s features\n\nNext: lupe predict {name} PICTURES -o results{weights} \
         --checkpoint {}",
        class_words(file),
        label_words(file),
        file.encoder.name,
        file.checkpoint.sizes.features,
        quoted(&args.checkpoint)
    ))
}
