//! Fine-tuning within episodes: each support is learned from the network's own weights.

use super::finetune::{Backbone, Classes, Finetune, Ground, Tuner};
use super::head::{Head, Prototypes};
use crate::engine::{Gpu, Options};
use crate::error::{Error, Result};
use crate::methods::episodes;
use crate::tensor::Tensor;
use crate::watch::Unwatched;

/// What learns the classes of an episode by fine-tuning: its vectors are pictures, `[h, w, 3]` as the network takes them.
pub struct Learner<'a> {
    head: Head,
    size: [usize; 2],
    /// One for each number of pictures in a support.
    tuners: Vec<(usize, Tuner<'a>)>,
}

/// Supports of so many pictures of each of so many classes.
fn classes(ways: usize, shots: usize, size: [usize; 2]) -> Classes {
    Classes { labels: (0..ways).flat_map(|class| std::iter::repeat_n(class, shots)).collect(), size }
}

impl<'a> Learner<'a> {
    /// Plans fine-tunings to supports of so many classes with each number of `shots`; there is a ground for each.
    ///
    /// # Errors
    /// As [`Tuner::new`].
    pub async fn new(
        gpu: &'a Gpu,
        (backbone, size): (&Backbone<'_>, [usize; 2]),
        tuning: &Finetune,
        (ways, shots, grounds): (usize, &[usize], &'a [Ground]),
        (options, few): (&Options, Option<usize>),
    ) -> Result<Learner<'a>> {
        let mut tuners = vec![];
        for (shots, ground) in shots.iter().zip(grounds) {
            let support = classes(ways, *shots, size);
            let tuner = Tuner::new(gpu, (backbone, &support), tuning, ground, (options, few)).await?;
            tuners.push((ways * shots, tuner));
        }
        Ok(Learner { head: backbone.head, size, tuners })
    }

    fn pictures(&self, rows: &[&[f32]]) -> Tensor {
        let [h, w] = self.size;
        Tensor::new([rows.len(), h, w, 3], rows.concat())
    }
}

impl episodes::Learner for Learner<'_> {
    fn logits(&mut self, support: &[Vec<&[f32]>], queries: &[&[f32]]) -> Result<Vec<Vec<f64>>> {
        let (own, asked) = (self.pictures(&support.concat()), self.pictures(queries));
        let n = own.shape.dim(0);
        let tuner = self.tuners.iter_mut().find(|t| t.0 == n).map(|t| &mut t.1);
        let tuner = tuner.ok_or_else(|| Error::Internal(format!("no fine-tuning is planned for {n} pictures")))?;
        tuner.tune(&own, (&mut |_, _| (), &Unwatched))?;
        let (vectors, asked) = (tuner.vectors(&own)?, tuner.vectors(&asked)?);
        let mut rows = vectors.data.chunks_exact(vectors.shape.last().max(1));
        let classes: Vec<Vec<&[f32]>> = support.iter().map(|class| rows.by_ref().take(class.len()).collect()).collect();
        let prototypes = Prototypes::new(&self.head, &classes)?;
        Ok(asked.data.chunks_exact(asked.shape.last().max(1)).map(|q| prototypes.logits(q)).collect())
    }
}
