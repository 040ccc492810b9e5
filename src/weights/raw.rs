//! Reads any weights file into tensors as files store them: types kept, elements little-endian in row-major order.

pub use super::contents::{Contents, Raw, ReadOptions};
use super::names::without_prefixes;
use super::pth;
use crate::error::{Error, Result};
use ::safetensors::SafeTensors;
use ::safetensors::tensor::TensorView;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The first bytes of files that are given instead of weights by mistake.
const OTHERS: [(&[u8], &str); 10] = [
    (b"Ix", "a FAISS index; `lupe import` takes the folder of a bank"),
    (b"version https://git-lfs", "a Git LFS pointer; fetch the file itself with `git lfs pull`"),
    (b"<!DOCTYPE", "a web page; download the file itself"),
    (b"<!doctype", "a web page; download the file itself"),
    (b"<html", "a web page; download the file itself"),
    (b"\x1f\x8b", "a gzip file; unpack it first"),
    (b"\x89HDF", "an HDF5 file, as Keras writes"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
];

/// The tensors of a file by name: PyTorch's containers and safetensors, recognised by their first bytes.
///
/// # Errors
/// [`Error::Weights`] with what is wrong and where.
pub fn read<'a>(bytes: &'a [u8], origin: &str, options: &ReadOptions) -> Result<BTreeMap<String, Raw<'a>>> {
    contents(bytes, origin, options).map(|c| c.tensors)
}

/// As [`read`], with what was removed from the names.
///
/// # Errors
/// As [`read`].
pub fn contents<'a>(bytes: &'a [u8], origin: &str, options: &ReadOptions) -> Result<Contents<'a>> {
    let found = match pth::container(bytes) {
        Some(container) => pth::read(bytes, container, origin, options)?,
        None => Contents { taken_off: String::new(), tensors: safetensors(bytes, origin)? },
    };
    if !options.unwrap {
        return Ok(found);
    }
    let (prefixes, tensors) = without_prefixes(found.tensors);
    Ok(Contents { taken_off: found.taken_off + &prefixes, tensors })
}

fn safetensors<'a>(bytes: &'a [u8], origin: &str) -> Result<BTreeMap<String, Raw<'a>>> {
    let fail = |e| match OTHERS.iter().find(|(start, _)| bytes.starts_with(start)) {
        Some((_, other)) => format!("{origin}: not weights but {other}"),
        None => format!("{origin}: not a valid safetensors file ({} bytes), nor a PyTorch file: {e}", bytes.len()),
    };
    let file = SafeTensors::deserialize(bytes).map_err(|e| Error::Weights(vec![fail(e)]))?;
    let raw = |v: TensorView<'a>| Raw { dtype: v.dtype(), shape: v.shape().to_vec(), bytes: Cow::Borrowed(v.data()) };
    Ok(file.tensors().into_iter().map(|(name, view)| (name, raw(view))).collect())
}
