//! Pieces of amazon-science/patchcore-inspection: the dictionary `patchcore_params.pkl` and the rows of `nnscorer_search_index.faiss`.

use super::{Foreign, Given, UNCHECKED, agreed, checked, layer_names, network};
use crate::error::{Error, Result};
use crate::methods::patchcore::{Config, Preset};
use crate::tensor::Tensor;
use crate::weights::Weights;
use crate::weights::pth::values::Pickled;

/// The dictionary, and what messages call its file.
struct Params<'a> {
    value: &'a Pickled,
    file: &'a str,
}

impl Params<'_> {
    fn fail(&self, what: &str) -> Error {
        Error::Weights(vec![format!("{}: {what}", self.file)])
    }

    /// The entry of that name, as `read` sees it; `what` says what is expected.
    fn get<'v, T>(&'v self, name: &str, what: &str, read: impl Fn(&'v Pickled) -> Option<T>) -> Result<T> {
        let value = self.value.get(name).ok_or_else(|| self.fail(&format!("{name} is missing")))?;
        read(value).ok_or_else(|| self.fail(&format!("{name} is not {what}")))
    }

    fn number(&self, name: &str) -> Result<usize> {
        self.get(name, "a whole number", Pickled::number)
    }
}

/// The bank `[m, d]` of an index with the choices in `params`, the dictionary of `file`; `origin` is kept in the model.
///
/// # Errors
/// [`Error::Weights`] for an entry that is missing or not supported, [`Error::Usage`] if a flag is missing or contradicts it.
pub fn official(params: &Pickled, file: &str, bank: Tensor, origin: String, given: &Given) -> Result<Foreign> {
    let p = Params { value: params, file };
    let config = choices(&p)?;
    let name = p.get("backbone.name", "a string", Pickled::text)?;
    let backbone = given.backbone.clone().map_or_else(|| network(file, name), Ok)?;
    agreed("--layers", given.layers.as_ref().map(|l| l.join(",")), Some(config.layers.join(",")))?;
    agreed("--size", given.size, Some(config.size))?;
    if given.crop.is_some() {
        let what = "--crop and --no-crop: the official implementation always crops; leave the flag out";
        return Err(Error::Usage(what.into()));
    }
    if given.reweight.is_some() {
        let what = "--reweight: the official implementation does not re-weight; leave the flag out";
        return Err(Error::Usage(what.into()));
    }
    let mut notes = vec![UNCHECKED.to_string()];
    if config.neighbors > 1 && given.neighbors.is_none() {
        notes.push(format!(
            "the model states {} neighbours, with which it was evaluated after its fit; the official program uses 1 when it loads the model: \
             --neighbors 1 gives those scores",
            config.neighbors
        ));
    }
    let resize = resize(file, config.size, given)?;
    let config = Config { resize, neighbors: given.neighbors.unwrap_or(config.neighbors), ..config };
    config.check()?;
    let (source, part) = (file.to_string(), Weights::default());
    Ok(Foreign { config, backbone, thresholds: [None; 2], notes, layers_given: false, source, origin, bank, part })
}

/// What the dictionary states, with a placeholder for the edge before the crop, which is not in it.
fn choices(p: &Params) -> Result<Config> {
    let square = |v: &Pickled| match v.items()?.iter().map(Pickled::number).collect::<Option<Vec<_>>>()?.as_slice() {
        [3, h, w] if h == w => Some(*h),
        _ => None,
    };
    let size = p.get("input_shape", "a square of three channels, (3, s, s)", square)?;
    let what = "a list of names";
    if p.number("patchstride")? != 1 {
        return Err(p.fail("patchstride is not 1: only banks made from every place are supported"));
    }
    let config = Config {
        layers: p.get("layers_to_extract_from", what, layer_names)?,
        patch: p.number("patchsize")?,
        pretrain_dim: Some(p.number("pretrain_embed_dimension")?),
        target_dim: Some(p.number("target_embed_dimension")?),
        neighbors: p.number("anomaly_scorer_num_nn")?,
        size,
        resize: size,
        ratio: 1.0,
        ..Config::new(Preset::Official)
    };
    checked(p.file, config, &Given::default())
}

/// The edge before the crop: as given, else as in the official program's examples.
fn resize(file: &str, size: usize, given: &Given) -> Result<usize> {
    match (given.resize, size) {
        (Some(resize), _) => Ok(resize),
        (None, 224) => Ok(256),
        (None, 320) => Ok(366),
        (None, _) => Err(Error::Usage(format!(
            "{file}: the crop is {size}, and the edge before the crop is not stated: give --resize as it was when the bank was fitted"
        ))),
    }
}
