//! Tensors as files hold them, and how to read them: what every reader of a container shares.

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
    /// Its elements: a part of the file where they lie there as they are.
    pub bytes: Cow<'a, [u8]>,
}

/// How to read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Go down into `state_dict`, `model`, … and take off the prefixes that all names share.
    pub unwrap: bool,
    /// Names that are not known become opaque instead of an error; tensors behind them stay one.
    pub skip_unknown: bool,
    /// Bytes that the file may become; without it 64 MiB or four times the file, whichever is more.
    pub limit: Option<u64>,
    /// The type that elements will be brought to, for the bound only.
    pub dtype: Option<Dtype>,
}

/// What a file holds.
#[derive(Clone, Debug)]
pub struct Contents<'a> {
    /// What stood before all names and was taken off: wrappers and prefixes, each with its dot.
    pub taken_off: String,
    /// The tensors by name.
    pub tensors: BTreeMap<String, Raw<'a>>,
}
