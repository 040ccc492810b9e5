//! One vector of a picture, from any place of any network: what describes the picture as a whole.

use super::batched::{Batched, RunOptions, Under, head, part};
use super::looking::{Device, Looked, Missed, look};
use crate::data::dataset::Sample;
use crate::data::load::Loading;
use crate::data::{Prepared, Preprocess, Scaling};
use crate::engine::graph::live;
use crate::engine::{Gpu, Graph, Named, Parameters, Scope, Var};
use crate::error::{Error, Result, plain};
use crate::models::{Network, check};
use crate::tensor::Tensor;
use crate::watch::Watch;
use crate::weights::Weights;
use std::collections::BTreeSet;

/// The vector `[n, c]` of a place: a vector as it is, a map's mean over its places; `None` for anything else.
pub fn of(place: Var<'_>) -> Option<Var<'_>> {
    match place.shape().rank() {
        2 => Some(place),
        4 => Some(place.global_pool()),
        _ => None,
    }
}

/// The vectors `[n, c]` of pictures `[n, h, w, 3]` from a place of a network whose weights are at `weights`.
///
/// # Errors
/// [`Error::Usage`] for a place that the network does not offer, with those that it does, and for one without a vector.
pub fn at<'g>(network: &Network, place: &str, pictures: Var<'g>, weights: &Scope<'g, '_>) -> Result<Var<'g>> {
    let (found, name) = (network.build(pictures, weights).find(place)?, plain(place));
    of(found).ok_or_else(|| Error::Usage(format!("place {name}: is neither a map nor a vector of the picture")))
}

/// What a training changes of the weights that `value` depends on, with `slots` elements for each of theirs: all of them but the statistics
/// of batch norms.
///
/// # Errors
/// That of the graph.
pub fn trainable(value: Var<'_>, named: &Named, slots: usize) -> Result<Parameters> {
    let nodes = value.graph().nodes()?;
    let read = nodes.iter().zip(live(&nodes, &[value.id()])).filter(|n| n.1).map(|n| n.0.label.as_str());
    let read: BTreeSet<&str> = read.collect();
    let statistic = |name: &str| name.ends_with("running_mean") || name.ends_with("running_var");
    Ok(Parameters::new(named, slots, |name| read.contains(name) && !statistic(name)))
}

/// How pictures are prepared for vectors of a network: the whole picture at `size` pixels a side, or, with `crop`, as the network's own
/// preprocessing has it, at that size.
pub fn preprocess(network: &Network, size: usize, crop: bool) -> Preprocess {
    let (own, [usual, _]) = (network.preprocess, network.input_size());
    let scaling = match own.scaling {
        _ if !crop => Some(Scaling::Square(size)),
        // The crop's share of the shorter edge stays the network's.
        Some(Scaling::ShortEdge(edge)) => Some(Scaling::ShortEdge(edge * size / usual.max(1))),
        Some(Scaling::Square(edge)) => Some(Scaling::Square(edge * size / usual.max(1))),
        None => None,
    };
    Preprocess { scaling, crop: Some([size; 2]), ..own }
}

/// Where vectors come from.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The network.
    pub network: &'a Network,
    /// Its weights, batch norms folded.
    pub weights: &'a Weights,
    /// The place: [`Network::vector`] unless told otherwise.
    pub place: &'a str,
    /// What pictures go through: [`preprocess`].
    pub preprocess: Preprocess,
}

impl<'a> Source<'a> {
    /// Rows and columns of the network's input.
    pub fn size(&self) -> [usize; 2] {
        self.preprocess.crop.unwrap_or_else(|| self.network.input_size())
    }

    /// The vectors `[n, c]` of pictures `[n, h, w, 3]`.
    ///
    /// # Errors
    /// As [`at`].
    pub fn vectors<'g>(&self, graph: &'g Graph, pictures: Var<'g>) -> Result<Var<'g>> {
        at(self.network, self.place, pictures, &Scope::new(graph, self.weights.tensors()))
    }

    /// Values of a vector.
    ///
    /// # Errors
    /// As [`Source::vectors`]; [`Error::Usage`] for a size that the network does not take; [`Error::Weights`] listing everything missing,
    /// misshapen or foreign.
    pub fn dim(&self) -> Result<usize> {
        self.network.takes("size", self.size())?;
        check(self.network, self.weights)?;
        let (graph, [h, w]) = (Graph::new(), self.size());
        let vectors = self.vectors(&graph, graph.input("picture", [1, h, w, 3]))?;
        graph.nodes()?;
        Ok(vectors.dim(1))
    }
}

