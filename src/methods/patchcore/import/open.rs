//! Models that other programs saved, from disk: a folder of the official implementation, or an anomalib checkpoint.

use super::{Foreign, Given, anomalib, official};
use crate::error::{Error, Result};
use crate::files::sha256;
use crate::weights::faiss;
use crate::weights::pth::values::pickled;
use crate::weights::safetensors::with_file;
use std::path::Path;

/// Names of the two files of an official model; in an ensemble they have a prefix.
const INDEX: &str = "nnscorer_search_index.faiss";
const PARAMS: &str = "patchcore_params.pkl";

/// Reads what is at `path`: a folder of the official implementation, or an anomalib checkpoint. `member` is the number of the model in a
/// saved ensemble, counted from 1.
///
/// # Errors
/// [`Error::Weights`] for what cannot be read or is neither, [`Error::Usage`] if a flag is missing or contradicts it.
pub fn read(path: &Path, member: Option<usize>, given: &Given) -> Result<Foreign> {
    if path.is_dir() { folder(path, member, given) } else { checkpoint(path, member, given) }
}

/// An official model.
fn folder(folder: &Path, member: Option<usize>, given: &Given) -> Result<Foreign> {
    let before = before(folder, member)?;
    let (index, params) = (folder.join(format!("{before}{INDEX}")), folder.join(format!("{before}{PARAMS}")));
    let value = opened(&params, pickled)?;
    let (bank, hash) = opened(&index, |bytes, name| Ok((faiss::read(bytes, name)?, sha256(bytes))))?;
    let origin = format!("the official implementation's {before}{INDEX}, SHA-256 {hash}");
    official(&value, &params.display().to_string(), bank, origin, given)
}

/// The prefix of the two files' names in the folder.
fn before(folder: &Path, member: Option<usize>) -> Result<String> {
    let read = std::fs::read_dir(folder);
    let folder = folder.display();
    let read = read.map_err(|e| Error::Weights(vec![format!("{folder}: cannot be read: {e}")]))?;
    let names = read.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut all: Vec<String> = names.filter_map(|n| Some(n.strip_suffix(INDEX)?.to_string())).collect();
    all.sort();
    if let Some(n) = member {
        all.retain(|b| b.starts_with(&format!("Ensemble-{n}-")));
    }
    match (all.as_slice(), member) {
        ([one], _) => Ok(one.clone()),
        ([], None) => Err(Error::Weights(vec![format!(
            "{folder}: contains no {INDEX}; name the folder of one category, where it lies beside {PARAMS}"
        )])),
        ([], Some(n)) => Err(Error::Usage(format!("{folder}: contains no Ensemble-{n}-…_{INDEX}"))),
        (many, _) => Err(Error::Usage(format!(
            "{folder}: contains an ensemble of {} models, whose scores Lupe does not combine; choose one with --member N",
            many.len()
        ))),
    }
}

/// An anomalib checkpoint.
fn checkpoint(path: &Path, member: Option<usize>, given: &Given) -> Result<Foreign> {
    if member.is_some() || given.neighbors.is_some() {
        return Err(Error::Usage("--member and --neighbors apply to official models only; leave them out".into()));
    }
    let name = path.file_name().map_or("checkpoint".into(), |n| n.to_string_lossy().into_owned());
    opened(path, |bytes, source| {
        anomalib(bytes, source, format!("anomalib's {name}, SHA-256 {}", sha256(bytes)), given)
    })
}

/// What `read` makes of a file; it is given the file's name, too.
fn opened<T>(path: &Path, read: impl FnOnce(&[u8], &str) -> Result<T>) -> Result<T> {
    let name = path.display().to_string();
    with_file(path, |bytes| {
        if bytes.starts_with(b"version https://git-lfs") {
            let what = "is a Git LFS pointer, not the file itself; fetch that with `git lfs pull`";
            return Err(Error::Weights(vec![format!("{name}: {what}")]));
        }
        read(bytes, &name)
    })
}
