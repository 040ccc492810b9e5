//! CAML's checkpoint: the sizes that follow from its shapes, its weights by the names of a vision transformer, and what is wrong with it.

use super::Caml;
use crate::engine::{Graph, Scope};
use crate::error::{Error, Result, plain, shown};
use crate::tensor::Tensor;
use crate::weights::Weights;
use crate::weights::raw::{Raw, ReadOptions, contents};
use crate::weights::safetensors::with_file;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What all names of a checkpoint begin with, behind wrappers such as `module.`.
const ROOT: &str = "transformer_encoder.";
/// What all of its weights' names begin with here, so that they differ from an encoder's in the same graph.
const HERE: &str = "caml";
/// The name by which a checkpoint is recognised.
const CODES: &str = "label_elmes";
/// Blocks at most: 24 are released.
const MOST_BLOCKS: usize = 256;

/// A checkpoint, read.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// Its sizes.
    pub caml: Caml,
    /// Its weights: below `caml`, those of the blocks and the last norm as a vision transformer names them, the others by their own names.
    pub weights: Weights,
}

/// A weight: its name here, the names that it may have in the file, and its shape.
struct Wanted {
    own: String,
    names: Vec<String>,
    shape: Vec<usize>,
}

impl Checkpoint {
    /// Reads a file, safetensors or PyTorch's, of a transformer with that many heads.
    ///
    /// # Errors
    /// [`Error::Weights`] for a file that is no checkpoint of CAML, with everything that is missing, misshapen or foreign.
    pub fn open(path: &Path, heads: usize) -> Result<Checkpoint> {
        with_file(path, |bytes| Checkpoint::read(bytes, &shown(path), heads))
    }

    /// As [`Checkpoint::open`], from memory; `origin` is what messages call it.
    ///
    /// # Errors
    /// As [`Checkpoint::open`].
    pub fn read(bytes: &[u8], origin: &str, heads: usize) -> Result<Checkpoint> {
        let whole = ReadOptions { paths: true, lenient: true, ..ReadOptions::default() };
        let outline = contents(bytes, origin, &ReadOptions { outline: true, ..whole })?;
        let shapes: BTreeMap<&str, &[usize]> =
            outline.tensors.iter().map(|(name, raw)| (name.as_str(), raw.shape.as_slice())).collect();
        let fail = |what: String| Error::Weights(vec![format!("{origin}: {what}")]);
        let root = root(&shapes).map_err(&fail)?;
        let within: BTreeMap<&str, &[usize]> =
            shapes.iter().filter_map(|(name, shape)| Some((name.strip_prefix(&*root)?, *shape))).collect();
        let caml = sizes(&within, heads).map_err(&fail)?;
        caml.check().map_err(|e| fail(e.to_string()))?;
        let wanted = wanted(&caml);
        let problems = problems(&wanted, &within);
        if !problems.is_empty() {
            return Err(Error::Weights(problems.into_iter().map(|p| format!("{origin}: {root}{p}")).collect()));
        }
        let only: BTreeSet<String> =
            wanted.iter().filter_map(|w| Some(format!("{root}{}", w.found(&within)?))).collect();
        let mut raws = contents(bytes, origin, &ReadOptions { only: Some(&only), ..whole })?.tensors;
        let mut take = |w: &Wanted| Some((w.own.clone(), raws.remove(&format!("{root}{}", w.found(&within)?))?));
        let own: BTreeMap<String, Raw> = wanted.iter().filter_map(&mut take).collect();
        let weights = Weights::from_raw(own, origin, ignored(shapes.len() - only.len()))?;
        Ok(Checkpoint { caml, weights })
    }

    /// Where its weights are in a graph.
    pub fn scope<'g, 'w>(&'w self, graph: &'g Graph) -> Scope<'g, 'w> {
        Scope::new(graph, self.weights.tensors()).at(HERE)
    }

    /// The codes of the labels `[labels, c]` as supports have them: the stored ones times their trained scale.
    pub fn codes(&self) -> Tensor {
        let scale = self.tensor("elmes_scale").and_then(|t| t.data.first()).copied().unwrap_or(1.0);
        let stored = self.tensor(CODES).map(|t| t.data.iter().map(|v| scale * v).collect());
        Tensor::new([self.caml.labels, self.caml.code], stored.unwrap_or_default())
    }

    fn tensor(&self, name: &str) -> Option<&Tensor> {
        self.weights.tensors().get(&format!("{HERE}.{name}")).map(|t| &**t)
    }
}

/// What is said of tensors that are not read.
fn ignored(others: usize) -> Vec<String> {
    let note =
        format!("{others} tensors of the checkpoint are outside of {ROOT}* and are not used, as an encoder's are");
    if others > 0 { vec![note] } else { vec![] }
}

/// What stands before the names of the transformer's weights.
fn root(shapes: &BTreeMap<&str, &[usize]>) -> std::result::Result<String, String> {
    let end = format!("{ROOT}{CODES}");
    let roots: BTreeSet<&str> = shapes.keys().filter_map(|name| name.strip_suffix(CODES)).collect();
    match roots.into_iter().filter(|root| root.is_empty() || root.ends_with('.')).collect::<Vec<_>>()[..] {
        [root] => Ok(root.into()),
        [] => Err(format!("not a checkpoint of CAML: it has no {end}; an encoder's weights are given by --weights")),
        [one, other, ..] => {
            Err(format!("has {CODES} both in {} and in {}; expected one checkpoint of CAML", plain(one), plain(other)))
        }
    }
}

