//! The network of a fitted model as its file names it: by name and hash, with its weights in the file or elsewhere.

use crate::error::{Error, Result};
use crate::models::{self, Network};
use crate::weights::container::Stored;
use crate::weights::{Weights, WeightsFile};
use std::collections::BTreeMap;

/// The network that a model was fitted with.
#[derive(Clone, Debug)]
pub struct Backbone {
    /// Its name.
    pub name: String,
    /// [`Weights::sha256`], batch norms folded.
    pub sha256: String,
    /// Its weights, if they are in the file.
    pub weights: Option<Weights>,
}

impl Backbone {
    /// A network with these weights, which are to be in the file or not.
    pub fn new(network: &Network, weights: &Weights, embed: bool) -> Backbone {
        Backbone { name: network.name.into(), sha256: weights.sha256(), weights: embed.then(|| weights.clone()) }
    }

    /// The network and its weights: those in the file, or those of `given` if they are the same; `origin` is what messages call the
    /// model's file.
    ///
    /// # Errors
    /// [`Error::Weights`] for a network that this version does not know, and for other weights; otherwise as [`models::open`].
    pub fn open(&self, origin: &str, given: Option<&WeightsFile>) -> Result<(&'static Network, Weights)> {
        let (name, fail) = (&self.name, |what: String| Error::Weights(vec![format!("{origin}: {what}")]));
        let network = models::find(name)
            .ok_or_else(|| fail(format!("its backbone {name} is unknown to this version of Lupe")))?;
        match (&self.weights, given) {
            (Some(own), None) => Ok((network, own.clone())),
            (_, file) => {
                let (_, given) = models::open(name, file)?;
                if given.sha256() != self.sha256 {
                    return Err(fail(format!("was fitted with other weights of {name}; give those with --weights")));
                }
                Ok((network, given))
            }
        }
    }

    /// What the file stores of it.
    pub fn stored(&self) -> impl Iterator<Item = (String, Stored)> {
        let tensors = self.weights.iter().flat_map(|w| w.tensors());
        tensors.map(|(name, t)| (format!("backbone.{name}"), Stored::floats(t, true)))
    }

    /// The weights among a file's tensors.
    pub fn weights_of(tensors: &BTreeMap<String, Stored>) -> Weights {
        let named = |(k, t): (&String, &Stored)| Some((k.strip_prefix("backbone.")?.to_string(), t.tensor()?));
        Weights::from_tensors(tensors.iter().filter_map(named))
    }

    /// Whether the weights in the file are those that it names.
    pub fn is_own(&self) -> bool {
        self.weights.as_ref().is_none_or(|w| w.sha256() == self.sha256)
    }
}
