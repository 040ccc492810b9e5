//! Tensors as pickles describe them: a window on a storage, checked before anything is allocated, and copied in row-major order.

use super::globals::Meaning;
use super::node::{Id, Pickle, PickleNode};
use ::safetensors::Dtype;
use std::borrow::Cow;

/// Maximum number of axes of a tensor.
const MAX_AXES: usize = 32;

/// A storage, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoragePart {
    /// The storage.
    pub key: String,
    /// Type of its elements.
    pub dtype: Dtype,
    /// Bytes of the whole storage.
    pub whole: u64,
    /// Where the part begins, in bytes.
    pub from: u64,
    /// Bytes of the part.
    pub bytes: u64,
}

/// A tensor: a window on a part of a storage.
#[derive(Clone, Debug)]
pub struct View {
    /// The storage it is on.
    pub part: StoragePart,
    /// Type of its elements.
    pub dtype: Dtype,
    /// Sizes of its axes.
    pub sizes: Vec<u64>,
    /// Elements from one place to the next along each axis; 0 if an axis has only one place.
    pub strides: Vec<u64>,
    /// Its first element.
    pub offset: u64,
}

/// Bytes of an element.
pub fn width(dtype: Dtype) -> u64 {
    (dtype.bitsize() as u64).div_ceil(8).max(1)
}

/// What a persistent id says: `('storage', class, key, location, numel)`, in streams also `(view key, offset, size)`.
pub fn part(pickle: &Pickle, id: Id) -> Result<StoragePart, String> {
    let PickleNode::Persistent(inner) = pickle.node(id) else { return Err("its storage is not a storage".into()) };
    let items = pickle.items(*inner).ok_or("its storage is not a tuple")?;
    let (head, view) = match items {
        [tag, head @ ..] if pickle.text(*tag) == Some("storage") => (head, head.get(4)),
        [tag, ..] if pickle.text(*tag) == Some("module") => {
            return Err("a whole module was saved; save its state_dict() instead".into());
        }
        _ => return Err("its storage is described in an unknown way".into()),
    };
    let [class, key, _location, count, ..] = head else {
        return Err("the description of its storage is cut off".into());
    };
    let Some(Meaning::Storage(dtype)) = pickle.kind(*class) else {
        return Err("its storage has elements of no type that Lupe reads".into());
    };
    let (key, count) = (pickle.key(*key).ok_or("its storage has no key")?, pickle.number(*count));
    let times = |n: Option<u64>| n.and_then(|n| n.checked_mul(width(dtype)));
    let whole = times(count).ok_or_else(|| format!("storage {key} has no valid number of elements"))?;
    let (from, bytes) = match view.map(|v| pickle.items(*v)) {
        Some(Some(&[_, offset, size])) => (times(pickle.number(offset)), times(pickle.number(size))),
        _ => (Some(0), Some(whole)),
    };
    match (from, bytes) {
        (Some(from), Some(bytes)) if from.checked_add(bytes).is_some_and(|end| end <= whole) => {
            Ok(StoragePart { key, dtype, whole, from, bytes })
        }
        _ => Err(format!("a part of storage {key} lies outside it")),
    }
}

/// Whether a node is a tensor by the name that made it.
pub fn is_tensor(pickle: &Pickle, id: Id) -> bool {
    match pickle.node(id) {
        PickleNode::Made(Meaning::Tensor | Meaning::TypedTensor | Meaning::Parameter | Meaning::Unsupported, _) => true,
        PickleNode::Made(Meaning::Subclass, parts) => subclass(pickle, parts).is_some(),
        _ => false,
    }
}

/// What rebuilds a subclass of tensors, and its arguments.
fn subclass(pickle: &Pickle, parts: &[Id]) -> Option<(Meaning, Id)> {
    let &[function, _class, args, ..] = pickle.items(*parts.get(1)?)? else { return None };
    let kind = pickle.kind(function)?;
    matches!(kind, Meaning::Tensor | Meaning::TypedTensor | Meaning::Unsupported).then_some((kind, args))
}

