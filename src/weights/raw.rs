//! Reads any weights file into tensors as files store them: types kept, elements little-endian in row-major order.

pub use super::contents::{Contents, Left, Raw, ReadOptions, left_text};
use super::names::{self, without_prefixes};
use super::{header, kinds, pth};
use crate::error::{Error, Result, plain};
use ::safetensors::tensor::TensorView;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// The tensors of a file by name: PyTorch's containers and safetensors, recognised by their first bytes.
///
/// # Errors
/// [`Error::Weights`] with what is wrong and where.
pub fn read<'a>(bytes: &'a [u8], origin: &str, options: &ReadOptions) -> Result<BTreeMap<String, Raw<'a>>> {
    contents(bytes, origin, options).map(|c| c.tensors)
}

/// As [`read`], with what was removed from the names, and what else the file holds.
///
/// # Errors
/// As [`read`]; [`Error::Usage`] for a tree that the file does not have.
pub fn contents<'a>(bytes: &'a [u8], origin: &str, options: &ReadOptions) -> Result<Contents<'a>> {
    if let Some(tree) = options.tree {
        return under(bytes, origin, options, tree);
    }
    let found = match pth::container(bytes) {
        Some(container) => pth::read(bytes, container, origin, options)?,
        None => Contents { tensors: safetensors(bytes, origin, options)?, ..Contents::default() },
    };
    if !options.unwrap || options.paths {
        return Ok(found);
    }
    let (prefixes, tensors) = without_prefixes(found.tensors);
    Ok(Contents { taken_off: found.taken_off + &prefixes, tensors, ..found })
}

/// What lies under `tree`; the rest is left out.
fn under<'a>(bytes: &'a [u8], origin: &str, options: &ReadOptions, tree: &str) -> Result<Contents<'a>> {
    let prefix = names::prefix(tree);
    let whole = ReadOptions { paths: true, tree: None, ..*options };
    let outline = contents(bytes, origin, &ReadOptions { outline: true, lenient: true, ..whole })?;
    let all: BTreeSet<String> = outline.tensors.into_keys().chain(outline.unreadable.into_keys()).collect();
    let (within, others): (BTreeSet<String>, BTreeSet<String>) = all.into_iter().partition(|n| n.starts_with(&prefix));
    if within.is_empty() {
        return Err(unknown_tree(origin, tree, others.iter().map(String::as_str)));
    }
    let found = contents(bytes, origin, &ReadOptions { only: Some(&within), ..whole })?;
    let short = |(name, raw): (String, Raw<'a>)| (name.strip_prefix(&prefix).unwrap_or(&name).to_string(), raw);
    let others = names::parts(others.iter().map(String::as_str)).into_iter();
    let others = others.map(|(path, tensors)| Left { path, tensors });
    let left = others.chain(found.left.iter().filter(|l| !prefix.starts_with(&format!("{}.", l.path))).cloned());
    Ok(Contents {
        left: left.collect(),
        tensors: found.tensors.into_iter().map(short).collect(),
        taken_off: prefix.clone(),
        ..found
    })
}

/// The error for a tree that a file does not have, with what it has.
pub fn unknown_tree<'n>(origin: &str, tree: &str, names: impl Iterator<Item = &'n str>) -> Error {
    let parts: Vec<String> = names::parts(names).into_iter().take(12).map(|p| p.0).collect();
    let available = parts.join(", ");
    Error::Usage(plain(&format!("{origin}: unknown tree `{tree}`; available: {available}")))
}

fn safetensors<'a>(bytes: &'a [u8], origin: &str, options: &ReadOptions) -> Result<BTreeMap<String, Raw<'a>>> {
    let fail = |e: String| match kinds::of(bytes) {
        Some(other) => format!("{origin}: not weights but {other}"),
        None => format!("{origin}: not a valid safetensors file ({} bytes), nor a PyTorch file: {e}", bytes.len()),
    };
    let file = header::open(bytes).map_err(|e| Error::Weights(vec![fail(e)]))?;
    let data = |v: &TensorView<'a>| if options.outline { &[] } else { v.data() };
    let raw = |v: TensorView<'a>| Raw { dtype: v.dtype(), shape: v.shape().to_vec(), bytes: Cow::Borrowed(data(&v)) };
    let wanted = |name: &String| options.only.is_none_or(|only| only.contains(name));
    Ok(file.tensors().into_iter().filter(|t| wanted(&t.0)).map(|(name, view)| (name, raw(view))).collect())
}
