//! The loss on the pictures that are kept for validation, while student and autoencoder are trained: what a training that may end early is
//! judged by. Never on pictures to test with.

use super::begin::Begun;
use super::fit::FitOptions;
use super::step::HARD;
use crate::data::dataset::Sample;
use crate::data::load::read;
use crate::data::{Limits, Picture, Preprocess};
use crate::engine::{Gpu, Graph, Plan, Scope, Store, Var};
use crate::error::{Error, Result, shown};
use crate::tensor::Tensor;
use crate::train::ahead;
use crate::watch::Watch;

/// The pictures kept for validation, and the losses on them by the weights as they are now.
pub(super) struct HeldOut<'a> {
    plan: Plan<'a>,
    samples: Vec<Sample>,
    preprocess: Preprocess,
    limits: Limits,
    keep_going: bool,
}

impl<'a> HeldOut<'a> {
    /// Plans the losses on one picture, by the weights of `scope` in `store`.
    ///
    /// # Errors
    /// As [`Plan::new`].
    pub async fn new(
        gpu: &'a Gpu,
        begun: &Begun<'_>,
        (graph, scope, store): (&'a Graph, &Scope<'a, '_>, &Store),
        options: &FitOptions,
    ) -> Result<HeldOut<'a>> {
        let (config, size) = (begun.config, begun.config.image_size);
        let hard = |apart: Var<'a>| apart.hard_mean(apart.quantile(HARD));
        let losses = config.networks().held_out(graph.input("picture", [1, size, size, 3]), scope, &hard);
        let plan = Plan::new(gpu, graph, &[losses.total], store, options.run.planning()).await?;
        let samples = begun.split.validation.iter().map(|kept| kept.sample.clone()).collect();
        let (limits, keep_going) = (options.loading.limits, options.loading.keep_going);
        Ok(HeldOut { plan, samples, preprocess: config.preprocess(), limits, keep_going })
    }

    /// The mean over the pictures of the sum of the losses: teacher against student where they differ most, teacher against autoencoder,
    /// autoencoder against student, of pictures as they are, with nothing dropped.
    ///
    /// # Errors
    /// [`Error::Input`] for a picture that cannot be read, unless others are to be taken all the same, and if none can be; the watcher's
    /// interrupt; what the device reports.
    pub fn loss(&self, watch: &dyn Watch) -> Result<f64> {
        let (mut sum, mut n) = (0.0, 0u32);
        let numbers = 0..self.samples.len() as u64;
        ahead(
            |k| Ok(self.picture(k as usize)),
            numbers.clone(),
            |ahead| {
                for _ in numbers {
                    watch.go_on()?;
                    let picture = match ahead.take()? {
                        Err(Error::Input(_)) if self.keep_going => continue,
                        picture => picture?,
                    };
                    let losses = self.plan.collect(self.plan.submit(&[&picture])?)?;
                    sum += losses.iter().flat_map(|l| &l.data).map(|l| f64::from(*l)).sum::<f64>();
                    n += 1;
                }
                if n == 0 {
                    return Err(Error::Input("none of the pictures kept for validation can be read".into()));
                }
                Ok(sum / f64::from(n))
            },
        )
    }

    fn picture(&self, i: usize) -> Result<Tensor> {
        let sample = self.samples.get(i).ok_or_else(|| Error::Input("there is no picture".into()))?;
        let picture = Picture::decode(&read(&sample.path)?, &shown(&sample.path), self.limits)?;
        Ok(self.preprocess.numbers(self.preprocess.prepare(&picture)?))
    }
}
