//! How the subject of plan, profile, verify, tune and bench is named: a network, or a fitted model.

use super::session::Session;
use crate::data::{Limits, Picture};
use crate::error::{Error, Result};
use crate::methods::Fitted;
use crate::methods::subject::{Subject, is_model};
use crate::watch::Watch;
use crate::weights::WeightsFile;
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
    /// The file that was named, with these choices.
    pub fn of(&self, weights: Option<&Path>) -> Option<WeightsFile> {
        weights.map(|path| WeightsFile { path: path.into(), strict: self.strict, tree: self.tree.clone() })
    }

    /// The same as words of a command line.
    pub fn words(&self) -> Vec<String> {
        let tree = self.tree.iter().flat_map(|tree| ["--tree".to_string(), tree.clone()]);
        self.strict.then(|| "--strict".into()).into_iter().chain(tree).collect()
    }
}

/// Says what the user should know of weights that were read.
pub fn say_notes(session: &Session, notes: &[String]) {
    notes.iter().for_each(|note| session.say(&format!("note: {note}")));
}

/// Opens a fitted model, and says what is to be known of weights that were read for it.
///
/// # Errors
/// As [`Methods::open`](crate::methods::Methods::open).
pub fn open_model(session: &Session, model: &Path, weights: Option<&WeightsFile>) -> Result<Box<dyn Fitted>> {
    let fitted = session.methods.open(model, weights)?;
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
    /// Edge length of the network's input [default: the size that its preprocessing gives]
    #[arg(long)]
    pub size: Option<usize>,
    /// Pictures per run
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub batch: u16,
}

impl SubjectArgs {
    /// Opens it.
    ///
    /// # Errors
    /// As [`Subject::network`] and [`Methods::open`](crate::methods::Methods::open).
    pub fn open(&self, session: &Session) -> Result<Subject> {
        let weights = self.choice.of(self.weights.as_deref());
        if !is_model(&self.model) {
            let subject = Subject::network(&self.model, weights.as_ref(), self.size)?;
            say_notes(session, subject.notes());
            return Ok(subject);
        }
        match self.size {
            Some(_) => Err(Error::Usage("--size: a fitted model has its own size; leave the flag out".into())),
            None => open_model(session, Path::new(&self.model), weights.as_ref()).map(Subject::Fitted),
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
