//! Tensors as files store them, and how to read them: what all readers of containers share.

use ::safetensors::Dtype;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

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
pub struct ReadOptions<'o> {
    /// Look inside `state_dict`, `model`, … and remove the prefixes that all names share.
    pub unwrap: bool,
    /// Unknown names become opaque instead of an error; tensors that need them are still an error.
    pub skip_unknown: bool,
    /// Bytes that the file may expand to; without it 64 MiB or four times the file, whichever is more.
    pub limit: Option<u64>,
    /// The type that elements will be converted to, for the bound only.
    pub dtype: Option<Dtype>,
    /// Names are whole paths through the file: nothing is removed from them.
    pub paths: bool,
    /// Only names, types and shapes: the bytes of the tensors stay empty.
    pub outline: bool,
    /// Tensors of a kind that cannot be read are listed instead of being an error.
    pub lenient: bool,
    /// Read no other tensors than those of these names.
    pub only: Option<&'o BTreeSet<String>>,
    /// Read only what lies under this path, as in `state_dict.module`, which is removed from the names.
    pub tree: Option<&'o str>,
}

/// What a file contains.
#[derive(Clone, Debug, Default)]
pub struct Contents<'a> {
    /// What stood before all names and was removed: wrappers and prefixes, each with its dot.
    pub taken_off: String,
    /// The tensors by name.
    pub tensors: BTreeMap<String, Raw<'a>>,
    /// Tensors of a kind that cannot be read, and why: only if [`ReadOptions::lenient`] asks for it.
    pub unreadable: BTreeMap<String, String>,
    /// What else is in the file, in its order.
    pub left: Vec<Left>,
}

/// A part of a file of which nothing, or not everything, was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// Its path, as in `optimizer`.
    pub path: String,
    /// Tensors in it that were not read.
    pub tensors: usize,
}

/// What was left out in words, as in `optimizer (32 tensors), epoch, args`; nothing if there is nothing.
pub fn left_text(left: &[Left]) -> Option<String> {
    const SHOWN: usize = 12;
    let one = |l: &Left| match l.tensors {
        0 => l.path.clone(),
        1 => format!("{} (1 tensor)", l.path),
        n => format!("{} ({n} tensors)", l.path),
    };
    let shown = left.iter().take(SHOWN).map(one).collect::<Vec<_>>().join(", ");
    let more = left.len().saturating_sub(SHOWN);
    let text = if more > 0 { format!("{shown} and {more} more") } else { shown };
    (!left.is_empty()).then(|| crate::error::plain(&text))
}