/// Why a tensor is of a kind that cannot be read, if it is.
pub fn unsupported(pickle: &Pickle, id: Id) -> Option<String> {
    let mut id = id;
    for _ in 0..4 {
        let PickleNode::Made(kind, parts) = pickle.node(id) else { return None };
        let (kind, args) = match kind {
            Meaning::Subclass => subclass(pickle, parts)?,
            kind => (*kind, *parts.get(1)?),
        };
        let args = pickle.items(args)?;
        match kind {
            Meaning::Parameter => id = *args.first()?,
            Meaning::Unsupported => {
                let by = pickle.name(id);
                return Some(format!("is rebuilt by {}, a kind of tensor that Lupe does not read", by.escape_debug()));
            }
            _ => {
                let PickleNode::Persistent(storage) = pickle.node(*args.first()?) else { return None };
                let class = pickle.items(*storage)?.get(1).copied();
                let named = class.into_iter().chain(args.get(6).copied());
                let other = named.into_iter().find(|&n| pickle.kind(n) == Some(Meaning::Unsupported))?;
                let name = pickle.name(other);
                return Some(format!("has elements of type {}, which Lupe does not read", name.escape_debug()));
            }
        }
    }
    None
}

/// Whether nothing has to be done to the elements: a tensor may be marked as the negative or the conjugate of what its storage holds.
fn plain(pickle: &Pickle, marks: Option<&Id>) -> Result<(), String> {
    let Some(PickleNode::Dict(marks)) = marks.map(|id| pickle.node(*id)) else { return Ok(()) };
    let set = |pair: &&(Id, Id)| matches!(pickle.node(pair.1), PickleNode::Bool(true));
    let Some(&(mark, _)) = marks.iter().find(set) else { return Ok(()) };
    let way = match pickle.text(mark) {
        Some("neg") => "is marked as the negative of its storage (neg): in Python, save its .resolve_neg()".into(),
        Some("conj") => "is marked as the conjugate of its storage (conj): in Python, save its .resolve_conj()".into(),
        other => format!("has a mark that Lupe does not know, {}", other.unwrap_or("not a text").escape_debug()),
    };
    Err(way)
}

/// The tensor of a node for which [`is_tensor`] holds.
pub fn view(pickle: &Pickle, id: Id) -> Result<View, String> {
    let mut id = id;
    for _ in 0..4 {
        let PickleNode::Made(kind, parts) = pickle.node(id) else { return Err("is not a tensor".into()) };
        let (mut kind, mut args) = (*kind, *parts.get(1).ok_or("is a tensor without arguments")?);
        if kind == Meaning::Subclass {
            (kind, args) = subclass(pickle, parts).ok_or("is a tensor of an unknown class")?;
        }
        let args = pickle.items(args).ok_or("is a tensor without arguments")?;
        match kind {
            Meaning::Parameter => id = *args.first().ok_or("is a parameter without a tensor")?,
            Meaning::Tensor => {
                plain(pickle, args.get(6))?;
                return window(pickle, args, None);
            }
            Meaning::TypedTensor => match args.get(6).map(|t| pickle.node(*t)) {
                Some(PickleNode::Global(Meaning::Element(dtype), _)) => {
                    plain(pickle, args.get(7))?;
                    return window(pickle, args, Some(*dtype));
                }
                _ => return Err("has no known type".into()),
            },
            _ => return Err("is not a tensor".into()),
        }
    }
    Err("is a parameter of a parameter of a parameter".into())
}

fn window(pickle: &Pickle, args: &[Id], dtype: Option<Dtype>) -> Result<View, String> {
    let &[storage, offset, sizes, strides, ..] = args else { return Err("has too few arguments".into()) };
    let part = part(pickle, storage)?;
    let list = |id: Id, what: &str| {
        let items = pickle.items(id).filter(|i| i.len() <= MAX_AXES);
        let items = items.ok_or_else(|| format!("has no {what}, or more than {MAX_AXES}"))?;
        items
            .iter()
            .map(|i| pickle.number(*i))
            .collect::<Option<Vec<u64>>>()
            .ok_or(format!("has {what} that are not numbers"))
    };
    let offset = pickle.number(offset).ok_or("has an offset that is not a number")?;
    View::new(part, dtype, list(sizes, "sizes")?, list(strides, "strides")?, offset)
}

