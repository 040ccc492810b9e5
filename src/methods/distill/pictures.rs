//! The pictures of a distillation, in both sizes: which one an example is, and whether it has colours, follows from the seed and its
//! number.

use super::Config;
use super::target::Target;
use crate::data::dataset::Sample;
use crate::data::load::read;
use crate::data::{Limits, Picture, Preprocess, Scaling, without_colours};
use crate::error::{Error, Result, shown};
use crate::random::{draw, uniform};
use crate::tensor::{Shape, Tensor};

/// The share of examples without colours.
const WITHOUT_COLOURS: f64 = 0.1;

/// Where examples come from.
pub(super) struct Pictures<'p> {
    samples: &'p [Sample],
    /// For the teacher, and for the network.
    sizes: [Preprocess; 2],
    limits: Limits,
    seed: u64,
}

impl<'p> Pictures<'p> {
    pub fn new(samples: &'p [Sample], config: &Config, target: &Target<'_>, limits: Limits) -> Pictures<'p> {
        // The teacher's own input is ImageNet's numbers, whatever the network's are.
        let small = Preprocess::imagenet(config.image_size, config.image_size);
        let sizes = [(small, config.image_size), (target.preprocess(), target.edge)];
        let whole =
            |(p, edge): (Preprocess, usize)| Preprocess { scaling: Some(Scaling::Square(edge)), crop: None, ..p };
        Pictures { samples, sizes: sizes.map(whole), limits, seed: config.seed }
    }

    pub fn len(&self) -> usize {
        self.samples.len()
    }

    fn picture(&self, i: usize) -> Result<Picture> {
        let sample = self.samples.get(i).ok_or_else(|| Error::Input("there is no picture".into()))?;
        Picture::decode(&read(&sample.path)?, &shown(&sample.path), self.limits)
    }

    /// Picture `i` for the network.
    pub fn whole(&self, i: usize) -> Result<Tensor> {
        self.sizes[1].apply(&self.picture(i)?)
    }

    /// Example `k` for the teacher and for the network.
    pub fn at(&self, k: u64) -> Result<[Tensor; 2]> {
        let drawn = draw(&format!("distill.picture.{}", self.seed), k);
        let picture = self.picture(((u128::from(drawn) * self.samples.len() as u128) >> 64) as usize)?;
        let gray = uniform(&format!("distill.gray.{}", self.seed), k) < WITHOUT_COLOURS;
        let picture = if gray { without_colours(&picture) } else { picture };
        let [small, large] = &self.sizes;
        Ok([small.apply(&picture)?, large.apply(&picture)?])
    }
}

/// Pictures one behind the other.
pub(super) fn together(pictures: Vec<Tensor>) -> Tensor {
    let n = pictures.len();
    let [_, h, w, c] = pictures.first().map_or([0; 4], |p| p.shape.nhwc());
    Tensor::new(Shape::from([n, h, w, c]), pictures.into_iter().flat_map(|t| t.data).collect())
}
