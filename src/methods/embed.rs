//! Features of pictures: any places of a network, in batches as large as the device takes.

use super::batched::{Batched, RunOptions, head, part};
use crate::data::Prepared;
use crate::engine::{Gpu, Scope};
use crate::error::Result;
use crate::models::{Network, check, unknown_place};
use crate::tensor::Tensor;
use crate::weights::Weights;

/// A network ready to turn pictures of one size into features.
pub struct Embedder<'b, 'g>(Batched<'b, 'g>);

impl<'b, 'g> Embedder<'b, 'g> {
    /// Plans `places` of `network` for pictures of `size`, rows and columns.
    ///
    /// # Errors
    /// [`Error::Usage`](crate::Error::Usage) for an unknown place, [`Error::Weights`](crate::Error::Weights) listing everything
    /// missing, misshapen or foreign; as [`Batched::new`].
    pub async fn new(
        gpu: &'g Gpu,
        (network, weights): (&'b Network, &'b Weights),
        places: &'b [String],
        size: [usize; 2],
        options: &RunOptions,
    ) -> Result<Embedder<'b, 'g>> {
        check(network, weights)?;
        offered(network, weights, places)?;
        let head = head(move |graph, pictures| {
            let all = (network.build)(pictures, &Scope::new(graph, weights.tensors()));
            places.iter().filter_map(|name| all.get(name)).collect()
        });
        Ok(Embedder(Batched::new(gpu, &network.preprocess, size, options, head).await?))
    }

    /// Pictures per run.
    pub fn batch(&self) -> usize {
        self.0.batch()
    }

    /// Dispatches per run.
    pub fn dispatches(&self) -> usize {
        self.0.dispatches()
    }

    /// Features of pictures: for each picture, for each place, one tensor `[1, …]`.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) for a picture of another size; whatever the device reports.
    pub async fn run(&mut self, pictures: &[Prepared]) -> Result<Vec<Vec<Tensor>>> {
        let (mut all, n) = (vec![], self.batch());
        for chunk in pictures.chunks(n) {
            let under = self.0.submit(&chunk.iter().collect::<Vec<_>>()).await?;
            let outputs = self.0.collect(under)?;
            all.extend((0..chunk.len()).map(|i| outputs.iter().map(|o| part(o, i, n)).collect()));
        }
        Ok(all)
    }
}

/// Whether a network offers these places.
///
/// # Errors
/// [`Error::Usage`](crate::Error::Usage) for the first that it does not offer, with a list of those that it does.
pub fn offered(network: &Network, weights: &Weights, places: &[String]) -> Result<()> {
    let offered = network.places(weights);
    match places.iter().find(|p| !offered.contains(p)) {
        Some(unknown) => Err(unknown_place(unknown, offered.iter().map(String::as_str))),
        None => Ok(()),
    }
}
