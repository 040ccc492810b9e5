//! How the subject of plan, profile, verify, tune and bench is named: a network, or a fitted model.

use super::session::Session;
use crate::data::{Limits, Picture};
use crate::error::{Error, Result};
use crate::methods::subject::Subject;
use clap::Args;
use std::path::{Path, PathBuf};

/// How a subject is named.
#[derive(Clone, Debug, Args)]
pub struct SubjectArgs {
    /// A network, or a fitted model (FILE.lupe)
    #[arg(value_name = "MODEL")]
    pub model: String,
    /// The network's weights; without them, built-in or random weights are used: the times are the same
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
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
        let (path, weights) = (Path::new(&self.model), self.weights.as_deref());
        if path.extension().is_none_or(|e| e != "lupe") {
            return Subject::network(&self.model, weights, self.size);
        }
        match self.size {
            Some(_) => Err(Error::Usage("--size: a fitted model has its own size; leave the flag out".into())),
            None => session.methods.open(path, weights).map(Subject::Fitted),
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
