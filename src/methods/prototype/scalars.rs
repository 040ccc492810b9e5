//! The two numbers that P>M>F's training leaves beside its backbone: what cosines are multiplied by, and what is added to them.

use crate::error::{Error, Result, shown};
use crate::weights::WeightsFile;
use crate::weights::raw::{ReadOptions, contents};
use crate::weights::safetensors::{floats, with_file};
use std::collections::BTreeSet;

/// Their names in a checkpoint, beside `backbone.*`.
const NAMES: [&str; 2] = ["scale_cls", "bias"];

/// Scale and bias of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scalars {
    /// What cosines are multiplied by.
    pub scale: f64,
    /// What is added to them.
    pub bias: f64,
}

impl Scalars {
    /// Those of a file; `None` for a file without, as that of a backbone alone.
    ///
    /// # Errors
    /// [`Error::Weights`] if there is a scale without a bias, more than one of them, or one that is no number by itself; otherwise as
    /// [`contents`].
    pub fn read(file: &WeightsFile) -> Result<Option<Scalars>> {
        let origin = shown(&file.path);
        let fail = |what: String| Error::Weights(vec![format!("{origin}: {what}")]);
        with_file(&file.path, |bytes| {
            let whole = ReadOptions { paths: true, lenient: true, ..ReadOptions::default() };
            let outline = contents(bytes, &origin, &ReadOptions { outline: true, ..whole })?.tensors;
            let [scale, bias] = NAMES;
            let end = |name: &&String| name.rsplit('.').next() == Some(scale);
            let found: Vec<&String> = outline.keys().filter(end).collect();
            let name = match found.as_slice() {
                [] => return Ok(None),
                [one] => *one,
                [one, other, ..] => return Err(fail(format!("has both {one} and {other}; which one is meant?"))),
            };
            let names = [name.clone(), format!("{}{bias}", name.strip_suffix(scale).unwrap_or_default())];
            let only: BTreeSet<String> = names.iter().cloned().collect();
            let raws = contents(bytes, &origin, &ReadOptions { only: Some(&only), ..whole })?.tensors;
            let tensors = floats(raws, &origin)?;
            let number = |name: &String| match tensors.get(name).map(|t| t.data.as_slice()) {
                Some([v]) => Ok(f64::from(*v)),
                Some(values) => Err(fail(format!("{name} has {} values, expected one", values.len()))),
                None => Err(fail(format!("has no {name} beside its {scale}"))),
            };
            let [scale, bias] = [number(&names[0])?, number(&names[1])?];
            Ok(Some(Scalars { scale, bias }))
        })
    }
}
