//! Fits on classes: the arguments that they share, the fit, and what is said of it.

use crate::cli::output::{print, quoted};
use crate::cli::session::Session;
use crate::cli::subject::{WeightsArgs, say_notes};
use crate::cli::working::{WorkArgs, files_of};
use crate::data::dataset::{Classes, Counted, reason};
use crate::error::{Result, shown};
use crate::memory::log_peak;
use crate::methods::prototype::{Asked, FitOptions, Prototype, Report, Start, class_words, distance_words, fit};
use crate::outputs::Inputs;
use crate::watch::Watch;
use crate::weights::WeightsFile;
use crate::weights::safetensors::with_file;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Which network gives a picture's vector, and how it sees the picture.
#[derive(Debug, clap::Args)]
pub struct NetworkArgs {
    /// Network [default: efficientnet_lite0, whose weights are built in; for pmf dino_vits16]
    #[arg(long, alias = "network", value_name = "NAME")]
    pub backbone: Option<String>,
    /// Its weights, safetensors or .pth; only the default network has built-in ones
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    #[command(flatten)]
    choice: WeightsArgs,
    /// Store only the backbone's name and hash in the model, not its weights
    #[arg(long)]
    pub no_embed_backbone: bool,
    /// Place of the network to take a vector from; of a map it is the mean over its places [default: pool or cls]
    #[arg(long, value_name = "PLACE")]
    pub place: Option<String>,
    /// Edge length of the network's input [default: the network's own]
    #[arg(long)]
    pub size: Option<usize>,
    /// Look at the centre of a picture, as the network's preprocessing has it, not at the whole
    #[arg(long)]
    pub crop: bool,
}

impl NetworkArgs {
    /// The weights file that was named.
    pub fn file(&self) -> Option<WeightsFile> {
        self.choice.of(self.weights.as_deref())
    }
}

/// What fits on classes accept.
#[derive(Debug, clap::Args)]
pub struct SupportArgs {
    /// A folder with a folder of pictures for each class, or a .csv
    #[arg(value_name = "DIR")]
    data: PathBuf,
    /// The model file to write [default with --add: that file]
    #[arg(short, long, value_name = "FILE.lupe", required_unless_present = "add")]
    output: Option<PathBuf>,
    /// Add the pictures to those of an earlier fit, whose choices hold: as if all had been given at once
    #[arg(long, value_name = "MODEL.lupe")]
    add: Option<PathBuf>,
    #[command(flatten)]
    network: NetworkArgs,
    #[command(flatten)]
    work: WorkArgs,
}

impl SupportArgs {
    /// Where the model is written.
    fn model(&self) -> &Path {
        self.output.as_deref().or(self.add.as_deref()).unwrap_or(Path::new(""))
    }

    fn start(&self, asked: &Asked) -> Result<Start> {
        let (weights, embed) = (self.network.file(), !self.network.no_embed_backbone);
        match &self.add {
            None => Start::new(asked, weights.as_ref(), embed),
            Some(path) => with_file(path, |bytes| Start::after(asked, (bytes, &shown(path)), weights.as_ref(), embed)),
        }
    }
}

/// Fits what was asked for.
pub fn fit_classes(session: &Session, args: &SupportArgs, own: Asked) -> Result<()> {
    let NetworkArgs { backbone, place, size, crop, weights, .. } = &args.network;
    let asked = Asked { backbone: backbone.clone(), place: place.clone(), size: *size, crop: *crop, ..own };
    let support = Classes::open(&args.data, args.work.load.all)?;
    support.notes.iter().for_each(|note| session.say(note));
    let files = files_of(&support.clone().to_test_on(), &args.data);
    let earlier = args.add.iter().filter(|_| args.output.is_some());
    session.outputs.model(args.model(), &Inputs::of(files.iter().chain(weights).chain(earlier)))?;
    let (gpu, start) = session.gpu_beside(|| {
        let start = args.start(&asked)?;
        start.check(&support)?;
        Ok(start)
    })?;
    say_notes(session, start.notes());
    session.watch_for_interrupts()?;
    session.say(&format!("device    {}", gpu.info.describe()));
    let mut run = session.run_options(&gpu, args.work.batch);
    run.batch = run.batch.min(support.samples.len());
    let options = FitOptions { run, loading: args.work.loading() };
    let (fitted, went) = pollster::block_on(fit(&gpu, &support, start, &options, session))?;
    fitted.save(args.model())?;
    log_peak();
    let left_out = went.left_out.iter().map(|l| (reason::SAME, l.picture.name.as_str()));
    let counted = support.fitted(left_out, went.missed.failed.len());
    warn(session, &went);
    report(session, args.model(), (&fitted, &went), &counted)?;
    session.say(&counted.to_string());
    went.missed.ended(support.samples.len())
}

/// Says where fine-tuning made the pictures' own loss worse.
fn warn(session: &Session, went: &Report) {
    let Some(a) = &went.adapted else { return };
    let [before, after] = a.losses;
    if let Some(tuned) = a.tuning.filter(|_| after > before) {
        session.say(&format!(
            "warning: the loss of the pictures rose from {before:.4} to {after:.4}: the rate is too large for this network; give --lr {}, or \
             --lr auto",
            tuned.rate / 10.0
        ));
    }
}

/// What fine-tuning did, for programs.
fn tuning(went: &Report) -> serde_json::Value {
    let Some(a) = &went.adapted else { return serde_json::Value::Null };
    let tried: Vec<_> = a.tried.iter().map(|(rate, right)| json!({"rate": rate, "accuracy": right})).collect();
    json!({"choices": a.tuning, "loss_before": a.losses[0], "loss_after": a.losses[1], "tried": tried})
}

fn report(session: &Session, model: &Path, (fitted, went): (&Prototype, &Report), counted: &Counted) -> Result<()> {
    let (file, [ready, vectors]) = (&fitted.file, went.seconds);
    if session.json {
        let classes: Vec<_> = file.classes.iter().map(|(name, c)| json!({"name": name, "pictures": c.count})).collect();
        return print(
            &json!({
                "model": model, "classes": classes, "pictures": file.pictures.len(), "values": file.dim, "trace": file.trace(),
                "left_out": went.left_out, "tuning": tuning(went), "counts": counted.json(), "seconds": {"network": ready, "vectors": vectors},
            })
            .to_string(),
        );
    }
    let (name, config) = (quoted(model), &file.config);
    if let Some(a) = &went.adapted {
        let [before, after] = a.losses;
        let rate = a.tuning.map_or("no rate is better than none, so the network stays as it is".into(), |t| {
            format!("{} steps at {}: the loss of the pictures went from {before:.4} to {after:.4}", t.steps, t.rate)
        });
        print(&format!("tuned     {rate}"))?;
    }
    print(&format!(
        "wrote     {name}\nclasses   {}\nvectors   {} values: {}, {}\ndistance  {}\ntime      {ready:.1} s until the network was ready, {vectors:.1} s vectors\n\nNext: lupe predict {name} PICTURES -o results",
        class_words(file),
        file.dim,
        file.backbone.name,
        config.place,
        distance_words(file)
    ))
}
