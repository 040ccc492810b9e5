//! Good pictures through a plan, one after the other.

use crate::data::dataset::Sample;
use crate::data::{Prepared, Preprocess};
use crate::engine::Gpu;
use crate::error::{Error, Result, plain};
use crate::methods::batched::{Batched, Head, Under, part};
use crate::methods::efficientad::FitOptions;
use crate::methods::looking::{Device, Looked, Missed, look};
use crate::tensor::Tensor;
use crate::watch::Watch;

/// What is done with each picture's outputs.
pub(super) type Take<'t> = dyn FnMut(Looked, Vec<Tensor>) -> Result<()> + 't;

struct Sight<'a, 'g> {
    batched: Batched<'a, 'g>,
    samples: &'a [Sample],
    take: &'a mut Take<'a>,
}

impl Device for Sight<'_, '_> {
    type Answer = Vec<Tensor>;

    fn batch(&self) -> usize {
        self.batched.batch()
    }

    async fn submit(&mut self, pictures: &[&Prepared]) -> Result<Under> {
        self.batched.submit(pictures).await
    }

    fn collect(&mut self, under: Under, _: usize) -> Result<Vec<Tensor>> {
        self.batched.collect(under)
    }

    fn take(&mut self, outputs: Vec<Tensor>, looked: Vec<Looked>) -> Result<()> {
        let n = self.batch();
        looked.into_iter().enumerate().try_for_each(|(i, looked)| {
            let own: Vec<Tensor> = outputs.iter().map(|o| part(o, i, n)).collect();
            if own.iter().flat_map(|t| &t.data).any(|v| !v.is_finite()) {
                let name = self.samples.get(looked.number).map_or(String::new(), |s| plain(&s.name));
                return Err(Error::Numeric(format!(
                    "{name}: what the networks say of it is not finite; are these the right weights?"
                )));
            }
            (self.take)(looked, own)
        })
    }
}

/// Hands `take` the outputs of `head` for each picture in turn, `[1, …]` each, and says which pictures were missed.
///
/// # Errors
/// [`Error::Input`] for a picture that cannot be read, unless others are to be taken all the same; [`Error::Numeric`] for outputs that are
/// not finite; whatever the device, `take` and the watcher report.
pub(super) async fn each<'a>(
    gpu: &Gpu,
    (samples, preprocess, size): (&'a [Sample], &Preprocess, usize),
    (options, watch): (&FitOptions, &dyn Watch),
    head: Box<Head<'a>>,
    take: &'a mut Take<'a>,
) -> Result<Missed> {
    let batched = Batched::new(gpu, preprocess, [size; 2], &options.run, head).await?;
    look(&mut Sight { batched, samples, take }, (samples, preprocess), &options.loading, watch).await
}
