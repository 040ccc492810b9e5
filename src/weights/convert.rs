//! A safetensors file made from another file's tensors, one after the other: neither the file nor a converted tensor is ever in memory
//! as a whole.

use super::raw::Raw;
use crate::error::{Error, Result};
use ::safetensors::Dtype;
use ::safetensors::tensor::{Metadata, TensorInfo};
use half::{bf16, f16};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::{self, Write};

/// Bytes that are converted at a time.
const PIECE: usize = 1 << 20;

/// A file that is ready to be written.
#[derive(Debug)]
pub struct Converted<'t, 'a> {
    head: Vec<u8>,
    tensors: Vec<(&'t Raw<'a>, Dtype)>,
    bytes: usize,
}

/// What floating-point tensors become.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cast {
    /// F32, F16 or, if none is given, what they are.
    pub dtype: Option<Dtype>,
    /// Tensors of fewer elements stay what they are: they take little room, and rounding early layers is felt most.
    pub keep_below: usize,
}

impl Cast {
    fn of(&self, raw: &Raw) -> Dtype {
        let few = raw.shape.iter().product::<usize>() < self.keep_below;
        self.dtype.filter(|_| !few && wide(raw.dtype).is_some()).unwrap_or(raw.dtype)
    }
}

impl<'t, 'a> Converted<'t, 'a> {
    /// Floating-point tensors as `cast` says, each number rounded once; all others as they are. The same
    /// tensors give the same bytes, those that the safetensors library itself would write.
    ///
    /// # Errors
    /// [`Error::Weights`] with every tensor that contains a number which the type cannot represent.
    pub fn new(tensors: &'t BTreeMap<String, Raw<'a>>, cast: Cast, origin: &str) -> Result<Converted<'t, 'a>> {
        let mut order: Vec<(&String, &Raw, Dtype)> = tensors.iter().map(|(k, raw)| (k, raw, cast.of(raw))).collect();
        let mut problems = vec![];
        for &(name, raw, to) in &order {
            if let Some(value) = unfit(raw, to) {
                problems.push(format!("{origin}: {name} contains {value}, which {to:?} cannot represent"));
            }
        }
        if !problems.is_empty() {
            return Err(Error::Weights(problems));
        }
        order.sort_by_key(|&(name, _, to)| (Reverse(to), name));
        let (mut infos, mut bytes) = (vec![], 0);
        for (name, raw, to) in &order {
            let from = bytes;
            bytes += length(raw, *to);
            infos.push((
                (*name).clone(),
                TensorInfo { dtype: *to, shape: raw.shape.clone(), data_offsets: (from, bytes) },
            ));
        }
        let head =
            head(infos).map_err(|e| Error::Output(format!("the tensors cannot be written as safetensors: {e}")))?;
        Ok(Converted { head, tensors: order.into_iter().map(|(_, raw, to)| (raw, to)).collect(), bytes })
    }

    /// Bytes of the file.
    pub fn bytes(&self) -> usize {
        self.head.len() + self.bytes
    }

    /// Writes it.
    ///
    /// # Errors
    /// Whatever `file` reports.
    pub fn write(&self, file: &mut dyn Write) -> io::Result<()> {
        file.write_all(&self.head)?;
        for (raw, to) in &self.tensors {
            match wide(raw.dtype) {
                Some(wide) if raw.dtype != *to => {
                    for piece in raw.bytes.chunks(PIECE) {
                        file.write_all(&narrow(wide(piece), *to))?;
                    }
                }
                _ => file.write_all(&raw.bytes)?,
            }
        }
        Ok(())
    }
}

/// Length of the header, the header, spaces up to a multiple of eight bytes.
fn head(infos: Vec<(String, TensorInfo)>) -> std::result::Result<Vec<u8>, ::safetensors::SafeTensorError> {
    let mut text = serde_json::to_vec(&Metadata::new(None, infos)?)?;
    text.resize(text.len().next_multiple_of(8), b' ');
    Ok([&(text.len() as u64).to_le_bytes()[..], &text].concat())
}

fn length(raw: &Raw, to: Dtype) -> usize {
    if raw.dtype == to { raw.bytes.len() } else { raw.shape.iter().product::<usize>() * to.bitsize() / 8 }
}

/// Numbers of a piece of a tensor.
type Wide = fn(&[u8]) -> Vec<f64>;

