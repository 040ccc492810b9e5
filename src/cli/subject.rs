//! How the subject of plan, profile, verify, tune and bench is named: a network, or a fitted model; and a network with pictures for it.

use super::env;
use super::session::Session;
use crate::data::dataset::{Census, Counted};
use crate::data::{Limits, Picture};
use crate::engine::Caps;
use crate::error::{Error, Result};
use crate::methods::embed::{Embedder, named};
use crate::methods::subject::{Subject, is_model};
use crate::methods::{Fitted, Stage};
use crate::models::{self, Network};
use crate::tensor::Tensor;
use crate::watch::Watch;
use crate::weights::{Weights, WeightsFile};
use clap::Args;
use std::path::{Path, PathBuf};

/// Which tensors of a weights file are taken, beside the flag that names the file.
#[derive(Clone, Debug, Default, Args)]
pub struct WeightsArgs {
    /// Refuse a weights file with tensors that the network does not ask for, instead of leaving them out
    #[arg(long, requires = "weights")]
    pub strict: bool,
    /// Which tree of a weights file to take if it has several, as in model_ema; `.` is the top
    #[arg(long, requires = "weights", value_name = "NAME")]
    pub tree: Option<String>,
}

impl WeightsArgs {
    /// The file that was named, by its path or by its name in the catalog, with these choices.
    pub fn of(&self, weights: Option<&Path>) -> Option<WeightsFile> {
        weights.map(|path| WeightsFile { path: env::weights(path), strict: self.strict, tree: self.tree.clone() })
    }

    /// The same as words of a command line.
    pub fn words(&self) -> Vec<String> {
        let tree = self.tree.iter().flat_map(|tree| ["--tree".to_string(), tree.clone()]);
        self.strict.then(|| "--strict".into()).into_iter().chain(tree).collect()
    }
}

/// What a fitted model needs beside its network's weights and does not hold.
#[derive(Clone, Debug, Default, Args)]
pub struct CheckpointArgs {
    /// The checkpoint that a model of CAML was fitted with, a file or a name in `lupe weights list`
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Option<PathBuf>,
}

impl CheckpointArgs {
    /// The file.
    pub fn file(&self) -> Option<PathBuf> {
        self.checkpoint.as_deref().map(env::weights)
    }
}

/// Says what the user should know of weights that were read.
pub fn say_notes<'n>(session: &Session, notes: impl IntoIterator<Item = &'n String>) {
    notes.into_iter().for_each(|note| session.say(&format!("note: {note}")));
}

/// Opens a fitted model, and says what is to be known of weights that were read for it.
///
/// # Errors
/// As [`Methods::open`](crate::methods::Methods::open) and [`Fitted::take_checkpoint`].
pub fn open_model(
    session: &Session,
    model: &Path,
    weights: Option<&WeightsFile>,
    checkpoint: &CheckpointArgs,
) -> Result<Box<dyn Fitted>> {
    let mut fitted = session.methods.open(model, weights)?;
    checkpoint.file().iter().try_for_each(|path| fitted.take_checkpoint(path))?;
    say_notes(session, fitted.notes());
    Ok(fitted)
}

/// How a subject is named.
#[derive(Clone, Debug, Args)]
pub struct SubjectArgs {
    /// A network, or the file of a fitted model
    #[arg(value_name = "MODEL")]
    pub model: String,
    /// The network's weights; without them, built-in or random weights are used: the times are the same
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    #[command(flatten)]
    pub choice: WeightsArgs,
    #[command(flatten)]
    pub checkpoint: CheckpointArgs,
    /// Edge length of the network's input [default: the size that its preprocessing gives]
    #[arg(long)]
    pub size: Option<usize>,
    /// Pictures per run
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub batch: u16,
    /// A step of training, forward, backward and update, instead of a prediction: a network's with a new last layer for ten classes, or
    /// that of a model's fit
    #[arg(long)]
    pub training: bool,
}

