//! anomalib's checkpoint: Lightning's archive with the bank, the network as far as it is needed, and hyper-parameters.

use super::transform::{self, Look};
use super::{Foreign, Given, UNCHECKED, agreed, checked, layer_names, network};
use crate::error::{Error, Result};
use crate::methods::patchcore::{Config, Preset};
use crate::tensor::{Shape, Tensor};
use crate::weights::Weights;
use crate::weights::convert::singles;
use crate::weights::pth::values::{Pickled, beside};
use crate::weights::raw::{self, Raw, ReadOptions};
use std::collections::BTreeMap;

/// Where a checkpoint says how it was fitted.
const PATHS: [&[&str]; 7] = [
    &["hyper_parameters", "backbone"],
    &["hyper_parameters", "layers"],
    &["hyper_parameters", "num_neighbors"],
    // anomalib 1.x: torchvision's objects.
    &["transform"],
    // 2.0 to 2.6: an object with such objects in it, or true for the default, which 2.0 cropped and later versions do not.
    &["hyper_parameters", "pre_processor"],
    // Since 2.7: a description, and whether there was any.
    &["anomalib_pre_processor_config", "transform"],
    &["anomalib_components_enabled", "pre_processor"],
];

const DEFAULT: &str = "wide_resnet50_2";

/// The bank of a checkpoint with its choices; `source` is what messages call the file, `origin` is kept in the model. Objects besides the
/// tensors are ignored, and nothing in the file is executed.
///
/// # Errors
/// [`Error::Weights`] for anything but a checkpoint of anomalib's PatchCore, [`Error::Usage`] if a flag is missing or contradicts it.
pub fn anomalib(bytes: &[u8], source: &str, origin: String, given: &Given) -> Result<Foreign> {
    let fail = |what: String| Error::Weights(vec![format!("{source}: {what}")]);
    let mut tensors = tensors(bytes, source)?;
    let bank = tensors.remove("memory_bank");
    let bank =
        bank.ok_or_else(|| fail("contains no memory_bank: is it a checkpoint of anomalib's PatchCore?".into()))?;
    if bank.shape.rank() != 2 || bank.shape.is_empty() {
        return Err(fail(format!("its memory_bank is {}: it was saved before the fit had finished", bank.shape)));
    }
    let stated = beside(bytes, &PATHS, source)?;
    let [backbone, layers, neighbors, old, object, described, enabled] =
        [0, 1, 2, 3, 4, 5, 6].map(|i| stated.get(i).and_then(Option::as_ref));
    let network = name(source, backbone, given)?;
    let look = transform::look(source, [described, old, object, enabled], &network, given)?;
    let (config, mut notes) = choices(source, layers, neighbors, &look, given)?;
    let threshold = |kind: &str| {
        let t = tensors.get(&format!("post_processor._{kind}_threshold"))?;
        t.data.first().map(|v| f64::from(*v)).filter(|v| v.is_finite())
    };
    let thresholds = [threshold("image"), threshold("pixel")];
    let part = tensors.into_iter().filter_map(|(k, t)| Some((k.strip_prefix("feature_extractor.")?.to_string(), t)));
    let (part, source) = (Weights::from_tensors(part), source.to_string());
    if part.tensors().is_empty() {
        notes.push(UNCHECKED.into());
    }
    Ok(Foreign {
        config,
        backbone: network,
        thresholds,
        notes,
        layers_given: given.layers.is_some(),
        source,
        origin,
        bank,
        part,
    })
}

/// The configuration, and a note on what of it is assumed.
fn choices(
    source: &str,
    layers: Option<&Pickled>,
    neighbors: Option<&Pickled>,
    look: &Look,
    given: &Given,
) -> Result<(Config, Vec<String>)> {
    let plain = |what: &str| Error::Weights(vec![format!("{source}: its hyper-parameter {what} is not supported")]);
    let layers = layers.map(|v| layer_names(v).ok_or_else(|| plain("layers"))).transpose()?;
    let neighbors = neighbors.map(|v| v.number().ok_or_else(|| plain("num_neighbors"))).transpose()?;
    let joined = |l: &Option<Vec<String>>| l.as_ref().map(|l| l.join(","));
    agreed("--layers", joined(&given.layers), joined(&layers))?;
    let layers = layers.or_else(|| given.layers.clone());
    let reweight = agreed("--reweight", given.reweight, neighbors)?;
    let missing = [
        ("the layers (--layers)", layers.is_none()),
        ("num_neighbors (--reweight)", reweight.is_none()),
        ("the size of pictures (--size)", look.assumed),
    ];
    let missing: Vec<&str> = missing.iter().filter(|m| m.1).map(|m| m.0).collect();
    let usual = Config::new(Preset::Anomalib);
    let config = Config {
        layers: layers.unwrap_or(usual.layers),
        reweight: reweight.unwrap_or(usual.reweight),
        resize: look.resize,
        size: look.size,
        crop: look.crop,
        ratio: 1.0,
        ..usual
    };
    let note = format!("it does not state {}: anomalib's defaults are used", missing.join(", "));
    let notes = if missing.is_empty() { vec![] } else { vec![note] };
    Ok((checked(source, config, given)?, notes))
}

/// The tensors that are used, as f32: `memory_bank`, `feature_extractor.*` in the network's own names, thresholds.
fn tensors(bytes: &[u8], source: &str) -> Result<BTreeMap<String, Tensor>> {
    let options = ReadOptions { unwrap: true, skip_unknown: true, ..ReadOptions::default() };
    let mut wanted = BTreeMap::new();
    for (name, raw) in raw::read(bytes, source, &options)? {
        let short = name.strip_prefix("model.").unwrap_or(&name);
        let inner = short.strip_prefix("feature_extractor.");
        let short = inner.map_or(short.to_string(), |n| {
            format!("feature_extractor.{}", n.strip_prefix("feature_extractor.").unwrap_or(n))
        });
        let known = short == "memory_bank" || inner.is_some() || short.ends_with("_threshold");
        if known && !short.ends_with("num_batches_tracked") {
            wanted.insert(short, raw);
        }
    }
    let tensor = |(name, raw): (String, Raw)| {
        let what = format!("{source}: {name} is {:?} of {:?}, which is not supported", raw.dtype, raw.shape);
        floats(&raw).map(|t| (name, t)).ok_or(Error::Weights(vec![what]))
    };
    wanted.into_iter().map(tensor).collect()
}

fn floats(raw: &Raw) -> Option<Tensor> {
    let sizes = if raw.shape.is_empty() { &[1][..] } else { &raw.shape };
    singles(raw).filter(|_| sizes.len() <= 4).map(|data| Tensor::new(Shape::new(sizes), data))
}

/// The network: what the user gives, else what is stated, else anomalib's default.
fn name(source: &str, stated: Option<&Pickled>, given: &Given) -> Result<String> {
    match (&given.backbone, stated) {
        (Some(name), _) => Ok(name.clone()),
        (None, Some(Pickled::Text(name))) => network(source, name),
        (None, None) => Ok(DEFAULT.into()),
        (None, Some(_)) => {
            Err(Error::Usage(format!("{source}: was fitted with a network that it does not name: give --backbone")))
        }
    }
}