/// How floating-point elements of that type become f64.
fn wide(dtype: Dtype) -> Option<Wide> {
    Some(match dtype {
        Dtype::F64 => |bytes| bytes.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect(),
        Dtype::F32 => |bytes| bytes.as_chunks::<4>().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect(),
        Dtype::F16 => |bytes| bytes.as_chunks::<2>().0.iter().map(|b| f16::from_le_bytes(*b).to_f64()).collect(),
        Dtype::BF16 => |bytes| bytes.as_chunks::<2>().0.iter().map(|b| bf16::from_le_bytes(*b).to_f64()).collect(),
        _ => return None,
    })
}

/// The first number of a tensor that `to` cannot represent.
fn unfit(raw: &Raw, to: Dtype) -> Option<f64> {
    let wide = wide(raw.dtype).filter(|_| raw.dtype != to)?;
    let fits = |v: &f64| if to == Dtype::F16 { to_f16(*v).is_finite() } else { (*v as f32).is_finite() };
    raw.bytes.chunks(PIECE).find_map(|piece| wide(piece).into_iter().find(|v| v.is_finite() && !fits(v)))
}

/// The elements as f32, each rounded once; `None` for types that are not floating-point, or if f32 cannot represent a number.
pub fn singles(raw: &Raw) -> Option<Vec<f32>> {
    let wide = wide(raw.dtype).filter(|_| unfit(raw, Dtype::F32).is_none())?;
    Some(raw.bytes.chunks(PIECE).flat_map(wide).map(|v| v as f32).collect())
}

fn narrow(values: Vec<f64>, to: Dtype) -> Vec<u8> {
    match to {
        Dtype::F16 => values.into_iter().flat_map(|v| to_f16(v).to_le_bytes()).collect(),
        _ => values.into_iter().flat_map(|v| (v as f32).to_le_bytes()).collect(),
    }
}

/// Rounded once on every machine: `half` goes through f32 where the processor helps, which would round a tie twice. Here the f32 in
/// between is rounded to odd, so that the second rounding sees what the first cut off.
fn to_f16(v: f64) -> f16 {
    let near = v as f32;
    if f64::from(near) == v || !near.is_finite() {
        return f16::from_f32(near);
    }
    let towards_zero = if f64::from(near).abs() > v.abs() { near.to_bits() - 1 } else { near.to_bits() };
    f16::from_f32(f32::from_bits(towards_zero | 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::safetensors::tensor::TensorView;
    use std::borrow::Cow;

    fn raw(dtype: Dtype, shape: &[usize], bytes: Vec<u8>) -> Raw<'static> {
        Raw { dtype, shape: shape.to_vec(), bytes: Cow::Owned(bytes) }
    }

    #[test]
    fn the_library_would_write_the_same_bytes() {
        let tensors = BTreeMap::from([
            ("b".to_string(), raw(Dtype::F16, &[3], vec![1; 6])),
            ("a \"quoted\"".to_string(), raw(Dtype::F32, &[], vec![2; 4])),
            ("c".to_string(), raw(Dtype::BOOL, &[2, 0], vec![])),
            ("d".to_string(), raw(Dtype::I64, &[1], vec![3; 8])),
            ("0".to_string(), raw(Dtype::F64, &[1], vec![0; 8])),
        ]);
        let view = |t: &'static Raw| TensorView::new(t.dtype, t.shape.clone(), &t.bytes).unwrap();
        let kept: &'static BTreeMap<_, _> = Box::leak(Box::new(tensors));
        let want = ::safetensors::serialize(kept.iter().map(|(k, t)| (k, view(t))), None).unwrap();
        let (mut got, file) = (vec![], Converted::new(kept, Cast::default(), "x").unwrap());
        file.write(&mut got).unwrap();
        assert!(got == want && file.bytes() == got.len());
        // Cast, the types and with them the order are others.
        let file = Converted::new(kept, Cast { dtype: Some(Dtype::F32), keep_below: 0 }, "x").unwrap();
        got.clear();
        file.write(&mut got).unwrap();
        let read = ::safetensors::SafeTensors::deserialize(&got).unwrap();
        assert!(file.bytes() == got.len() && read.tensor("0").unwrap().data() == [0; 4]);
        let few = Converted::new(kept, Cast { dtype: Some(Dtype::F32), keep_below: 2 }, "x").unwrap();
        let kinds: Vec<Dtype> = few.tensors.iter().map(|(_, to)| *to).collect();
        assert!(
            kinds.contains(&Dtype::F64) && !kinds.contains(&Dtype::F16),
            "one f64 stays, three halves do not: {kinds:?}"
        );
        let again = read.tensors();
        assert!(got == ::safetensors::serialize(again.iter().map(|(k, v)| (k, v)), None).unwrap());
    }

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
