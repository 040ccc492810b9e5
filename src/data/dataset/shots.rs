//! The few good pictures that a fit is given.

use super::{Dataset, reason};
use crate::error::{Error, Result};

impl Dataset {
    /// Keeps the good pictures from number `seed * shots` on, so many, in the order of their names.
    ///
    /// # Errors
    /// [`Error::Usage`] if there are not so many.
    pub fn shots(mut self, shots: usize, seed: u64) -> Result<Dataset> {
        let n = self.train.len();
        let first = usize::try_from(seed).ok().and_then(|seed| seed.checked_mul(shots));
        let chosen = first.and_then(|first| Some(first..first.checked_add(shots)?)).filter(|range| range.end <= n);
        let Some(chosen) = chosen.filter(|_| shots > 0) else {
            return Err(Error::Usage(format!(
                "--shots {shots}: with --seed {seed} these would be the good pictures from number {seed} x {shots} on, but there are {n}; \
                 give fewer, or a smaller --seed"
            )));
        };
        let all = std::mem::take(&mut self.train);
        for (i, sample) in all.into_iter().enumerate() {
            match chosen.contains(&i) {
                true => self.train.push(sample),
                false => self.census.leave_out(reason::SHOTS, &sample.name),
            }
        }
        Ok(self)
    }
}
