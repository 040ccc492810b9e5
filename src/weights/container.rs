//! Lupe's own files: safetensors with one entry of metadata, a JSON object that lists every tensor with its hash and contains its own. A
//! changed byte is detected, and the same content gives the same bytes.

use super::{header, kinds};
use crate::error::{Error, Result};
use crate::files::sha256;
use crate::tensor::{Shape, Tensor};
use ::safetensors::tensor::TensorView;
use ::safetensors::{Dtype, SafeTensors};
use half::f16;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap};

/// The format that is written, and the newest that is read.
pub const FORMAT: u64 = 1;

const KEY: &str = "lupe";

/// A tensor as it is stored in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Type of the elements.
    pub dtype: Dtype,
    /// Sizes of its axes.
    pub shape: Vec<usize>,
    /// Little-endian elements.
    pub bytes: Vec<u8>,
}

impl Stored {
    /// A tensor as f32, or as f16 if that is allowed and loses nothing.
    pub fn floats(t: &Tensor, half: bool) -> Stored {
        let lossless = |v: &f32| f16::from_f32(*v).to_f32().to_bits() == v.to_bits();
        let shape = t.shape.dims().to_vec();
        if half && t.data.iter().all(lossless) {
            let bytes = t.data.iter().flat_map(|v| f16::from_f32(*v).to_bits().to_le_bytes()).collect();
            return Stored { dtype: Dtype::F16, shape, bytes };
        }
        Stored { dtype: Dtype::F32, shape, bytes: t.data.iter().flat_map(|v| v.to_le_bytes()).collect() }
    }

    /// Numbers as f64; they fill `shape`.
    pub fn doubles<'v>(shape: Vec<usize>, values: impl IntoIterator<Item = &'v f64>) -> Stored {
        Stored { dtype: Dtype::F64, shape, bytes: values.into_iter().flat_map(|v| v.to_le_bytes()).collect() }
    }

    /// The numbers of a tensor of f64.
    pub fn numbers(&self) -> impl Iterator<Item = f64> {
        self.bytes.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b))
    }

    /// The tensor, if its elements are f32 or f16 and it has at most four axes.
    pub fn tensor(&self) -> Option<Tensor> {
        let data: Vec<f32> = match self.dtype {
            Dtype::F32 => self.bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
            Dtype::F16 => self.bytes.as_chunks::<2>().0.iter().map(|b| f16::from_le_bytes(*b).to_f32()).collect(),
            _ => return None,
        };
        (self.shape.len() <= 4).then(|| Tensor::new(Shape::new(&self.shape), data))
    }
}

/// The file of these facts and tensors.
///
/// # Errors
/// [`Error::Output`] if a tensor's bytes and shape disagree: a bug.
pub fn write(facts: Map<String, Value>, tensors: &BTreeMap<String, Stored>) -> Result<Vec<u8>> {
    let wrong = |e: ::safetensors::SafeTensorError| Error::Output(format!("the file cannot be assembled: {e}"));
    let entry = |t: &Stored| json!({"dtype": format!("{:?}", t.dtype), "shape": t.shape, "sha256": sha256(&t.bytes)});
    let mut facts = facts;
    facts.insert("format_version".into(), json!(FORMAT));
    facts.insert("tensors".into(), tensors.iter().map(|(k, t)| (k.clone(), entry(t))).collect::<Map<_, _>>().into());
    let own = sha256(Value::Object(facts.clone()).to_string().as_bytes());
    facts.insert("sha256".into(), json!(own));
    let meta = HashMap::from([(KEY.to_string(), Value::Object(facts).to_string())]);
    let mut views = vec![];
    for (name, t) in tensors {
        views.push((name, TensorView::new(t.dtype, t.shape.clone(), &t.bytes).map_err(wrong)?));
    }
    ::safetensors::serialize(views, Some(meta)).map_err(wrong)
}

/// Takes the tensor of that name and type out of a file's tensors, or says what is wrong with it.
pub fn take(tensors: &mut BTreeMap<String, Stored>, name: &str, dtype: Dtype) -> std::result::Result<Stored, String> {
    match tensors.remove(name) {
        Some(t) if t.dtype == dtype => Ok(t),
        Some(t) => Err(format!("tensor {name} is of type {:?}, expected {dtype:?}", t.dtype)),
        None => Err(format!("tensor {name} is missing")),
    }
}