/// The number of the block whose weight has this name.
fn block(name: &str) -> Option<usize> {
    name.strip_prefix("encoder.layers.encoder_layer_")?.split('.').next()?.parse().ok()
}

/// The sizes that follow from the shapes.
fn sizes(within: &BTreeMap<&str, &[usize]>, heads: usize) -> std::result::Result<Caml, String> {
    let matrix = |name: &str| match within.get(name) {
        Some(&[rows, columns]) => Ok([*rows, *columns]),
        Some(shape) => Err(format!("{ROOT}{name} has shape {shape:?}, expected a matrix")),
        None => Err(format!("{ROOT}{name} is missing")),
    };
    let [labels, code] = matrix(CODES)?;
    let [_, width] = matrix("output_proj.weight")?;
    let first = "encoder.layers.encoder_layer_0.mlp.";
    let [mlp, _] =
        matrix(&format!("{first}0.weight")).or_else(|e| matrix(&format!("{first}linear_1.weight")).or(Err(e)))?;
    let depth = within.keys().filter_map(|name| block(name)).max().unwrap_or(0).saturating_add(1);
    if depth > MOST_BLOCKS {
        return Err(format!("names block {}; at most {MOST_BLOCKS} blocks are supported", depth - 1));
    }
    match width.checked_sub(code) {
        Some(features) => Ok(Caml { features, code, labels, depth, heads, mlp }),
        None => Err(format!("its tokens have {width} values, and the codes of labels already {code}")),
    }
}

/// Every weight of a transformer of these sizes.
fn wanted(caml: &Caml) -> Vec<Wanted> {
    let (width, mlp) = (caml.width(), caml.mlp);
    let one = |own: String, names: &[String], shape: &[usize]| Wanted {
        own: format!("{HERE}.{own}"),
        names: names.to_vec(),
        shape: shape.to_vec(),
    };
    let same = |name: &str, shape: &[usize]| one(name.into(), &[name.into()], shape);
    let outside = [
        same("unk_emb", &[1, 1, caml.code]),
        same("elmes_scale", &[1]),
        same(CODES, &[caml.labels, caml.code]),
        same("output_proj.weight", &[caml.labels, width]),
        one("norm.weight".into(), &["encoder.ln.weight".into()], &[width]),
        one("norm.bias".into(), &["encoder.ln.bias".into()], &[width]),
    ];
    // Names in a vision transformer's block; here, as now spelled and as older versions of torchvision did; rows and columns.
    let inside: [(&str, &[&str], [usize; 2]); 6] = [
        ("norm1.", &["ln_1."], [width, 0]),
        ("attn.qkv.", &["self_attention.in_proj_"], [3 * width, width]),
        ("attn.proj.", &["self_attention.out_proj."], [width, width]),
        ("norm2.", &["ln_2."], [width, 0]),
        ("mlp.fc1.", &["mlp.0.", "mlp.linear_1."], [mlp, width]),
        ("mlp.fc2.", &["mlp.3.", "mlp.linear_2."], [width, mlp]),
    ];
    let of_block = |i: usize| {
        inside.into_iter().flat_map(move |(own, names, [rows, columns])| {
            let weight: &[usize] = if columns == 0 { &[rows] } else { &[rows, columns] };
            let part = |part: &str, shape: &[usize]| {
                let name = |name: &&str| format!("encoder.layers.encoder_layer_{i}.{name}{part}");
                one(format!("blocks.{i}.{own}{part}"), &names.iter().map(name).collect::<Vec<_>>(), shape)
            };
            [part("weight", weight), part("bias", &[rows])]
        })
    };
    outside.into_iter().chain((0..caml.depth).flat_map(of_block)).collect()
}

impl Wanted {
    /// The name that it has in the file.
    fn found(&self, within: &BTreeMap<&str, &[usize]>) -> Option<&str> {
        self.names.iter().map(String::as_str).find(|name| within.contains_key(name))
    }
}

/// What is missing, misshapen, or part of no transformer of CAML's.
fn problems(wanted: &[Wanted], within: &BTreeMap<&str, &[usize]>) -> Vec<String> {
    let known: BTreeSet<&str> = wanted.iter().flat_map(|w| &w.names).map(String::as_str).collect();
    let wrong = wanted.iter().filter_map(|w| match (w.found(within), w.names.first()) {
        (Some(name), _) => {
            let shape = *within.get(name)?;
            (shape != w.shape).then(|| format!("{name} has shape {shape:?}, expected {:?}", w.shape))
        }
        (None, name) => Some(format!("{} {:?} is missing", name?, w.shape)),
    });
    let foreign = within.keys().filter(|name| !known.contains(*name));
    wrong.chain(foreign.map(|name| format!("{} is not part of CAML as released", plain(name)))).collect()
}
