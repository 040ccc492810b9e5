//! The tensors of a file without their elements, by the file's own names and as other publishers' spellings make them.

use super::spelling::{Form, Spelling};
use crate::error::Result;
use crate::weights::raw::{self, Left, Raw, ReadOptions};
use safetensors::Dtype;
use std::collections::BTreeMap;
use std::ops::Bound;

/// Most axes that a weight may have.
const MAX_AXES: usize = 4;

/// The tensors of a file by their whole paths, without their elements.
#[derive(Clone, Debug, Default)]
pub struct Outline {
    /// By the file's own names.
    pub(super) own: View,
    /// By the names that spellings make of them, where the file has such a spelling.
    pub(super) spelled: Vec<View>,
    /// What is in the file beside tensors that have names.
    pub left: Vec<Left>,
}

/// The tensors of a file as they are named in one way.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    /// Whose spelling was translated; `None` for the file's own names.
    pub spelling: Option<&'static Spelling>,
    pub tensors: BTreeMap<String, Listed>,
}

/// A tensor of a file, or what several become.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    pub shape: Vec<usize>,
    /// Whether its elements are floating-point numbers, as those of all weights are.
    pub floats: bool,
    /// Why it cannot be read, if it cannot.
    pub unreadable: Option<String>,
    /// Where it is in the file, if not under its name, and what is done to it.
    pub made: Option<Made>,
}

/// How a tensor comes from a file that calls it otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Made {
    /// Its paths in the file, in the order of the parts.
    pub of: Vec<String>,
    pub form: Form,
}

impl Listed {
    /// Where the tensor of that name is in the file.
    pub fn paths<'l>(&'l self, name: &'l str) -> Vec<&'l str> {
        self.made.as_ref().map_or(vec![name], |made| made.of.iter().map(String::as_str).collect())
    }
}

impl View {
    /// The tensors whose paths begin with `prefix`, by what follows it.
    pub fn under<'o>(&'o self, prefix: &'o str) -> impl Iterator<Item = (&'o str, &'o Listed)> {
        let from = self.tensors.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        from.map_while(move |(name, listed)| Some((name.strip_prefix(prefix)?, listed)))
    }

    /// This file's names as `spelling` has them, if it has the spelling's mark.
    fn translated(&self, spelling: &'static Spelling) -> Option<View> {
        self.tensors.keys().find(|name| spelling.marks(name))?;
        let (mut tensors, mut parts) = (BTreeMap::new(), BTreeMap::<String, Vec<(Form, &String, &Listed)>>::new());
        for (name, listed) in &self.tensors {
            match spelling.renamed(name) {
                Some((to, form)) => parts.entry(to).or_default().push((form, name, listed)),
                None => drop(tensors.insert(name.clone(), listed.clone())),
            }
        }
        for (to, mut parts) in parts {
            parts.sort_by_key(|(form, ..)| if let Form::Rows(part, _) = form { *part } else { 0 });
            tensors.extend(joined(to, &parts));
        }
        Some(View { spelling: Some(spelling), tensors })
    }
}

/// What parts of one name become; parts that do not fit together stay what they are.
fn joined(to: String, parts: &[(Form, &String, &Listed)]) -> Vec<(String, Listed)> {
    let shapes: Vec<&[usize]> = parts.iter().map(|p| &p.2.shape[..]).collect();
    let whole = parts.first().and_then(|(form, ..)| Some((*form, form.shape(&shapes)?)));
    let alone = parts.len() == 1 || whole.as_ref().is_some_and(|(form, _)| matches!(form, Form::Rows(..)));
    match whole.filter(|_| alone) {
        Some((form, shape)) => {
            let of = parts.iter().map(|p| p.1.clone()).collect();
            let unreadable = parts.iter().find_map(|p| p.2.unreadable.clone());
            let floats = parts.iter().all(|p| p.2.floats);
            vec![(to, Listed { shape, floats, unreadable, made: Some(Made { of, form }) })]
        }
        None => parts.iter().map(|(_, name, listed)| ((*name).clone(), (*listed).clone())).collect(),
    }
}

impl Outline {
    /// The outline of a file; `origin` is what messages call it.
    ///
    /// # Errors
    /// [`Error::Weights`](crate::Error::Weights) for a file that cannot be read at all.
    pub fn of(bytes: &[u8], origin: &str) -> Result<Outline> {
        let options = ReadOptions { paths: true, outline: true, lenient: true, ..ReadOptions::default() };
        let found = raw::contents(bytes, origin, &options)?;
        let readable = |(name, raw): (String, Raw)| {
            let axes = raw.shape.len();
            let why = (axes > MAX_AXES).then(|| format!("has {axes} axes; at most four are supported"));
            (name, Listed { floats: is_float(raw.dtype), shape: raw.shape, unreadable: why, made: None })
        };
        let not = |(name, why)| (name, Listed { shape: vec![], floats: false, unreadable: Some(why), made: None });
        let tensors = found.tensors.into_iter().map(readable).chain(found.unreadable.into_iter().map(not));
        let own = View { spelling: None, tensors: tensors.collect() };
        let spelled = spellings().into_iter().filter_map(|s| own.translated(s)).collect();
        Ok(Outline { own, spelled, left: found.left })
    }

    /// The paths of all tensors.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.own.tensors.keys().map(String::as_str)
    }
}

/// The spellings of all networks, each once: no two have the same mark.
fn spellings() -> Vec<&'static Spelling> {
    let mut all: Vec<&Spelling> = vec![];
    for spelling in super::all().flat_map(|n| n.names.spellings) {
        if all.iter().all(|known| known.mark != spelling.mark) {
            all.push(spelling);
        }
    }
    all
}

fn is_float(dtype: Dtype) -> bool {
    let name = format!("{dtype:?}"); // F32, F16, BF16, F8_E4M3, …
    name.starts_with(['F', 'B']) && dtype != Dtype::BOOL
}