impl View {
    /// A window whose every element lies in its part.
    pub fn new(
        part: StoragePart,
        dtype: Option<Dtype>,
        sizes: Vec<u64>,
        strides: Vec<u64>,
        offset: u64,
    ) -> Result<View, String> {
        let dtype = dtype.unwrap_or(part.dtype);
        if sizes.len() != strides.len() || sizes.len() > MAX_AXES {
            return Err(format!("has {} sizes and {} strides", sizes.len(), strides.len()));
        }
        // Sizes must have a product even if one of them is 0, so that no product overflows later.
        let product = sizes.iter().try_fold(width(dtype), |p, &s| p.checked_mul(s.max(1)));
        product.filter(|p| *p < 1 << 62).ok_or_else(|| format!("has sizes {sizes:?}, which are too large"))?;
        let strides: Vec<u64> = sizes.iter().zip(strides).map(|(n, s)| if *n > 1 { s } else { 0 }).collect();
        let view = View { part, dtype, sizes, strides, offset };
        let held = view.part.bytes / width(dtype);
        if view.elements() > 0 {
            let reach = |sum: u64, (n, s): (&u64, &u64)| sum.checked_add((n - 1).checked_mul(*s)?);
            let last = view.sizes.iter().zip(&view.strides).try_fold(offset, reach);
            if last.is_none_or(|last| last >= held) {
                let last = last.map_or("a number beyond 64 bits".into(), |l| l.to_string());
                return Err(format!("needs elements up to {last} of a storage of {held} ({:?})", view.sizes));
            }
        }
        Ok(view)
    }

    /// Number of elements.
    pub fn elements(&self) -> u64 {
        self.sizes.iter().product()
    }

    /// Bytes of all elements.
    pub fn bytes(&self) -> u64 {
        self.elements() * width(self.dtype)
    }

    /// Sizes as `usize`.
    pub fn shape(&self) -> Vec<usize> {
        self.sizes.iter().map(|&s| s as usize).collect()
    }

    fn is_contiguous(&self) -> bool {
        let mut want = 1;
        self.sizes.iter().zip(&self.strides).rev().all(|(&size, &stride)| {
            let fits = size == 1 || stride == want;
            want *= size;
            fits
        })
    }

    /// The elements in row-major order, little-endian, from the storage's bytes; a part of those if they are in this order already.
    pub fn gather<'s>(&self, storage: &'s [u8], big_endian: bool) -> Result<Cow<'s, [u8]>, String> {
        let outside = || "lies outside its storage".to_string();
        let span = |from: u64, n: u64| Some(usize::try_from(from).ok()?..usize::try_from(from.checked_add(n)?).ok()?);
        let part = span(self.part.from, self.part.bytes).and_then(|s| storage.get(s)).ok_or_else(outside)?;
        let step = width(self.dtype);
        let swap = big_endian && step > 1;
        if self.elements() == 0 {
            return Ok(Cow::Borrowed(&[]));
        }
        if self.is_contiguous() && !swap {
            let range = span(self.offset * step, self.bytes()).ok_or_else(outside)?;
            return part.get(range).map(Cow::Borrowed).ok_or_else(outside);
        }
        let mut out = Vec::with_capacity(self.bytes() as usize);
        let mut index = vec![0; self.sizes.len()];
        let mut at = self.offset;
        for _ in 0..self.elements() {
            let start = (at * step) as usize;
            out.extend_from_slice(part.get(start..start + step as usize).ok_or_else(outside)?);
            for ((i, &size), &stride) in index.iter_mut().zip(&self.sizes).zip(&self.strides).rev() {
                *i += 1;
                at += stride;
                if *i < size {
                    break;
                }
                at -= stride * size;
                *i = 0;
            }
        }
        if swap {
            out.chunks_exact_mut(step as usize).for_each(<[u8]>::reverse);
        }
        Ok(Cow::Owned(out))
    }
}
