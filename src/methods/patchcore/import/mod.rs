//! Models that were fitted elsewhere: pieces of the official implementation or of anomalib become a [`ModelFile`]. What they do not state
//! flags fill in; flags that contradict them are refused: a bank scores well only what its own settings produce.

mod anomalib;
mod official;
mod open;
mod transform;

pub use anomalib::anomalib;
pub use official::official;
pub use open::read;

use super::{Backbone, Config, MAX_ROWS, ModelFile};
use crate::error::{Error, Result};
use crate::methods::limit::LimitRule;
use crate::models;
use crate::tensor::Tensor;
use crate::weights::Weights;
use crate::weights::pth::values::Pickled;
use std::sync::Arc;

/// Most neighbours that a source may ask for.
const MAX_NEIGHBORS: usize = 1000;

/// Note if a source contains no weights.
const UNCHECKED: &str =
    "the source contains no network weights, so it could not be checked that these are the ones used for the fit";

/// How far weights may differ from those in the source, as a share of a tensor's largest: rounding, no more.
const SAME: f32 = 1e-6;

/// What the user states in addition to the source.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// The network, instead of the one that the source names.
    pub backbone: Option<String>,
    /// Places of the network.
    pub layers: Option<Vec<String>>,
    /// Edge length of the network's input.
    pub size: Option<usize>,
    /// Edge before the crop: the shorter one for the official implementation, that of a square for anomalib.
    pub resize: Option<usize>,
    /// Whether anomalib's pictures were cropped.
    pub crop: Option<bool>,
    /// Nearest rows whose mean distance scores a place, instead of what an official model states.
    pub neighbors: Option<usize>,
    /// Rows of the neighbourhood that re-weights a picture's score.
    pub reweight: Option<usize>,
}

/// A bank from elsewhere, and how its rows were made.
#[derive(Clone, Debug)]
pub struct Foreign {
    /// Every choice.
    pub config: Config,
    /// Name of the network.
    pub backbone: String,
    /// Thresholds that the source states for pictures and for pixels.
    pub thresholds: [Option<f64>; 2],
    /// What the user should know: what was assumed, what could not be checked.
    pub notes: Vec<String>,
    /// Whether the user named the layers: what is wrong with them is the command line's fault then.
    layers_given: bool,
    /// What messages call the source.
    source: String,
    /// What the model says about its origin.
    origin: String,
    /// `[m, d]`.
    bank: Tensor,
    /// Weights of the network, as far as the source contains them.
    part: Weights,
}

impl Foreign {
    /// The model with this network and its weights, batch norms folded; they go into its file if `embed` says so.
    ///
    /// # Errors
    /// [`Error::Weights`] if rows or weights do not belong to this network, [`Error::Numeric`] for a row that is not finite.
    pub fn model(self, net: &models::Network, weights: Weights, embed: bool) -> Result<ModelFile> {
        let fail = |what: String| Error::Weights(vec![format!("{}: {what}", self.source)]);
        let [rows, d] = [self.bank.shape.dim(0), self.bank.shape.last()];
        if rows > MAX_ROWS {
            return Err(fail(format!("its bank has {rows} rows, but at most {MAX_ROWS} are supported")));
        }
        if let Some(at) = self.bank.data.iter().position(|v| !v.is_finite()) {
            let row = at / d.max(1);
            return Err(Error::Numeric(format!(
                "{}: row {row} of its bank contains a number that is not finite; fit it again where it was made",
                self.source
            )));
        }
        let part = self.part.clone().fold_batch_norm(&net.norms)?;
        same(&part, &weights)
            .map_err(|what| fail(format!("{what}; --weights must name the file that it was fitted with")))?;
        let wrong = |e: Error| if self.layers_given { e } else { fail(e.to_string()) };
        let geometry = self.config.geometry(net, &weights).map_err(wrong)?;
        if geometry.dim != d {
            let (layers, name) = (self.config.layers.join(","), net.name);
            return Err(fail(format!(
                "its bank has rows of {d} values, but layers {layers} of {name} give {}; is it another network (--backbone)?",
                geometry.dim
            )));
        }
        let backbone = Backbone { name: net.name.into(), sha256: weights.sha256(), weights: embed.then_some(weights) };
        Ok(ModelFile {
            config: self.config,
            geometry,
            backbone,
            bank: Arc::new(self.bank),
            sources: vec![],
            pictures: vec![],
            scores: vec![],
            peaks: vec![],
            left_out: vec![],
            held_out: vec![],
            limit_rule: LimitRule::default(),
            origin: Some(self.origin),
        })
    }
}

/// Whether weights agree with those in `part`.
fn same(part: &Weights, weights: &Weights) -> std::result::Result<(), String> {
    for (name, own) in part.tensors() {
        let Some(given) = weights.tensors().get(name) else {
            return Err(format!("its network has {name}, but {} has not", weights.origin()));
        };
        if own.shape != given.shape {
            return Err(format!(
                "its {name} has shape {}, but in {} it has shape {}",
                own.shape,
                weights.origin(),
                given.shape
            ));
        }
        let largest = own.data.iter().fold(0f32, |m, v| m.max(v.abs()));
        let off = own.data.iter().zip(&given.data).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
        // Not the other way round: NaN must count as different.
        if !(off <= SAME * largest && own.data.iter().all(|v| v.is_finite())) {
            return Err(format!("its {name} differs from that of {} by up to {off}", weights.origin()));
        }
    }
    Ok(())
}

/// Names of layers.
fn layer_names(value: &Pickled) -> Option<Vec<String>> {
    value.items()?.iter().map(|v| Some(v.text()?.to_string())).collect()
}

/// The network that a source calls `name`.
///
/// # Errors
/// [`Error::Weights`] with the names that are known.
fn network(source: &str, name: &str) -> Result<String> {
    let ours = match name {
        "wideresnet50" => "wide_resnet50_2",
        "wideresnet101" => "wide_resnet101_2",
        tagged => tagged.split('.').next().unwrap_or(tagged),
    };
    if models::find(ours).is_some() {
        return Ok(ours.into());
    }
    Err(Error::Weights(vec![format!(
        "{source}: was fitted with an unknown network, {}; available: {}",
        name.escape_debug(),
        models::names()
    )]))
}

/// What the source states or the user gives; the two must not contradict each other.
///
/// # Errors
/// [`Error::Usage`] if they do.
fn agreed<T: PartialEq + std::fmt::Display>(flag: &str, given: Option<T>, stated: Option<T>) -> Result<Option<T>> {
    match (given, stated) {
        (Some(a), Some(s)) if a != s => {
            Err(Error::Usage(format!("{flag} {a}: the bank was fitted with {s}; leave the flag out")))
        }
        (given, stated) => Ok(stated.or(given)),
    }
}

/// A configuration whose numbers come from a file; if flags gave some of them, the flags are to blame.
fn checked(source: &str, config: Config, given: &Given) -> Result<Config> {
    let fail = |what: String| Error::Weights(vec![format!("{source}: {what}")]);
    let flags = given.layers.is_some() || given.size.is_some() || given.resize.is_some() || given.reweight.is_some();
    config.check().map_err(|e| if flags { e } else { fail(e.to_string()) })?;
    match [config.neighbors, config.reweight].into_iter().find(|n| *n > MAX_NEIGHBORS) {
        Some(n) => Err(fail(format!("asks for {n} neighbours, but at most {MAX_NEIGHBORS} are supported"))),
        None => Ok(config),
    }
}
