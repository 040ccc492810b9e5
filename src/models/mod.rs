//! The networks: values with a name, the preprocessing of pictures, and a function that builds a graph with named places.

pub mod autoencoder;
pub mod caml;
mod compare;
pub mod efficientnet;
mod initial;
mod layers;
mod outline;
pub mod pdn;
pub mod positions;
pub mod resnet;
mod spelling;
pub mod stand_in;
mod tree;
pub mod vit;

pub use compare::{Comparison, check, nearest};
pub use initial::initial;
pub use layers::classifier;
pub use outline::Outline;
pub use positions::Positions;
pub use spelling::{Names, Rule, Spelling};
pub use tree::{Fit, Recognised, holds, left_out, read, recognise};

use crate::data::Preprocess;
use crate::engine::{Graph, Scope, Var};
use crate::error::{Error, Result};
use crate::weights::{BatchNorms, Weights, WeightsFile};

/// A network.
#[derive(Clone, Copy, Debug)]
pub struct Network {
    /// Its name on the command line.
    pub name: &'static str,
    /// How its pictures are prepared.
    pub preprocess: Preprocess,
    /// Prefixes of the names of its head's weights: features need none of these.
    pub head: &'static [&'static str],
    /// Its batch norms.
    pub norms: BatchNorms,
    /// What PatchCore takes from it unless told otherwise.
    pub features: Features,
    /// The place that stands for a picture unless told otherwise: a vector `[n, c]`.
    pub vector: &'static str,
    /// Rows and columns of its input are multiples of this: the edge of its patches, 1 where any size will do.
    pub multiple: usize,
    /// Rows and columns that its input has at least.
    pub least: usize,
    /// How its position embeddings are brought to the grid of a picture; networks without any ignore it.
    pub positions: Positions,
    /// How its publishers spell the names of its weights.
    pub names: Names,
    /// What [`Network::build`] calls.
    pub builder: Build,
}

/// What patch vectors are made of.
#[derive(Clone, Copy, Debug)]
pub struct Features {
    /// Names of places, in the order of the computation.
    pub layers: &'static [&'static str],
    /// Values to which each layer is pooled, and then all layers together; `None`: the mean of every channel, nothing is pooled away.
    pub dim: Option<usize>,
}

/// From pictures, the scope of the weights and how positions are resampled to places.
pub type Build = for<'g, 'w> fn(Var<'g>, &Scope<'g, 'w>, Positions) -> Places<'g>;

/// The named places of a network, in the order of the computation: `block4`, `pool`, `logits`.
#[derive(Clone, Debug, Default)]
pub struct Places<'g>(Vec<(String, Var<'g>)>);

/// The families of networks: a new one is a file and a line here. The first network of all is the one whose weights are built in.
const FAMILIES: &[&[Network]] = &[&efficientnet::NETWORKS, &resnet::NETWORKS, &vit::NETWORKS, &pdn::NETWORKS];

/// The network whose weights are built in.
pub const EMBEDDED: &Network = &efficientnet::NETWORKS[0];

/// Every network.
pub fn all() -> impl Iterator<Item = &'static Network> {
    FAMILIES.iter().copied().flatten()
}

/// The network of that name.
pub fn find(name: &str) -> Option<&'static Network> {
    all().find(|n| n.name == name)
}

/// The network of that name, for users.
///
/// # Errors
/// [`Error::Usage`] that lists the available networks.
pub fn named(name: &str) -> Result<&'static Network> {
    find(name).ok_or_else(|| Error::Usage(format!("unknown network `{name}`; available: {}", names())))
}

/// Names of all networks, separated by commas.
pub fn names() -> String {
    all().map(|n| n.name).collect::<Vec<_>>().join(", ")
}

