//! What a training looks at: which picture an example is, and how it is changed, follows from the seed and its number.

use super::Config;
use crate::data::dataset::Sample;
use crate::data::load::read;
use crate::data::{Limits, Picture, Prepared, Preprocess};
use crate::error::{Error, Result, shown};
use crate::methods::augment::{Draw, Draws, USUAL};
use crate::random::{Order, Stream};
use crate::tensor::Tensor;

/// What becomes of a picture before it is an example.
#[derive(Clone, Debug)]
pub enum Inputs {
    /// Its vector, which the network gave.
    Vectors(Vec<Vec<f32>>),
    /// The picture itself: as it was prepared or, where that is not held in memory, read whenever it is asked for.
    Pictures {
        /// All.
        pictures: Vec<(Sample, Option<Prepared>)>,
        /// What they go through.
        preprocess: Preprocess,
        /// How large a picture may be.
        limits: Limits,
    },
}

/// An example: a vector or a picture, and its class.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// Its values.
    pub values: Vec<f32>,
    /// Its class.
    pub class: usize,
}

/// Pictures to train on, and those that were kept.
#[derive(Clone, Debug)]
pub struct Examples {
    inputs: Inputs,
    classes: Vec<usize>,
    /// Numbers of the pictures to train on, and of those that were kept.
    parts: [Vec<usize>; 2],
    /// What the loss of a picture of each class is multiplied by.
    weights: Vec<f64>,
    config: Config,
}

impl Examples {
    /// Of these pictures, each with its class, of which some are `kept`.
    pub fn new(config: &Config, inputs: Inputs, classes: Vec<usize>, kept: &[bool]) -> Examples {
        let part = |which: bool| kept.iter().enumerate().filter(|k| *k.1 == which).map(|k| k.0).collect();
        let parts: [Vec<usize>; 2] = [part(false), part(true)];
        let most = classes.iter().max().map_or(0, |c| c + 1);
        let count = |class: usize| parts[0].iter().filter(|i| classes.get(**i) == Some(&class)).count();
        let weigh = |class| match config.balance {
            true => parts[0].len() as f64 / (most * count(class).max(1)) as f64,
            false => 1.0,
        };
        let weights = (0..most).map(weigh).collect();
        Examples { inputs, classes, parts, weights, config: config.clone() }
    }

    /// How many there are to train on.
    pub fn trained(&self) -> usize {
        self.parts[0].len()
    }

    /// How many were kept.
    pub fn kept(&self) -> usize {
        self.parts[1].len()
    }

    /// How many were kept of each class.
    pub fn kept_by_class(&self) -> Vec<usize> {
        let of = |class: usize| self.parts[1].iter().filter(|i| self.classes.get(**i) == Some(&class)).count();
        (0..self.classes()).map(of).collect()
    }

    /// Classes.
    pub fn classes(&self) -> usize {
        self.weights.len()
    }

    /// What the loss of a picture of this class is multiplied by: 1, or so that all classes weigh the same and the mean is 1.
    pub fn weight(&self, class: usize) -> f64 {
        self.weights.get(class).copied().unwrap_or_default()
    }

    /// Example `k` of the training: that of picture `k % batch` of step `k / batch`, changed if that was asked for.
    ///
    /// # Errors
    /// [`Error::Input`] for a picture that cannot be read.
    pub fn at(&self, k: u64) -> Result<Example> {
        let at = Order::new(format!("classifier.order.{}", self.config.seed), self.trained()).at(k);
        let example = self.example(self.parts[0].get(at))?;
        if !self.config.augment {
            return Ok(example);
        }
        let size = self.config.size;
        let mut stream = Stream::new(format!("classifier.augment.{}.{k}", self.config.seed));
        let Some(mut draws) = Draws::drawn(&mut stream, (1, [size; 2]), USUAL, false) else { return Ok(example) };
        draws.flip &= self.config.flip;
        // A colour is often what makes a class.
        draws.pictures.iter_mut().for_each(|draw| draw.saturation = Draw::NONE.saturation);
        let changed = draws.applied(&Tensor::new([1, size, size, 3], example.values))?;
        Ok(Example { values: changed.data, class: example.class })
    }

    /// Picture `i` of those that were kept, as it is.
    ///
    /// # Errors
    /// As [`Examples::at`].
    pub fn kept_at(&self, i: u64) -> Result<Example> {
        self.example(self.parts[1].get(i as usize))
    }

    fn example(&self, number: Option<&usize>) -> Result<Example> {
        let none = || Error::Internal("an example of a picture that is not there".into());
        let &number = number.ok_or_else(none)?;
        let class = *self.classes.get(number).ok_or_else(none)?;
        let values = match &self.inputs {
            Inputs::Vectors(rows) => rows.get(number).ok_or_else(none)?.clone(),
            Inputs::Pictures { pictures, preprocess, limits } => match pictures.get(number).ok_or_else(none)? {
                (_, Some(prepared)) => preprocess.numbers(prepared.clone()).data,
                (Sample { path, .. }, None) => {
                    preprocess.apply(&Picture::decode(&read(path)?, &shown(path), *limits)?)?.data
                }
            },
        };
        Ok(Example { values, class })
    }
}
