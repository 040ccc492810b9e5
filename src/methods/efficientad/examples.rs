//! What a training looks at: good pictures as they are and changed, and pictures of anything else. All of it follows from the seed and
//! the number of the example, so that a training that was interrupted goes on with the same ones.

use super::config::{Config, Preset};
use crate::data::dataset::Sample;
use crate::data::load::read;
use crate::data::{Jitter, Limits, Picture, Prepared, Preprocess, Scaling, without_colours};
use crate::error::{Error, Result, shown};
use crate::methods::kept::Values;
use crate::random::{Order, draw, uniform};
use std::sync::Arc;

/// The share of pictures of anything else that lose their colours.
const WITHOUT_COLOURS: f64 = 0.3;

/// How a picture is changed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Changed {
    /// What is changed.
    pub jitter: Jitter,
    /// By how much: 1 leaves it as it is.
    pub factor: f64,
}

/// What one example of a step consists of.
#[derive(Clone, Debug)]
pub struct Example {
    /// The number of the good picture among those to train on.
    pub number: usize,
    /// It, prepared.
    pub plain: Prepared,
    /// What the teacher says of it, where that is known: the values of a map.
    pub taught: Option<Vec<f32>>,
    /// It, changed.
    pub changed: Prepared,
    /// A picture of anything else, where there are any.
    pub penalty: Option<Prepared>,
}

/// All that a training looks at.
#[derive(Clone, Debug)]
pub struct Examples {
    train: Vec<Sample>,
    penalty: Vec<Sample>,
    preprocess: Preprocess,
    /// Whether pictures are changed in 8 bits, before they are resized; else in floats, after.
    in_bytes: bool,
    limits: Limits,
    seed: u64,
    /// What the teacher says of each good picture.
    taught: Option<Arc<Vec<Values>>>,
}

impl Changed {
    /// That of example `k`: one of three things, by a factor from 0.8 to 1.2.
    pub fn drawn(seed: u64, k: u64) -> Changed {
        let [brightness, contrast, saturation] = Jitter::ALL;
        let jitter = match below(&format!("efficientad.change.{seed}"), k, Jitter::ALL.len()) {
            0 => brightness,
            1 => contrast,
            _ => saturation,
        };
        Changed { jitter, factor: 0.8 + 0.4 * uniform(&format!("efficientad.factor.{seed}"), k) }
    }

    /// A picture with this change, prepared: changed in 8 bits before it is resized (`in_bytes`), else in floats after, before mean and
    /// deviation.
    ///
    /// # Errors
    /// As [`Preprocess::prepare`].
    pub fn prepare(&self, picture: &Picture, preprocess: &Preprocess, in_bytes: bool) -> Result<Prepared> {
        if in_bytes {
            return preprocess.prepare(&self.jitter.of_bytes(picture, self.factor));
        }
        let mut sized = Preprocess { mean: [0.0; 3], std: [1.0; 3], ..*preprocess }.apply(picture)?;
        self.jitter.of_floats(&mut sized.data, self.factor);
        let scale = preprocess.mean.into_iter().zip(preprocess.std).cycle();
        sized.data.iter_mut().zip(scale).for_each(|(v, (mean, std))| *v = (*v - mean) / std);
        Ok(Prepared::Numbers(sized))
    }
}

/// A number below `n` by position `i` of a stream.
fn below(name: &str, i: u64, n: usize) -> usize {
    ((u128::from(draw(name, i)) * n as u128) >> 64) as usize
}

impl Examples {
    /// Of these good pictures and these of anything else, none where the student is trained without.
    pub fn new(config: &Config, train: Vec<Sample>, penalty: Vec<Sample>, limits: Limits) -> Examples {
        let (preprocess, in_bytes) = (config.preprocess(), config.preset == Preset::Nelson);
        Examples { train, penalty, preprocess, in_bytes, limits, seed: config.seed, taught: None }
    }

    /// With what the teacher says of each good picture, in their order.
    pub(super) fn taught(self, maps: Option<Vec<Values>>) -> Examples {
        Examples { taught: maps.map(Arc::new), ..self }
    }

    /// Whether it is known what the teacher says of the good pictures.
    pub fn known(&self) -> bool {
        self.taught.is_some()
    }

    /// Whether there are pictures of anything else.
    pub fn penalised(&self) -> bool {
        !self.penalty.is_empty()
    }

    /// The good pictures to train on.
    pub fn train(&self) -> &[Sample] {
        &self.train
    }

    /// The order in which they come.
    fn order(&self) -> Order {
        Order::new(format!("efficientad.order.{}", self.seed), self.train.len())
    }

    /// Example `k`: that of picture `k % batch` of step `k / batch`.
    ///
    /// # Errors
    /// [`Error::Input`] for a picture that cannot be read.
    pub fn at(&self, k: u64) -> Result<Example> {
        let number = self.order().at(k);
        let sample = self.train.get(number).ok_or_else(|| Error::Input("there is no good picture".into()))?;
        let picture = self.picture(sample)?;
        let changed = Changed::drawn(self.seed, k).prepare(&picture, &self.preprocess, self.in_bytes)?;
        let plain = self.preprocess.prepare(&picture)?;
        let taught = self.taught.as_ref().and_then(|maps| maps.get(number)).map(Values::to_vec);
        Ok(Example { number, plain, taught, changed, penalty: self.penalty(k)? })
    }

    /// The picture of anything else of example `k`: at twice the networks' size, sometimes without its colours, of which the centre is
    /// taken; 8 bits, for all presets.
    fn penalty(&self, k: u64) -> Result<Option<Prepared>> {
        let number = below(&format!("efficientad.penalty.{}", self.seed), k, self.penalty.len());
        let Some(sample) = self.penalty.get(number) else { return Ok(None) };
        let [w, h] = match self.preprocess.scaling {
            Some(Scaling::Square(edge)) => [edge; 2],
            _ => [crate::models::autoencoder::LEAST; 2],
        };
        let resized = Preprocess { scaling: Some(Scaling::Square(2 * w)), crop: None, ..Preprocess::imagenet(w, h) };
        let whole = resized.sized(&self.picture(sample)?)?;
        let gray = uniform(&format!("efficientad.gray.{}", self.seed), k) < WITHOUT_COLOURS;
        let whole = if gray { without_colours(&whole) } else { whole };
        let cut = Preprocess { scaling: None, ..Preprocess::imagenet(w, h) };
        cut.prepare(&whole).map(Some)
    }

    fn picture(&self, sample: &Sample) -> Result<Picture> {
        Picture::decode(&read(&sample.path)?, &shown(&sample.path), self.limits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_drawn_evenly_and_within_bounds() {
        let all: Vec<Changed> = (0..3000).map(|k| Changed::drawn(5, k)).collect();
        for jitter in Jitter::ALL {
            let n = all.iter().filter(|c| c.jitter == jitter).count();
            assert!((900..1100).contains(&n), "{jitter:?}: {n}"); // 1000, with a deviation of 26
        }
        assert!(all.iter().all(|c| (0.8..1.2).contains(&c.factor)));
        let mean = all.iter().map(|c| c.factor).sum::<f64>() / 3000.0;
        assert!((mean - 1.0).abs() < 0.01, "{mean}");
        assert_eq!(Changed::drawn(5, 17), all[17], "by seed and number alone");
        assert_ne!(Changed::drawn(6, 17), all[17]);
    }
}
