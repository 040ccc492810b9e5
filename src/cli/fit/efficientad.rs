//! `lupe fit efficientad`: good pictures and a teacher in, a model file out.

use crate::cli::env;
use crate::cli::global::bytes;
use crate::cli::output::{print, quoted};
use crate::cli::session::Session;
use crate::cli::subject::say_notes;
use crate::cli::working::{KeepingArgs, LoadArgs, files_of, finished, keep, losses_beside, write_losses};
use crate::data::dataset::{Counted, Dataset, Sample, pictures, reason};
use crate::error::{Error, Result};
use crate::memory::log_peak;
use crate::methods::efficientad::config::{QUICK, STEPS};
use crate::methods::efficientad::{Border, Config, EfficientAd, FitOptions, Good, Penalty, Preset};
use crate::methods::efficientad::{Report, Teacher, Times, ended, ended_json, fit};
use crate::methods::{Fitted, LimitRule, limit};
use crate::models::pdn::Size;
use crate::outputs::Inputs;
use crate::report::Curves;
use crate::train::Patience;
use crate::watch::Watch;
use crate::weights::WeightsFile;
use clap::ValueEnum;
use serde_json::json;
use std::path::{Path, PathBuf};

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Whose {
    /// As nelson1425/EfficientAD
    Nelson,
    /// As anomalib
    Anomalib,
    /// As the paper's listing: padded networks
    Paper,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum SizeArg {
    /// EfficientAD-S
    S,
    /// EfficientAD-M
    M,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum BorderArg {
    /// Zeros, as published
    Zero,
    /// The map's edge, repeated
    Replicate,
}

/// What it accepts.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Good pictures: a folder of them, MVTec AD layout, good/ and defect folders, or a .csv
    #[arg(value_name = "DIR")]
    data: PathBuf,
    /// The model file to write
    #[arg(short, long, value_name = "FILE.lupe")]
    output: PathBuf,
    /// The teacher's weights: a .pth, safetensors or a zip of them, or a name in `lupe weights list`
    #[arg(long, value_name = "FILE")]
    teacher: PathBuf,
    /// Size of the teacher; needed only where a file holds both [default: as its shapes say]
    #[arg(long, value_enum)]
    size: Option<SizeArg>,
    /// Store only the teacher's name and hash in the model, not its weights: predict and eval then take --weights
    #[arg(long)]
    no_embed_teacher: bool,
    /// Implementation to follow: how pictures are resized, and the order of steps from raw maps to the anomaly map
    #[arg(long, value_enum, default_value = "nelson")]
    preset: Whose,
    /// What is where a map has no place, 16 pixels wide on every side [default: zero]
    #[arg(long, value_enum)]
    border: Option<BorderArg>,
    /// A folder of pictures of anything else, on which the student is to say nothing, or `none`
    #[arg(long, value_name = "DIR|none")]
    penalty: Option<PathBuf>,
    /// Steps of the training [default: 70000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    steps: Option<u64>,
    /// Train for 16000 steps: most of the accuracy in a quarter of the time
    #[arg(long, conflicts_with = "steps")]
    quick: bool,
    /// End the training once so many checks in a row have gained nothing on the good pictures that are kept; the best weights count
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    patience: Option<u64>,
    /// Steps from one check to the next
    #[arg(long, default_value_t = 1000, value_name = "N", requires = "patience", value_parser = clap::value_parser!(u64).range(1..))]
    check_every: u64,
    /// Edge length of the networks' input
    #[arg(long, default_value_t = 256, value_name = "N")]
    image_size: usize,
    /// Good pictures in a step of the training; 1 as published
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    batch: u16,
    /// Seed of all random choices
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// How much room the teacher's maps of good pictures may take in the cache, e.g. 4G; 0 keeps none, and the teacher is asked at every step
    #[arg(long, default_value = "2G", value_name = "SIZE", value_parser = bytes)]
    keep: u64,
    #[command(flatten)]
    keeping: KeepingArgs,
    /// How the limit follows from the scores of good pictures that nobody was trained on: max, second, quantile=0.99, fixed=SCORE or
    /// fixed=SCORE,PIXEL
    #[arg(long, default_value = "max", value_name = "RULE")]
    limit: LimitRule,
    #[command(flatten)]
    load: LoadArgs,
}

impl Args {
    /// The pictures of anything else, and what the model remembers of where they come from.
    ///
    /// # Errors
    /// [`Error::Usage`] where nothing is said of them; [`Error::Input`] for a folder without pictures.
    fn penalty(&self) -> Result<(Vec<Sample>, Option<Penalty>)> {
        let Some(folder) = &self.penalty else {
            return Err(Error::Usage(
                "--penalty is required: a folder of pictures of anything but these parts, such as ImageNet's or Imagenette's, or none; \
                 without them about 0.4 points of AUROC are lost, as published"
                    .into(),
            ));
        };
        if folder == Path::new("none") {
            return Ok((vec![], None));
        }
        let samples = pictures(std::slice::from_ref(folder), true)?.samples;
        let name = folder.file_name().unwrap_or(folder.as_os_str()).to_string_lossy().into_owned();
        let penalty = Penalty { folder: name, pictures: samples.len() };
        Ok((samples, Some(penalty)))
    }

    fn config(&self, teacher: &Teacher, penalty: Option<Penalty>) -> Config {
        let preset = match self.preset {
            Whose::Nelson => Preset::Nelson,
            Whose::Anomalib => Preset::Anomalib,
            Whose::Paper => Preset::Paper,
        };
        let usual = Config::new(teacher.size, teacher.narrow, preset);
        let border = match self.border {
            None => usual.border,
            Some(BorderArg::Zero) => Border::Zero,
            Some(BorderArg::Replicate) => Border::Replicate,
        };
        let (image_size, batch, seed) = (self.image_size, self.batch.into(), self.seed);
        let steps = if self.quick { QUICK } else { self.steps.unwrap_or(STEPS) };
        let patience = self.patience.map(|checks| Patience { checks, every: self.check_every });
        Config { border, image_size, steps, batch, seed, penalty, patience, ..usual }
    }
}

/// Runs the command.
pub fn run(session: &Session, args: &Args) -> Result<()> {
    let (others, penalty) = args.penalty()?;
    let set = Dataset::open_validated(&args.data)?.to_fit(args.load.all)?;
    set.notes.iter().for_each(|note| session.say(note));
    let file = WeightsFile { path: env::weights(&args.teacher), ..WeightsFile::default() };
    let (files, read) = (files_of(&set, &args.data), others.iter().map(|s| &s.path).chain([&file.path]));
    let inputs = Inputs::of(files.iter().chain(read));
    session.outputs.model(&args.output, &inputs)?;
    let (keeping, losses) = (args.keeping.beside(&args.output), losses_beside(&args.output));
    losses.iter().chain(&keeping.path).try_for_each(|path| session.outputs.file(path, &inputs))?;
    let size = args.size.map(|size| if matches!(size, SizeArg::S) { Size::Small } else { Size::Medium });
    let teacher = Teacher::open(&file, size)?;
    say_notes(session, teacher.weights.notes());
    let config = args.config(&teacher, penalty);
    let good = Good { set: &set, teacher: &teacher, penalty: &others };
    good.check(&config)?;
    session.say(&format!("teacher   {}", teacher.words()));
    session.watch_for_interrupts()?;
    let gpu = session.gpu()?;
    session.say(&format!("device    {}", gpu.info.describe()));
    let options = FitOptions {
        run: session.run_options(&gpu, 4),
        loading: args.load.loading(),
        no_embed_teacher: args.no_embed_teacher,
        limit_rule: args.limit,
        kept: keep("teacher", args.keep, false),
        keeping: keeping.clone(),
    };
    let (fitted, went) = pollster::block_on(fit(&gpu, good, &config, &options, session))?;
    fitted.save(&args.output)?;
    if let Some(trained) = &went.trained {
        let (names, rows) = (&trained.names[..], &trained.losses.data[..]);
        let curves = Curves { title: "Training of EfficientAD", what: "loss", over: "step", names, rows };
        write_losses(session, &curves, &losses)?;
    }
    finished(session, &keeping);
    log_peak();
    let left_out = fitted.file.left_out.iter().map(|left| (reason::SAME, left.picture.name.as_str()));
    let counted = set.fitted(left_out, went.missed.failed.len());
    report(session, &args.output, (&fitted, &went), &counted)?;
    session.say(&counted.to_string());
    went.missed.ended(set.train.len() + set.validation.len())
}

fn report(session: &Session, output: &Path, (fitted, went): (&EfficientAd, &Report), counted: &Counted) -> Result<()> {
    let (file, trained) = (&fitted.file, fitted.training());
    let Times { teacher, training, scoring } = went.times;
    let (n, kept) = (file.pictures.len() - file.validation, file.validation);
    if session.json {
        return print(
            &json!({
                "model": output, "pictures": n, "validation": kept, "teacher": file.backbone.sha256, "limit": fitted.limit(),
                "pixel_limit": fitted.map_limit(), "limit_rule": fitted.limit_rule().map(|rule| rule.to_string()),
                "apart": limit::apart_names(&trained), "left_out": file.left_out, "counts": counted.json(),
                "ended": file.ended.as_ref().map(ended_json),
                "seconds": {"teacher": teacher, "training": training, "scoring": scoring},
            })
            .to_string(),
        );
    }
    let (model, limit) = (quoted(output), limit::words(fitted).unwrap_or_else(|| "none".into()));
    let steps = file.ended.as_ref().map_or(format!("{} steps", file.config.steps), |end| {
        format!("{} of {} steps ({})", end.step, file.config.steps, ended(end))
    });
    print(&format!(
        "wrote     {model}\ntrained   {steps} on {n} pictures; {kept} others gave scales and limit\nlimit     {limit}\ntime      {teacher:.1} s teacher, {training:.1} s training, {scoring:.1} s scoring\n\nNext: lupe predict {model} PICTURES -o results"
    ))
}
