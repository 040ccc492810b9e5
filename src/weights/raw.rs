//! Tensors as files hold them, whatever the file: types kept, elements little-endian in rows.

use super::names::without_prefixes;
use super::pth;
use crate::error::{Error, Result};
use ::safetensors::tensor::TensorView;
use ::safetensors::{Dtype, SafeTensors};
use half::{bf16, f16};
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

/// The tensors of a file by name: PyTorch's containers and safetensors, told apart by their first bytes.
///
/// # Errors
/// [`Error::Weights`] with what is wrong and where.
pub fn read<'a>(bytes: &'a [u8], origin: &str, options: &Options) -> Result<BTreeMap<String, Raw<'a>>> {
    let tensors = match pth::container(bytes) {
        Some(container) => pth::read(bytes, container, origin, options)?,
        None => safetensors(bytes, origin)?,
    };
    Ok(if options.unwrap { without_prefixes(tensors) } else { tensors })
}

fn safetensors<'a>(bytes: &'a [u8], origin: &str) -> Result<BTreeMap<String, Raw<'a>>> {
    let fail = |e| Error::Weights(vec![format!("{origin}: no valid safetensors file ({} bytes): {e}", bytes.len())]);
    let file = SafeTensors::deserialize(bytes).map_err(fail)?;
    let raw = |v: TensorView<'a>| Raw { dtype: v.dtype(), shape: v.shape().to_vec(), bytes: Cow::Borrowed(v.data()) };
    Ok(file.tensors().into_iter().map(|(name, view)| (name, raw(view))).collect())
}

/// The floating-point tensors as `dtype`, F32 or F16, each number rounded once; all others as they are.
///
/// # Errors
/// [`Error::Weights`] with every tensor that holds a number which the type cannot hold.
pub fn cast<'a>(tensors: BTreeMap<String, Raw<'a>>, dtype: Dtype, origin: &str) -> Result<BTreeMap<String, Raw<'a>>> {
    let (mut cast, mut problems) = (BTreeMap::new(), vec![]);
    for (name, raw) in tensors {
        match converted(raw, dtype) {
            Ok(raw) => drop(cast.insert(name, raw)),
            Err(value) => problems.push(format!("{origin}: {name} holds {value}, which {dtype:?} cannot hold")),
        }
    }
    if problems.is_empty() { Ok(cast) } else { Err(Error::Weights(problems)) }
}

fn converted(raw: Raw<'_>, dtype: Dtype) -> std::result::Result<Raw<'_>, f64> {
    let wide: Vec<f64> = match raw.dtype {
        same if same == dtype => return Ok(raw),
        Dtype::F64 => raw.bytes.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect(),
        Dtype::F32 => raw.bytes.as_chunks::<4>().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect(),
        Dtype::F16 => raw.bytes.as_chunks::<2>().0.iter().map(|b| f16::from_le_bytes(*b).to_f64()).collect(),
        Dtype::BF16 => raw.bytes.as_chunks::<2>().0.iter().map(|b| bf16::from_le_bytes(*b).to_f64()).collect(),
        _ => return Ok(raw),
    };
    let half = dtype == Dtype::F16;
    let fits = |v: &f64| if half { to_f16(*v).is_finite() } else { (*v as f32).is_finite() };
    if let Some(value) = wide.iter().find(|v| v.is_finite() && !fits(v)) {
        return Err(*value);
    }
    let bytes = if half {
        wide.iter().flat_map(|v| to_f16(*v).to_le_bytes()).collect()
    } else {
        wide.iter().flat_map(|v| (*v as f32).to_le_bytes()).collect()
    };
    Ok(Raw { dtype: if half { dtype } else { Dtype::F32 }, shape: raw.shape, bytes: Cow::Owned(bytes) })
}

/// Rounded once on every machine: `half` goes by way of f32 where the processor helps, which would round a tie twice. Here the f32 in
/// between is rounded to odd, so that the second rounding sees what the first cut off.
fn to_f16(v: f64) -> f16 {
    let near = v as f32;
    if f64::from(near) == v || !near.is_finite() {
        return f16::from_f32(near);
    }
    let towards_zero = if f64::from(near).abs() > v.abs() { near.to_bits() - 1 } else { near.to_bits() };
    f16::from_f32(f32::from_bits(towards_zero | 1))
}

/// A safetensors file of these tensors; the same tensors give the same bytes.
///
/// # Errors
/// [`Error::Output`] if a tensor's bytes and shape disagree: a bug.
pub fn write(tensors: &BTreeMap<String, Raw>) -> Result<Vec<u8>> {
    let wrong = |e| Error::Output(format!("the tensors cannot be written as safetensors: {e}"));
    let mut views = vec![];
    for (name, t) in tensors {
        views.push((name, TensorView::new(t.dtype, t.shape.clone(), &t.bytes).map_err(wrong)?));
    }
    ::safetensors::serialize(views, None).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_rounded_once() {
        // Just above the middle of 1 and the next half: f32 rounds it to the middle, whose tie goes down to 1.
        let middle = 1.0 + 2f64.powi(-11);
        assert_eq!(to_f16(middle).to_bits(), 0x3c00);
        assert_eq!(to_f16(middle + 2f64.powi(-40)).to_bits(), 0x3c01);
        assert_eq!(to_f16(-middle - 2f64.powi(-40)).to_bits(), 0xbc01);
        assert_eq!(to_f16(middle - 2f64.powi(-40)).to_bits(), 0x3c00);
        // The largest half, the middle to the next that would be, the smallest one, half of it and a little more.
        assert_eq!(to_f16(65519.999999).to_bits(), 0x7bff);
        assert!(to_f16(65520.0).is_infinite());
        assert_eq!(to_f16(2f64.powi(-25)).to_bits(), 0);
        assert_eq!(to_f16(2f64.powi(-25) + 2f64.powi(-60)).to_bits(), 1);
        assert!(to_f16(f64::NAN).is_nan() && to_f16(1e300).is_infinite());
    }
}