impl SubjectArgs {
    /// What runs of a subject, on a picture or noise.
    ///
    /// # Errors
    /// As [`Subject::training_stage`] and [`Subject::predict_stage`].
    pub fn stage<'s>(&self, subject: &'s Subject, picture: Option<&Picture>, caps: &Caps) -> Result<Stage<'s>> {
        match self.training {
            true => subject.training_stage(self.batch.into(), picture),
            false => subject.predict_stage(self.batch.into(), picture, caps),
        }
    }

    /// All that can run of a subject: with a prediction also what a fit runs besides.
    ///
    /// # Errors
    /// As [`SubjectArgs::stage`].
    pub fn stages<'s>(&self, subject: &'s Subject, picture: Option<&Picture>, caps: &Caps) -> Result<Vec<Stage<'s>>> {
        let more = if self.training { vec![] } else { subject.fit_stages(caps) };
        Ok([self.stage(subject, picture, caps)?].into_iter().chain(more).collect())
    }

    /// Opens it.
    ///
    /// # Errors
    /// As [`Subject::network`] and [`Methods::open`](crate::methods::Methods::open).
    pub fn open(&self, session: &Session) -> Result<Subject> {
        let weights = self.choice.of(self.weights.as_deref());
        if !is_model(&self.model) {
            if self.checkpoint.checkpoint.is_some() {
                return Err(Error::Usage("--checkpoint: a network has none; leave the flag out".into()));
            }
            let subject = Subject::network(&self.model, weights.as_ref(), self.size)?;
            say_notes(session, subject.notes());
            return Ok(subject);
        }
        match self.size {
            Some(_) => Err(Error::Usage("--size: a fitted model has its own size; leave the flag out".into())),
            None => {
                open_model(session, Path::new(&self.model), weights.as_ref(), &self.checkpoint).map(Subject::Fitted)
            }
        }
    }
}

/// A picture to run a subject on, if one is named.
///
/// # Errors
/// As [`Picture::open`].
pub fn picture(path: Option<&Path>) -> Result<Option<Picture>> {
    path.map(|path| Picture::open(path, Limits::default())).transpose()
}

/// A network, and pictures for it that are named one by one.
#[derive(Clone, Debug, Args)]
pub struct PicturesArgs {
    /// Pictures: PNG, JPEG, BMP, TIFF or WebP
    #[arg(required = true, value_name = "PICTURE")]
    pub pictures: Vec<PathBuf>,
    /// Network
    #[arg(long, default_value = models::EMBEDDED.name, value_name = "NAME")]
    pub model: String,
    /// Its weights, safetensors or .pth; only the default network has built-in ones
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    #[command(flatten)]
    choice: WeightsArgs,
    /// Maximum number of pictures per run; does not affect results
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    batch: u16,
}

impl PicturesArgs {
    /// Opens the network, and says what is to be known of its weights.
    ///
    /// # Errors
    /// As [`models::open`].
    pub fn open(&self, session: &Session) -> Result<(&'static Network, Weights)> {
        let opened = models::open(&self.model, self.choice.of(self.weights.as_deref()).as_ref())?;
        say_notes(session, opened.1.notes());
        Ok(opened)
    }

    /// Hands `take` the values of `places` for each picture in turn, one tensor `[1, …]` for each place.
    ///
    /// # Errors
    /// As [`Embedder::new`] and [`Embedder::each`].
    pub fn each(
        &self,
        session: &Session,
        (network, weights): (&Network, &Weights),
        places: &[String],
        take: &mut dyn FnMut(Vec<Tensor>) -> Result<()>,
    ) -> Result<()> {
        let samples = named(&self.pictures)?;
        session.watch_for_interrupts()?;
        // Where there is no device, a picture that cannot be read is told first: it is the user's to mend.
        let unreadable = |none| picture(self.pictures.first().map(PathBuf::as_path)).err().unwrap_or(none);
        let gpu = session.gpu().map_err(unreadable)?;
        let mut options = session.run_options(&gpu, self.batch);
        options.batch = options.batch.min(samples.len());
        let planned = Embedder::new(&gpu, (network, weights), places, network.input_size(), &options);
        let mut embedder = pollster::block_on(planned)?;
        let (dispatches, batch) = (embedder.dispatches(), embedder.batch());
        log::info!("{}; {dispatches} dispatches, {batch} pictures a run", gpu.info.describe());
        pollster::block_on(embedder.each(&samples, session, take))
    }

    /// Pictures are named one by one: all of them are looked at, or the command has ended with an error.
    pub fn counted(&self) -> Counted {
        let found = self.pictures.len();
        Census::of(found).ended(found, 0, 0)
    }
}
