//! Features of pictures: any places of a network, in batches as large as the device takes.

use super::batched::{Batched, RunOptions, Under, head, part};
use super::looking::{Device, Looked, look};
use crate::data::Prepared;
use crate::data::dataset::Sample;
use crate::data::load::Loading;
use crate::engine::{Gpu, Scope};
use crate::error::{Error, Result, shown};
use crate::models::{Network, check, unknown_place};
use crate::tensor::Tensor;
use crate::watch::Watch;
use crate::weights::Weights;
use std::path::PathBuf;

/// A network ready to turn pictures of one size into features.
pub struct Embedder<'b, 'g> {
    batched: Batched<'b, 'g>,
    network: &'b Network,
    places: &'b [String],
}

impl<'b, 'g> Embedder<'b, 'g> {
    /// Plans `places` of `network` for pictures of `size`, rows and columns.
    ///
    /// # Errors
    /// [`Error::Usage`] for an unknown place, [`Error::Weights`] listing everything missing, misshapen or foreign; as [`Batched::new`].
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
            let all = network.build(pictures, &Scope::new(graph, weights.tensors()));
            places.iter().filter_map(|name| all.get(name)).collect()
        });
        let batched = Batched::new(gpu, &network.preprocess, size, options, head).await?;
        Ok(Embedder { batched, network, places })
    }

    /// Pictures per run.
    pub fn batch(&self) -> usize {
        self.batched.batch()
    }

    /// Dispatches per run.
    pub fn dispatches(&self) -> usize {
        self.batched.dispatches()
    }

    /// Features of pictures: for each picture, for each place, one tensor `[1, …]`.
    ///
    /// # Errors
    /// [`Error::Shape`] for a picture of another size; whatever the device reports.
    pub async fn run(&mut self, pictures: &[Prepared]) -> Result<Vec<Vec<Tensor>>> {
        let mut all = vec![];
        for chunk in self.batched.chunks(pictures) {
            let under = self.batched.submit(&chunk.iter().collect::<Vec<_>>()).await?;
            all.extend(self.outputs(under, chunk.len())?);
        }
        Ok(all)
    }

    /// Features of pictures on disk, handed to `take` in order, one tensor `[1, …]` for each place: the next batch is decoded while the
    /// device works on this one.
    ///
    /// # Errors
    /// [`Error::Input`] for a picture that cannot be read, [`Error::Numeric`] for features that are not finite; whatever the device or
    /// `take` report; the watcher's interrupt.
    pub async fn each(
        &mut self,
        samples: &[Sample],
        watch: &dyn Watch,
        take: &mut dyn FnMut(Vec<Tensor>) -> Result<()>,
    ) -> Result<()> {
        let preprocess = self.network.preprocess;
        let mut each = Each { embedder: self, samples, take };
        look(&mut each, (samples, &preprocess), &Loading::default(), watch).await.map(|_| ())
    }

    fn outputs(&self, under: Under, pictures: usize) -> Result<Vec<Vec<Tensor>>> {
        let n = under.pictures();
        let outputs = self.batched.collect(under)?;
        Ok((0..pictures).map(|i| outputs.iter().map(|o| part(o, i, n)).collect()).collect())
    }

    /// A feature that is not a number is an error, never a result.
    fn finite(&self, sample: Option<&Sample>, features: &[Tensor]) -> Result<()> {
        let broken = |t: &Tensor| t.data.iter().any(|v| !v.is_finite());
        match self.places.iter().zip(features).find(|(_, t)| broken(t)) {
            Some((place, _)) => Err(Error::Numeric(format!(
                "{}: {place} contains a number that is not finite; do the weights belong to {}?",
                sample.map_or("a picture".into(), |s| shown(&s.path)),
                self.network.name
            ))),
            None => Ok(()),
        }
    }
}

/// Pictures whose features are taken one after the other.
struct Each<'e, 'b, 'g> {
    embedder: &'e mut Embedder<'b, 'g>,
    samples: &'e [Sample],
    take: &'e mut dyn FnMut(Vec<Tensor>) -> Result<()>,
}

impl Device for Each<'_, '_, '_> {
    type Answer = Vec<Vec<Tensor>>;

    fn batch(&self) -> usize {
        self.embedder.batch()
    }

    async fn submit(&mut self, pictures: &[&Prepared]) -> Result<Under> {
        self.embedder.batched.submit(pictures).await
    }

    fn collect(&mut self, under: Under, pictures: usize) -> Result<Self::Answer> {
        self.embedder.outputs(under, pictures)
    }

    fn take(&mut self, answer: Self::Answer, looked: Vec<Looked>) -> Result<()> {
        answer.into_iter().zip(looked).try_for_each(|(features, looked)| {
            self.embedder.finite(self.samples.get(looked.number), &features)?;
            (self.take)(features)
        })
    }
}

/// Pictures that are named one by one, as they are called.
///
/// # Errors
/// [`Error::Input`] for a folder, and for what is not there.
pub fn named(paths: &[PathBuf]) -> Result<Vec<Sample>> {
    let sample = |path: &PathBuf| {
        let fail = |what: String| Error::Input(format!("{}: {what}", shown(path)));
        match std::fs::metadata(path) {
            Err(e) => Err(fail(format!("cannot be read: {e}"))),
            Ok(meta) if meta.is_dir() => Err(fail("is a folder; name the pictures in it".into())),
            Ok(_) => {
                Ok(Sample { path: path.clone(), name: path.display().to_string(), label: String::new(), mask: None })
            }
        }
    };
    paths.iter().map(sample).collect()
}

/// Whether a network offers these places.
///
/// # Errors
/// [`Error::Usage`] for the first that it does not offer, with a list of those that it does.
pub fn offered(network: &Network, weights: &Weights, places: &[String]) -> Result<()> {
    let offered = network.places(weights);
    match places.iter().find(|p| !offered.contains(p)) {
        Some(unknown) => Err(unknown_place(unknown, offered.iter().map(String::as_str))),
        None => Ok(()),
    }
}