/// A source that is planned: pictures in, vectors out.
pub struct Vectors<'b, 'g> {
    batched: Batched<'b, 'g>,
    source: Source<'b>,
}

impl<'b, 'g> Vectors<'b, 'g> {
    /// Plans a source. The batch changes no bit of a vector.
    ///
    /// # Errors
    /// As [`Source::dim`] and [`Batched::new`].
    pub async fn new(gpu: &'g Gpu, source: Source<'b>, options: &RunOptions) -> Result<Vectors<'b, 'g>> {
        source.dim()?;
        // What can be wrong with the place was found just now.
        let head = head(move |graph, pictures| source.vectors(graph, pictures).into_iter().collect());
        let batched = Batched::new(gpu, &source.preprocess, source.size(), options, head).await?;
        Ok(Vectors { batched, source })
    }

    /// Hands `take` each picture in turn with its vector, of which every value is finite.
    ///
    /// # Errors
    /// [`Error::Input`] for a picture that cannot be read, unless [`Loading::keep_going`]; [`Error::Numeric`] for a vector that is not
    /// finite; whatever the device or `take` report; the watcher's interrupt.
    pub async fn each(
        &mut self,
        samples: &[Sample],
        loading: &Loading,
        watch: &dyn Watch,
        take: &mut dyn FnMut(Looked, Vec<f32>) -> Result<()>,
    ) -> Result<Missed> {
        let preprocess = self.source.preprocess;
        look(&mut Each { vectors: self, samples, take }, (samples, &preprocess), loading, watch).await
    }
}

/// Pictures whose vectors are taken one after the other.
struct Each<'e, 'b, 'g> {
    vectors: &'e mut Vectors<'b, 'g>,
    samples: &'e [Sample],
    take: &'e mut dyn FnMut(Looked, Vec<f32>) -> Result<()>,
}

impl Device for Each<'_, '_, '_> {
    type Answer = Vec<Tensor>;

    fn batch(&self) -> usize {
        self.vectors.batched.batch()
    }

    async fn submit(&mut self, pictures: &[&Prepared]) -> Result<Under> {
        self.vectors.batched.submit(pictures).await
    }

    fn collect(&mut self, under: Under, pictures: usize) -> Result<Vec<Tensor>> {
        let (outputs, n) = (self.vectors.batched.collect(under)?, self.batch());
        Ok(outputs.first().map_or(vec![], |all| (0..pictures).map(|i| part(all, i, n)).collect()))
    }

    fn take(&mut self, vectors: Vec<Tensor>, looked: Vec<Looked>) -> Result<()> {
        vectors.into_iter().zip(looked).try_for_each(|(vector, looked)| {
            let name = self.samples.get(looked.number).map_or(String::new(), |s| plain(&s.name));
            finite(&vector.data, self.vectors.source).map_err(|e| super::scorer::named(&name, e))?;
            (self.take)(looked, vector.data)
        })
    }
}

/// A vector with a value that is no number is an error, never a result.
fn finite(vector: &[f32], Source { network, place, .. }: Source) -> Result<()> {
    match vector.iter().all(|v| v.is_finite()) {
        true => Ok(()),
        false => Err(Error::Numeric(format!(
            "its vector, from {}, contains a number that is not finite; do the weights belong to {}?",
            plain(place),
            network.name
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::all;

    #[test]
    fn every_place_of_every_network_has_a_vector() {
        for network in all() {
            let (graph, none, [h, w]) = (Graph::new(), Named::new(), network.input_size());
            let places = network.build(graph.input("picture", [3, h, w, 3]), &Scope::new(&graph, &none));
            for name in places.names() {
                let place = places.get(name).expect("a place");
                let vector = of(place).unwrap_or_else(|| panic!("{} {name}: {:?}", network.name, place.shape()));
                assert_eq!(vector.shape().dims(), [3, place.shape().last()], "{} {name}", network.name);
            }
            assert_eq!(places.find(network.vector).expect("the usual place").shape().rank(), 2, "{}", network.name);
        }
    }

    #[test]
    fn the_whole_picture_or_the_networks_crop_at_another_size() {
        let network = all().find(|n| n.name == "resnet18").expect("a network");
        let whole = preprocess(network, 128, false);
        assert_eq!((whole.scaling, whole.crop), (Some(Scaling::Square(128)), Some([128; 2])));
        assert_eq!(preprocess(network, 224, true), network.preprocess);
        assert_eq!(preprocess(network, 112, true).scaling, Some(Scaling::ShortEdge(128)));
    }
}
