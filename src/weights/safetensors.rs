//! Weights as f32: read with every name, shape and dtype checked, and written as safetensors.

use super::catalog::advice;
use super::raw::{self, Left, Raw, ReadOptions};
use crate::error::{Error, Result};
use crate::files::Mapped;
use crate::tensor::{Shape, Tensor};
use ::safetensors::Dtype;
use ::safetensors::tensor::TensorView;
use half::{bf16, f16};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

/// The type of tensors that cannot be read: their shapes are unknown.
pub const UNREADABLE: &str = "unreadable";

/// A tensor of a file, not converted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// `F32`, `F16`, ….
    pub dtype: String,
    /// Sizes of its axes.
    pub shape: Vec<usize>,
    /// Bytes in the file.
    pub bytes: usize,
}

/// Calls `f` with the contents of a file, mapped into memory.
///
/// # Errors
/// [`Error::Weights`] for a file that cannot be opened, or is not a regular file.
pub fn with_file<T>(path: &Path, f: impl FnOnce(&[u8]) -> Result<T>) -> Result<T> {
    let fail = |what: String| Error::Weights(vec![format!("{}: {what}", path.display())]);
    let advice = || advice(path).map_or(String::new(), |advice| format!("; {advice}"));
    let file = File::open(path).map_err(|e| fail(format!("cannot be opened: {e}{}", advice())))?;
    let meta = file.metadata().map_err(|e| fail(format!("cannot be read: {e}")))?;
    if !meta.is_file() {
        return Err(fail("not a regular file; give the file itself".into()));
    }
    let map = Mapped::of(&file).map_err(|e| fail(format!("cannot be mapped: {e}")))?;
    f(&map)
}

/// The tensors of a file, in the order of their names.
///
/// # Errors
/// [`Error::Weights`] with what is wrong with the file.
pub fn inspect(bytes: &[u8], origin: &str) -> Result<Vec<Entry>> {
    entries(bytes, origin).map(|found| found.0)
}

/// As [`inspect`], with what else is in the file; tensors that cannot be read have the type [`UNREADABLE`].
///
/// # Errors
/// As [`inspect`].
pub fn entries(bytes: &[u8], origin: &str) -> Result<(Vec<Entry>, Vec<Left>)> {
    let options = ReadOptions { lenient: true, ..ReadOptions::default() };
    let found = raw::contents(bytes, origin, &options)?;
    let entry = |(name, raw): (String, Raw)| Entry {
        name,
        dtype: format!("{:?}", raw.dtype),
        shape: raw.shape,
        bytes: raw.bytes.len(),
    };
    let unreadable = |name: String| Entry { name, dtype: UNREADABLE.into(), shape: vec![], bytes: 0 };
    let mut all: Vec<Entry> = found.tensors.into_iter().map(entry).collect();
    all.extend(found.unreadable.into_keys().map(unreadable));
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok((all, found.left))
}

/// All floating-point tensors of a file, safetensors or PyTorch's, as f32; counters of batch norms (integers without axes) are left out.
///
/// # Errors
/// [`Error::Weights`] with every tensor of another dtype, of more than four axes, or with a number that is not finite.
pub fn read(bytes: &[u8], origin: &str) -> Result<BTreeMap<String, Arc<Tensor>>> {
    let options = ReadOptions { unwrap: true, ..ReadOptions::default() };
    floats(raw::read(bytes, origin, &options)?, origin)
}

/// These tensors as f32.
///
/// # Errors
/// As [`read`].
pub fn floats(raws: BTreeMap<String, Raw>, origin: &str) -> Result<BTreeMap<String, Arc<Tensor>>> {
    let (mut named, mut problems) = (BTreeMap::new(), vec![]);
    for (name, raw) in raws {
        match convert(&raw) {
            Ok(Some(tensor)) => drop(named.insert(name, Arc::new(tensor))),
            Ok(None) => {}
            Err(problem) => problems.push(format!("{origin}: {name} {problem}")),
        }
    }
    problems.sort();
    if problems.is_empty() { Ok(named) } else { Err(Error::Weights(problems)) }
}

/// Batch norms count their training steps, which are not needed.
fn is_counter(raw: &Raw) -> bool {
    matches!(raw.dtype, Dtype::I64 | Dtype::I32) && raw.shape.is_empty()
}

fn convert(raw: &Raw) -> std::result::Result<Option<Tensor>, String> {
    let bytes = &*raw.bytes;
    let halves = |f: fn(u16) -> f32| bytes.as_chunks::<2>().0.iter().map(|b| f(u16::from_le_bytes(*b))).collect();
    let data: Vec<f32> = match raw.dtype {
        Dtype::F32 => bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
        Dtype::F16 => halves(|b| f16::from_bits(b).to_f32()),
        Dtype::BF16 => halves(|b| bf16::from_bits(b).to_f32()),
        _ if is_counter(raw) => return Ok(None),
        other => {
            return Err(format!(
                "has type {other:?}, expected f32, f16 or bf16; `lupe weights convert --dtype f32` converts f64"
            ));
        }
    };
    if raw.shape.len() > 4 {
        return Err(format!("has {} axes; at most four are supported", raw.shape.len()));
    }
    if let Some(at) = data.iter().position(|v| !v.is_finite()) {
        return Err(format!("contains a number that is not finite at element {at}"));
    }
    Ok(Some(Tensor::new(Shape::new(&raw.shape), data)))
}

/// A safetensors file of these f32 tensors; the same tensors give the same bytes.
///
/// # Errors
/// [`Error::Output`] if two have the same name.
pub fn write(tensors: &[(String, &Tensor)]) -> Result<Vec<u8>> {
    let bytes: Vec<Vec<u8>> =
        tensors.iter().map(|(_, t)| t.data.iter().flat_map(|v| v.to_le_bytes()).collect()).collect();
    serialize(tensors, &bytes, Dtype::F32)
}

/// As [`write()`], rounded to half precision.
///
/// # Errors
/// As [`write()`].
pub fn write_f16(tensors: &[(String, &Tensor)]) -> Result<Vec<u8>> {
    let half = |v: &f32| f16::from_f32(*v).to_bits().to_le_bytes();
    let bytes: Vec<Vec<u8>> = tensors.iter().map(|(_, t)| t.data.iter().flat_map(half).collect()).collect();
    serialize(tensors, &bytes, Dtype::F16)
}

fn serialize(tensors: &[(String, &Tensor)], bytes: &[Vec<u8>], dtype: Dtype) -> Result<Vec<u8>> {
    let mut views = vec![];
    for ((name, t), bytes) in tensors.iter().zip(bytes) {
        views.push((name, TensorView::new(dtype, t.shape.dims().to_vec(), bytes).map_err(wrong)?));
    }
    ::safetensors::serialize(views, None).map_err(wrong)
}

fn wrong(e: ::safetensors::SafeTensorError) -> Error {
    Error::Output(format!("the tensors cannot be written as safetensors: {e}"))
}
