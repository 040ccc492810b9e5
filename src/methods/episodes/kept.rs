//! Vectors of pictures, kept on disk between runs: a network looks once at every picture.

use crate::data::dataset::Sample;
use crate::data::load::Loading;
use crate::engine::Gpu;
use crate::error::Result;
use crate::files::sha256_of;
use crate::methods::kept::{Entry, Kept, tell_damaged};
use crate::methods::vector::{Source, Vectors};
use crate::methods::{Looked, Missed, RunOptions};
use crate::watch::Watch;

/// What messages call them.
const VECTORS: &str = "vectors";

impl Kept {
    /// Looks up the vectors of samples.
    ///
    /// # Errors
    /// As [`Source::dim`], and the watcher's interrupt.
    pub fn look_up<'s>(&'s self, source: Source<'s>, samples: &'s [Sample], watch: &dyn Watch) -> Result<Found<'s>> {
        let Source { network, weights, place, preprocess } = source;
        let dim = source.dim()?;
        let recipe = Kept::recipe(&[network.name, &weights.sha256(), place, &format!("{preprocess:?}")]);
        let (mut vectors, mut damaged) = (vec![], 0);
        for sample in samples {
            watch.go_on()?;
            // A file that cannot be read is told by whoever decodes it.
            let hash = sha256_of(&sample.path).ok();
            let entry = hash.as_ref().map_or(Entry::None, |hash| self.read(&recipe, hash, dim));
            damaged += usize::from(matches!(entry, Entry::Damaged));
            vectors.push(match entry {
                Entry::Whole(vector) => hash.map(|hash| (vector.to_vec(), hash)),
                Entry::Damaged | Entry::None => None,
            });
        }
        tell_damaged(VECTORS, damaged, watch);
        Ok(Found { kept: self, source, recipe, samples, vectors, missed: Missed::default() })
    }
}

/// The vectors of samples, as far as they are known.
pub struct Found<'s> {
    kept: &'s Kept,
    source: Source<'s>,
    recipe: String,
    samples: &'s [Sample],
    /// Vector and hash of the file of each sample.
    pub vectors: Vec<Option<(Vec<f32>, String)>>,
    /// What could not be read.
    pub missed: Missed,
}

impl Found<'_> {
    /// Numbers of the samples without a vector.
    pub fn missing(&self) -> Vec<usize> {
        self.vectors.iter().enumerate().filter(|v| v.1.is_none()).map(|v| v.0).collect()
    }

    /// Computes the vectors that are missing, and keeps them.
    ///
    /// # Errors
    /// As [`Vectors::new`] and [`Vectors::each`].
    pub async fn compute(
        &mut self,
        gpu: &Gpu,
        options: &RunOptions,
        loading: &Loading,
        watch: &dyn Watch,
    ) -> Result<()> {
        let missing = self.missing();
        let wanted: Vec<Sample> = missing.iter().filter_map(|i| self.samples.get(*i).cloned()).collect();
        let mut planned = Vectors::new(gpu, self.source, options).await?;
        let (mut unkept, kept, recipe, vectors) = (None, self.kept, &self.recipe, &mut self.vectors);
        let mut take = |looked: Looked, vector: Vec<f32>| {
            if unkept.is_none() {
                unkept = kept.write(recipe, &looked.sha256, &vector).err();
            }
            let place = missing.get(looked.number).and_then(|i| vectors.get_mut(*i));
            place.into_iter().for_each(|place| *place = Some((vector.clone(), looked.sha256.clone())));
            Ok(())
        };
        let mut missed = planned.each(&wanted, loading, watch, &mut take).await?;
        missed.failed.iter_mut().for_each(|f| f.0 = missing.get(f.0).copied().unwrap_or(f.0));
        self.missed = missed;
        self.kept.tidy(VECTORS, unkept, watch);
        Ok(())
    }
}
