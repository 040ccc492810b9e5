//! Tensors as files store them, and how to read them: what all readers of containers share.

use ::safetensors::Dtype;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// A tensor that is not converted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raw<'a> {
    /// Type of the elements.
    pub dtype: Dtype,
    /// Sizes of its axes.
    pub shape: Vec<usize>,
    /// Its elements: a part of the file if they are stored there as they are.
    pub bytes: Cow<'a, [u8]>,
}

/// How to read.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReadOptions {
    /// Look inside `state_dict`, `model`, … and remove the prefixes that all names share.
    pub unwrap: bool,
    /// Unknown names become opaque instead of an error; tensors that need them are still an error.
    pub skip_unknown: bool,
    /// Bytes that the file may expand to; without it 64 MiB or four times the file, whichever is more.
    pub limit: Option<u64>,
    /// The type that elements will be converted to, for the bound only.
    pub dtype: Option<Dtype>,
}

/// What a file contains.
#[derive(Clone, Debug)]
pub struct Contents<'a> {
    /// What stood before all names and was removed: wrappers and prefixes, each with its dot.
    pub taken_off: String,
    /// The tensors by name.
    pub tensors: BTreeMap<String, Raw<'a>>,
}
