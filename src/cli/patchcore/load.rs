//! Pictures from disk in batches, the next one made ready while the device works on this one, within a bound of memory.

use super::args::Work;
use crate::cli::session::Session;
use crate::data::dataset::Sample;
use crate::data::{Limits, Mask, Picture, Preprocess};
use crate::error::{Error, Result};
use crate::tensor::Tensor;
use crate::weights::container::sha256;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::mpsc::SyncSender;
use std::time::Instant;

/// A batch is closed when its pictures hold more bytes: one is worked on and one is made ready, so that pictures take twice this and
/// one picture more at most.
const BATCH_BYTES: usize = 128 << 20;

/// How pictures are loaded.
#[derive(Clone, Debug, Default)]
pub struct Loading {
    /// Pixels of a picture at most.
    pub limits: Limits,
    /// Whether the work goes on without pictures that cannot be read.
    pub keep_going: bool,
    /// Hashes of files that are left out.
    pub leave_out: BTreeSet<String>,
}

/// A picture ready for the network.
pub struct Loaded {
    /// Its number among the samples.
    pub number: usize,
    /// Hash of its file.
    pub sha256: String,
    /// The picture.
    pub picture: Picture,
    /// Which of its pixels are defective, where that is known.
    pub mask: Option<Mask>,
    /// The network's input, `[1, h, w, 3]`.
    pub input: Tensor,
    /// Milliseconds for all this.
    pub milliseconds: f64,
}

/// What becomes of a sample.
pub enum Arrival {
    /// It can be looked at.
    Ready(Box<Loaded>),
    /// It was left out.
    LeftOut,
    /// It cannot be read.
    Failed(usize, Error),
}

impl Loading {
    /// As the flags say.
    pub fn of(work: &Work) -> Loading {
        Loading { limits: Limits::of(work.max_pixels), keep_going: work.keep_going, leave_out: BTreeSet::new() }
    }

    /// Sends all samples in order, in batches of at most `batch` pictures; ends early when nobody listens any more.
    pub fn run(
        &self,
        session: &Session,
        preprocess: &Preprocess,
        samples: &[Sample],
        batch: usize,
        send: &SyncSender<Vec<Arrival>>,
    ) {
        let bar = session.progress(samples.len(), "decode");
        let (mut waiting, mut bytes) = (vec![], 0);
        for (number, sample) in samples.iter().enumerate() {
            let arrival = match self.load(preprocess, number, sample) {
                Ok(Some(loaded)) => {
                    bytes += loaded.picture.bytes() + 4 * loaded.input.data.len();
                    Arrival::Ready(Box::new(loaded))
                }
                Ok(None) => Arrival::LeftOut,
                Err(e) => Arrival::Failed(number, e),
            };
            waiting.push(arrival);
            bar.at(number + 1);
            if waiting.len() >= batch || bytes >= BATCH_BYTES {
                bytes = 0;
                if send.send(std::mem::take(&mut waiting)).is_err() {
                    return;
                }
            }
        }
        if !waiting.is_empty() {
            let _ = send.send(waiting); // nobody listens after an error or an interrupt
        }
        bar.done();
    }

    fn load(&self, preprocess: &Preprocess, number: usize, sample: &Sample) -> Result<Option<Loaded>> {
        let (start, name) = (Instant::now(), sample.path.display().to_string());
        let bytes = read(&sample.path)?;
        let sha256 = sha256(&bytes);
        if self.leave_out.contains(&sha256) {
            return Ok(None);
        }
        let picture = Picture::decode(&bytes, &name, self.limits)?;
        drop(bytes);
        let input = preprocess.apply(&picture)?;
        let mask = sample.mask.as_ref().map(|m| Mask::open(m, self.limits)).transpose()?;
        let (w, h) = (picture.width, picture.height);
        if let Some(m) = mask.as_ref().filter(|m| (m.width, m.height) != (w, h)) {
            let mask = sample.mask.as_deref().unwrap_or(&sample.path).display();
            return Err(Error::Input(format!(
                "{name}: is {w}x{h}, its mask {mask} is {}x{}; make them the same size",
                m.width, m.height
            )));
        }
        let milliseconds = start.elapsed().as_secs_f64() * 1e3;
        Ok(Some(Loaded { number, sha256, picture, mask, input, milliseconds }))
    }
}

/// The bytes of a picture's file.
///
/// # Errors
/// [`Error::Input`] naming the file and the system's reason.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    if path.is_dir() {
        return Err(Error::Input(format!("{}: is a folder; a picture is wanted", path.display())));
    }
    std::fs::read(path).map_err(|e| Error::Input(format!("{}: cannot be read: {e}", path.display())))
}