/// The network of that name and its weights, batch norms folded: from a file, else built in. What the file holds besides is told by
/// [`Weights::notes`].
///
/// # Errors
/// As [`unfolded`], and for batch norms that cannot be folded.
pub fn open(name: &str, file: Option<&WeightsFile>) -> Result<(&'static Network, Weights)> {
    let (network, weights) = unfolded(name, file)?;
    Ok((network, weights.fold_batch_norm(&network.norms)?))
}

/// As [`open`], with batch norms as they are: what training begins with.
///
/// # Errors
/// [`Error::Usage`] for an unknown name or one without built-in weights, otherwise as [`read`].
pub fn unfolded(name: &str, file: Option<&WeightsFile>) -> Result<(&'static Network, Weights)> {
    let network = named(name)?;
    let weights = match file {
        Some(file) => read(network, file)?,
        None if network.name == EMBEDDED.name => Weights::embedded()?,
        None => {
            return Err(Error::Usage(format!(
                "{name} has no built-in weights (only {} has): give --weights FILE",
                EMBEDDED.name
            )));
        }
    };
    Ok((network, weights))
}

impl Network {
    /// Its named places for pictures `[n, h, w, 3]`, preprocessed; weights come from the scope by the network's own names.
    pub fn build<'g>(&self, pictures: Var<'g>, weights: &Scope<'g, '_>) -> Places<'g> {
        (self.builder)(pictures, weights, self.positions)
    }

    /// Whether pictures of this many rows and columns are what it takes whole.
    ///
    /// # Errors
    /// [`Error::Usage`] that names the least size, or the multiple and the nearest sizes; `what` is the flag or value that asks for them.
    pub fn takes(&self, what: &str, size: [usize; 2]) -> Result<()> {
        let (m, least) = (self.multiple, self.least);
        if let Some(small) = size.into_iter().find(|edge| *edge < least) {
            return Err(Error::Usage(format!("{what} {small}: must be at least {least} for {}", self.name)));
        }
        let Some(wrong) = size.into_iter().find(|edge| *edge == 0 || !edge.is_multiple_of(m)) else { return Ok(()) };
        let (below, above) = ((wrong / m * m).max(m), (wrong / m + 1) * m);
        let near = if below == above { below.to_string() } else { format!("{below} or {above}") };
        Err(Error::Usage(format!(
            "{what} {wrong}: must be a multiple of {m}, the edge of the patches of {}, such as {near}",
            self.name
        )))
    }

    /// Rows and columns of its input, as its preprocessing gives them.
    pub fn input_size(&self) -> [usize; 2] {
        self.preprocess.crop.unwrap_or([224; 2])
    }

    /// Names of the places that it offers with these weights: without its head's weights those of its head are missing.
    pub fn places(&self, weights: &Weights) -> Vec<String> {
        let graph = Graph::new();
        let [h, w] = self.input_size();
        let places = self.build(graph.input("picture", [1, h, w, 3]), &Scope::new(&graph, weights.tensors()));
        places.names().map(str::to_string).collect()
    }
}

impl<'g> Places<'g> {
    /// Adds a place.
    pub fn push(&mut self, name: impl Into<String>, value: Var<'g>) {
        self.0.push((name.into(), value));
    }

    /// The place of that name.
    pub fn get(&self, name: &str) -> Option<Var<'g>> {
        self.0.iter().find(|p| p.0 == name).map(|p| p.1)
    }

    /// The last one: the head's, if there is one.
    pub fn last(&self) -> Option<Var<'g>> {
        self.0.last().map(|p| p.1)
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|p| p.0.as_str())
    }

    /// The place of that name.
    ///
    /// # Errors
    /// [`Error::Usage`] that lists the available places.
    pub fn find(&self, name: &str) -> Result<Var<'g>> {
        self.get(name).ok_or_else(|| unknown_place(name, self.names()))
    }
}

/// The error for a place that a network does not offer.
pub fn unknown_place<'n>(name: &str, offered: impl Iterator<Item = &'n str>) -> Error {
    Error::Usage(format!("unknown place `{name}`; available: {}", offered.collect::<Vec<_>>().join(", ")))
}
