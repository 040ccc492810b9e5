//! A fitted model on a device: pictures in, findings out, from one plan.

use super::batched::{Batched, RunOptions, Under, head, part};
use super::fitted::{Finding, Fitted};
use crate::data::{Picture, Prepared};
use crate::engine::Gpu;
use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// A fitted model, planned.
pub struct Scorer<'m, 'g> {
    fitted: &'m dyn Fitted,
    batched: Batched<'m, 'g>,
    features: bool,
}

/// What is found in a picture, and what describes it where that was asked for.
#[derive(Clone, Debug)]
pub struct Scored {
    /// What is found.
    pub finding: Finding,
    /// What describes the picture, `[places, values]`.
    pub features: Option<Tensor>,
}

impl<'m, 'g> Scorer<'m, 'g> {
    /// Plans the way from pictures to findings; with `features` what describes the pictures comes to the host as well.
    ///
    /// # Errors
    /// As [`Batched::new`]; [`Error::Numeric`] for a model with numbers that are not finite.
    pub async fn new(
        gpu: &'g Gpu,
        fitted: &'m dyn Fitted,
        options: &RunOptions,
        features: bool,
    ) -> Result<Scorer<'m, 'g>> {
        fitted.check()?;
        let caps = gpu.caps;
        let head = head(move |graph, pictures| {
            let answer = fitted.answer(graph, pictures, &caps);
            answer.outputs.into_iter().chain(answer.features.filter(|_| features)).collect()
        });
        let batched = Batched::new(gpu, &fitted.preprocess(), fitted.input_size(), options, head).await?;
        Ok(Scorer { fitted, batched, features })
    }

    /// Pictures in one run.
    pub fn batch(&self) -> usize {
        self.batched.batch()
    }

    /// Pictures of this many rows and columns in one run.
    pub fn most(&self, size: [usize; 2]) -> usize {
        self.batched.most(size)
    }

    /// Sends up to [`Scorer::batch`] pictures on their way. Another batch may be submitted before this one is collected.
    ///
    /// # Errors
    /// As [`Batched::submit`].
    pub async fn submit(&mut self, pictures: &[&Prepared]) -> Result<Under> {
        self.batched.submit(pictures).await
    }

    /// What is found in the first `pictures` pictures of a batch.
    ///
    /// # Errors
    /// Whatever the device reports; of a single picture [`Error::Numeric`] where an answer is not a number.
    pub fn collect(&self, under: Under, pictures: usize) -> Result<Vec<Result<Scored>>> {
        let n = under.pictures();
        let mut outputs = self.batched.collect(under)?;
        let features = if self.features { outputs.pop() } else { None };
        let found = self.fitted.findings(&outputs, n).into_iter().take(pictures).enumerate();
        let scored = |(i, finding): (usize, Result<Finding>)| {
            let features = features.as_ref().map(|all| part(all, i, n)).map(|t| {
                let [places, d] = [t.shape.dim(1), t.shape.dim(2)];
                t.reshape([places, d])
            });
            finding.map(|finding| Scored { finding, features })
        };
        Ok(found.map(scored).collect())
    }

    /// What is found in these pictures.
    ///
    /// # Errors
    /// [`Error::Input`] for a picture that cannot be prepared, [`Error::Numeric`] where an answer is not a number; whatever the device
    /// reports.
    pub async fn score(&mut self, pictures: &[Picture]) -> Result<Vec<Finding>> {
        let preprocess = self.fitted.preprocess();
        let prepared = pictures.iter().map(|p| preprocess.prepare(p)).collect::<Result<Vec<Prepared>>>()?;
        let mut all = vec![];
        for chunk in self.batched.chunks(&prepared) {
            let under = self.submit(&chunk.iter().collect::<Vec<_>>()).await?;
            all.extend(self.collect(under, chunk.len())?);
        }
        let own = |(scored, picture): (Result<Scored>, &Picture)| Ok(self.at_own_size(scored?.finding, picture));
        all.into_iter().zip(pictures).map(own).collect()
    }

    /// A finding with its map at the picture's own size, where the method defines it there.
    pub fn at_own_size(&self, finding: Finding, picture: &Picture) -> Finding {
        self.fitted.at_own_size(finding, picture)
    }
}

/// An error about a picture, with its name.
pub(super) fn named(name: &str, error: Error) -> Error {
    match error {
        Error::Numeric(what) => Error::Numeric(format!("{}: {what}", crate::error::plain(name))),
        other => other,
    }
}