/// The facts of a file of `method` as that method has them, or what is wrong; `title` is what a message calls such a file.
pub fn parsed<T: DeserializeOwned>(
    facts: Map<String, Value>,
    method: &str,
    title: &str,
) -> std::result::Result<T, String> {
    match facts.get("method").and_then(Value::as_str) {
        Some(found) if found == method => {
            serde_json::from_value(Value::Object(facts)).map_err(|e| format!("its facts cannot be read: {e}"))
        }
        other => Err(format!("not {title} but {}", other.unwrap_or("something else"))),
    }
}

/// Whether these bytes begin like one of Lupe's own files.
pub fn is_own(bytes: &[u8]) -> bool {
    let head = SafeTensors::read_metadata(bytes).ok();
    head.is_some_and(|(_, head)| head.metadata().as_ref().is_some_and(|m| m.contains_key(KEY)))
}

/// Facts of a file, checked by their own hash, its list of tensors among them; the tensors are not looked at. `origin` is what messages
/// call it.
///
/// # Errors
/// [`Error::Weights`] if it is not such a file, has a newer format, or its facts are damaged.
pub fn facts(bytes: &[u8], origin: &str) -> Result<Map<String, Value>> {
    let fail = |what: String| Error::Weights(vec![format!("{origin}: {what}")]);
    let (_, head) = SafeTensors::read_metadata(bytes).map_err(|e| match kinds::instead_of_model(bytes) {
        Some(other) => fail(format!("not a fitted model but {other}")),
        None => fail(format!("damaged, or not a model file: {e}")),
    })?;
    header::once(bytes).map_err(|e| fail(format!("is damaged: {e}")))?;
    let text = head.metadata().as_ref().and_then(|m| m.get(KEY));
    let text = text.ok_or_else(|| fail("not a Lupe model; `lupe weights inspect` says what it is".into()))?;
    let facts: Value = serde_json::from_str(text).map_err(|e| fail(format!("is damaged: {e}")))?;
    let Value::Object(mut facts) = facts else { return Err(fail("is damaged: its facts are not an object".into())) };
    match facts.get("format_version").and_then(Value::as_u64) {
        Some(v) if v > FORMAT => {
            let by = facts.get("lupe_version").and_then(Value::as_str).unwrap_or("newer");
            return Err(fail(format!(
                "has format {v}, but this version of Lupe reads formats up to {FORMAT}: use Lupe {by} or newer"
            )));
        }
        Some(_) => {}
        None => return Err(fail("is damaged: it has no format_version".into())),
    }
    let own = facts.remove("sha256");
    if own.as_ref().and_then(Value::as_str)
        != Some(sha256(Value::Object(facts.clone()).to_string().as_bytes()).as_str())
    {
        return Err(fail("is damaged: its facts have changed since it was written; copy it again or fit again".into()));
    }
    Ok(facts)
}

/// Facts and tensors of a file; `origin` is what messages call it.
///
/// # Errors
/// As [`facts`], or if a tensor is damaged or missing.
pub fn read(bytes: &[u8], origin: &str) -> Result<(Map<String, Value>, BTreeMap<String, Stored>)> {
    let fail = |what: String| Error::Weights(vec![format!("{origin}: {what}")]);
    let mut facts = facts(bytes, origin)?;
    let file = SafeTensors::deserialize(bytes).map_err(|e| fail(format!("is damaged: {e}")))?;
    let listed = facts.remove("tensors");
    let listed =
        listed.as_ref().and_then(Value::as_object).ok_or_else(|| fail("is damaged: it lists no tensors".into()))?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.tensors() {
        let found = json!({
            "dtype": format!("{:?}", view.dtype()), "shape": view.shape(), "sha256": sha256(view.data())
        });
        if listed.get(&name) != Some(&found) {
            return Err(fail(format!(
                "is damaged: tensor {name} has changed since it was written; copy it again or fit again"
            )));
        }
        tensors.insert(name, Stored { dtype: view.dtype(), shape: view.shape().to_vec(), bytes: view.data().to_vec() });
    }
    match listed.keys().find(|k| !tensors.contains_key(*k)) {
        Some(missing) => Err(fail(format!("is damaged: tensor {missing} is missing"))),
        None => Ok((facts, tensors)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hash is of numbers as they are written: one that is read as its neighbour would be damage.
    #[test]
    fn every_number_of_the_facts_is_read_as_it_was_written() {
        for i in 0..2000 {
            let value = crate::random::uniform("facts", 2 * i) * crate::random::uniform("facts", 2 * i + 1);
            let facts = Map::from_iter([("value".to_string(), json!(value))]);
            let (read, _) = super::read(&write(facts, &BTreeMap::new()).unwrap(), "m").unwrap();
            assert_eq!(read["value"].as_f64(), Some(value));
        }
    }
}
