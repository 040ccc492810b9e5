//! What is planned, profiled, verified or tuned: a network by name, or a fitted model.

use super::batched::head;
use super::classifier::{Body, Step};
use super::fitted::{Fitted, Stage, boxed, noise, repeated, stage};
use super::vector::Source;
use crate::data::{Picture, Prepared, Preprocess, Scaling};
use crate::engine::{Caps, Scope};
use crate::error::{Error, Result};
use crate::models::{self, Network, stand_in};
use crate::tensor::Tensor;
use crate::train::{Learning, Rate, Rule, learn};
use crate::weights::{Weights, WeightsFile};
use std::path::Path;

/// Classes of the last layer of a network whose training is looked at.
pub const CLASSES: usize = 10;

/// How such a network learns.
const LEARNING: Learning = Learning {
    rule: Rule::Adam { betas: [0.9, 0.999], eps: 1e-8, decay: 0.0, decoupled: false },
    rate: Rate::Constant(1e-4),
    clip: None,
};

/// A network with weights.
#[derive(Debug)]
pub struct Weighted {
    /// The network.
    pub network: &'static Network,
    /// Its weights.
    pub weights: Weights,
    /// Whether the weights are drawn, not given.
    pub stands_in: bool,
    preprocess: Preprocess,
}

/// A subject.
#[derive(Debug)]
pub enum Subject {
    /// A network.
    Network(Box<Weighted>),
    /// A fitted model.
    Fitted(Box<dyn Fitted>),
}

/// Whether a subject is a fitted model: a file, whatever its name ends in, unless a network is called that.
pub fn is_model(subject: &str) -> bool {
    let path = Path::new(subject);
    let named = || path.extension().is_some_and(|e| e.eq_ignore_ascii_case("lupe"));
    models::find(subject).is_none() && (named() || path.exists())
}

/// Whether a network takes inputs of `size` pixels a side: known before weights are read or drawn.
fn sized(network: &Network, size: usize) -> Result<()> {
    match size {
        32..=4096 => network.takes("--size", [size; 2]),
        _ => Err(Error::Usage(format!("--size {size}: must be between 32 and 4096"))),
    }
}

impl Subject {
    /// The network of that name for inputs of `size` pixels a side; without weights, and where none are built in, drawn ones stand in.
    ///
    /// # Errors
    /// As [`models::open`]; [`Error::Usage`] for a size that it cannot take.
    pub fn network(name: &str, weights: Option<&WeightsFile>, size: Option<usize>) -> Result<Subject> {
        let known = models::find(name);
        known.zip(size).map_or(Ok(()), |(network, size)| sized(network, size))?;
        let found = known.filter(|n| weights.is_none() && n.name != models::EMBEDDED.name);
        let (network, weights, stands_in) = match found {
            Some(network) => (network, stand_in::weights(network), true),
            None => models::open(name, weights).map(|(network, weights)| (network, weights, false))?,
        };
        // The crop's share of the shorter edge is ImageNet's, 224 of 256.
        let edge = |size| (Some(Scaling::ShortEdge(size * 8 / 7)), Some([size; 2]));
        let own = (network.preprocess.scaling, network.preprocess.crop);
        let (scaling, crop) = size.map_or(own, edge);
        let preprocess = Preprocess { scaling, crop, ..network.preprocess };
        Ok(Subject::Network(Box::new(Weighted { network, weights, stands_in, preprocess })))
    }

    /// What pictures go through.
    pub fn preprocess(&self) -> Preprocess {
        match self {
            Subject::Network(n) => n.preprocess,
            Subject::Fitted(fitted) => fitted.preprocess(),
        }
    }

    /// What the user should know of its weights.
    pub fn notes(&self) -> &[String] {
        match self {
            Subject::Network(n) => n.weights.notes(),
            Subject::Fitted(fitted) => fitted.notes(),
        }
    }

