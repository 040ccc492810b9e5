//! Weights of networks: named tensors in the checkpoint's own names and layout.

pub mod catalog;
pub mod container;
mod contents;
pub mod convert;
pub mod faiss;
mod fold;
mod header;
mod kinds;
pub mod names;
pub mod pth;
#[cfg(feature = "pull")]
pub mod pull;
pub mod raw;
pub mod safetensors;

pub use fold::BatchNorms;

use crate::error::{Error, Result};
use crate::files::sha256;
use crate::tensor::Tensor;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The built-in weights: `efficientnet_lite0` in half precision. They are compiled into the binary, so that one file copied onto a machine is a
/// complete installation: nothing to look up, nothing to lose.
pub const EMBEDDED: &[u8] =
    include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/weights/efficientnet_lite0.f16.safetensors"));

/// Named tensors, as f32: convolutions `[out, in, kh, kw]`, linear layers `[out, in]`.
#[derive(Clone, Debug, Default)]
pub struct Weights {
    tensors: BTreeMap<String, Arc<Tensor>>,
    origin: String,
    notes: Vec<String>,
}

/// A weights file, and which of its tensors to take.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WeightsFile {
    /// Where it is.
    pub path: PathBuf,
    /// Refuse tensors that the network does not ask for instead of leaving them out.
    pub strict: bool,
    /// The tree to take, as in `model_ema`, where there are several; `.` is the top.
    pub tree: Option<String>,
}

impl From<&Path> for WeightsFile {
    fn from(path: &Path) -> WeightsFile {
        WeightsFile { path: path.into(), ..WeightsFile::default() }
    }
}

impl Weights {
    /// Reads a safetensors file or a PyTorch checkpoint, recognised by its first bytes; it is mapped, not read as a whole.
    ///
    /// # Errors
    /// [`Error::Input`] if it cannot be opened, [`Error::Weights`] with every problem found in it.
    pub fn open(path: &Path) -> Result<Weights> {
        safetensors::with_file(path, |bytes| Weights::from_bytes(bytes, &crate::error::shown(path)))
    }

    /// Reads safetensors or a PyTorch checkpoint from memory; `origin` is what messages call it.
    ///
    /// # Errors
    /// [`Error::Weights`] with every problem found.
    pub fn from_bytes(bytes: &[u8], origin: &str) -> Result<Weights> {
        let (_, tensors) = names::stripped(safetensors::read(bytes, origin)?);
        Ok(Weights { tensors, origin: origin.into(), notes: vec![] })
    }

    /// These tensors as f32; `notes` is what the user should know of how they were found.
    ///
    /// # Errors
    /// [`Error::Weights`] with every tensor of a type or of values that cannot be used.
    pub fn from_raw(raws: BTreeMap<String, raw::Raw>, origin: &str, notes: Vec<String>) -> Result<Weights> {
        Ok(Weights { tensors: safetensors::floats(raws, origin)?, origin: origin.into(), notes })
    }

    /// Weights that are in memory already.
    pub fn from_tensors(tensors: impl IntoIterator<Item = (String, Tensor)>) -> Weights {
        let tensors = tensors.into_iter().map(|(k, v)| (k, Arc::new(v))).collect();
        Weights { tensors, origin: "weights".into(), notes: vec![] }
    }

    /// The same with another note.
    pub fn noted(mut self, note: String) -> Weights {
        self.notes.push(note);
        self
    }

    /// The built-in weights, as published: batch norms are not folded.
    ///
    /// # Errors
    /// None, as long as the program is intact.
    pub fn embedded() -> Result<Weights> {
        Weights::from_bytes(EMBEDDED, "the embedded efficientnet_lite0")
    }

    /// The tensors by name.
    pub fn tensors(&self) -> &BTreeMap<String, Arc<Tensor>> {
        &self.tensors
    }

    /// Where they come from.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// What the user should know of how they were found: which tree of the file was taken, what was left out.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Every batch norm folded into the convolution before it, in f64; `norms` are those of the network that the weights are for.
    ///
    /// # Errors
    /// [`Error::Weights`] with every batch norm that has no convolution or whose sizes disagree.
    pub fn fold_batch_norm(self, norms: &BatchNorms) -> Result<Weights> {
        let tensors = fold::fold(self.tensors, norms).map_err(|problems| {
            Error::Weights(problems.into_iter().map(|p| format!("{}: {p}", self.origin)).collect())
        })?;
        Ok(Weights { tensors, ..self })
    }

    /// Hash of names, shapes and values (as f32, in the order of the names): the same weights in any kind of file have the same.
    pub fn sha256(&self) -> String {
        let part = |(name, t): (&String, &Arc<Tensor>)| {
            let bytes: Vec<u8> = t.data.iter().flat_map(|v| v.to_le_bytes()).collect();
            format!("{name} {} {}\n", t.shape, sha256(&bytes))
        };
        sha256(self.tensors().iter().map(part).collect::<String>().as_bytes())
    }
}