    /// Rows and columns of its input.
    pub fn input_size(&self) -> [usize; 2] {
        match self {
            Subject::Network(n) => n.input_size(),
            Subject::Fitted(fitted) => fitted.input_size(),
        }
    }

    /// Pictures, rows, columns, channels of a run.
    pub fn input(&self, batch: usize) -> [usize; 4] {
        let [h, w] = self.input_size();
        [batch, h, w, 3]
    }

    /// What runs for a batch of pictures, `picture` or noise each: logits where there is a head, else the network's last place; a
    /// fitted model's findings.
    ///
    /// # Errors
    /// As [`Preprocess::prepare`].
    pub fn predict_stage(&self, batch: usize, picture: Option<&Picture>, caps: &Caps) -> Result<Stage<'_>> {
        let preprocess = self.preprocess();
        let picture = picture.map(|p| preprocess.prepare(p)).transpose()?;
        match self {
            Subject::Fitted(fitted) => fitted.predict_stage(batch, picture, *caps),
            Subject::Network(n) => n.stage(batch, picture),
        }
    }

    /// A step of training for a batch of pictures, `picture` or noise each: of a network with a new last layer for [`CLASSES`] classes, as
    /// classifiers are trained, but with batch norms as they are folded here; of a fitted model as its fit has it.
    ///
    /// # Errors
    /// [`Error::Usage`] for a model whose fit trains nothing step by step, and for a network without a vector; as [`Preprocess::prepare`].
    pub fn training_stage(&self, batch: usize, picture: Option<&Picture>) -> Result<Stage<'_>> {
        let preprocess = self.preprocess();
        let prepared = picture.map_or_else(|| Ok(noise(&preprocess, self.input_size())), |p| preprocess.prepare(p))?;
        let picture = preprocess.numbers(prepared);
        match self {
            Subject::Fitted(fitted) => fitted.training_stage(batch, &picture)?.ok_or_else(|| {
                let method = fitted.method();
                Error::Usage(format!(
                    "--training: the fit of {method} has no steps; give a network, or a model of efficientad"
                ))
            }),
            Subject::Network(n) => n.training(batch, &picture),
        }
    }

    /// Graphs of a fit alone, where it is a fitted model.
    pub fn fit_stages(&self, caps: &Caps) -> Vec<Stage<'_>> {
        match self {
            Subject::Network(_) => vec![],
            Subject::Fitted(fitted) => fitted.fit_stages(caps),
        }
    }
}

impl Weighted {
    fn stage(&self, batch: usize, picture: Option<Prepared>) -> Result<Stage<'_>> {
        let head = head(move |graph, pictures| {
            let places = self.network.build(pictures, &Scope::new(graph, self.weights.tensors()));
            places.last().into_iter().collect()
        });
        stage("network", (&self.preprocess, self.input_size()), (batch, picture), head)
    }

    fn training(&self, batch: usize, picture: &Tensor) -> Result<Stage<'_>> {
        let (place, [size, _]) = (self.network.vector, self.input_size());
        let source = Source { network: self.network, weights: &self.weights, place, preprocess: self.preprocess };
        let values = source.dim()?;
        let body = Body { network: self.network, place, size };
        let step = Step::new(Some((body, self.weights.tensors())), [CLASSES, values], 0);
        let parameters = step.parameters(LEARNING.rule.slots())?;
        let labels = Tensor::from_fn([batch], |i| (i % CLASSES) as f32);
        let shares = Tensor::from_fn([1, batch], |_| 1.0 / batch as f32);
        let inputs = vec![repeated(picture, batch), labels, shares, LEARNING.numbers(0)];
        let build = boxed(move |graph| {
            // Whether it can be built the parameters have shown.
            let loss = step.loss(graph, batch, &parameters).ok();
            loss.inspect(|loss| learn(*loss, &LEARNING)).into_iter().collect()
        });
        Ok(Stage { name: "training", inputs, build })
    }

    fn input_size(&self) -> [usize; 2] {
        self.preprocess.crop.unwrap_or(self.network.input_size())
    }
}
