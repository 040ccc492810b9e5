//! Every choice of a fit, and what was asked for of them.

use crate::data::Preprocess;
use crate::error::{Error, Result};
use crate::methods::vector;
use crate::models::{EMBEDDED, Network};
use crate::train::{Learning, Rate, Rule};
use serde::{Deserialize, Serialize};

/// What is trained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layers {
    /// The last layer, on vectors that the network gives once.
    #[default]
    Fc,
    /// The network as well; batch norms keep their statistics.
    All,
}

impl Layers {
    /// Its name on the command line.
    pub fn word(self) -> &'static str {
        if self == Layers::Fc { "fc" } else { "all" }
    }
}

/// How weights follow their gradients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Optimizer {
    /// Adam with PyTorch's numbers.
    #[default]
    Adam,
    /// Gradient descent with a momentum of 0.9.
    Sgd,
}

impl Optimizer {
    /// Its name on the command line.
    pub fn word(self) -> &'static str {
        if self == Optimizer::Adam { "adam" } else { "sgd" }
    }
}

/// Every choice of a fit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The place of the network that vectors are taken from.
    pub place: String,
    /// Edge length of the network's input.
    pub size: usize,
    /// Whether pictures are cropped as the network's own preprocessing does it; otherwise the whole picture is looked at.
    pub crop: bool,
    /// What is trained.
    pub layers: Layers,
    /// How often all pictures are gone through at most.
    pub epochs: u64,
    /// Pictures in a step at most.
    pub batch: usize,
    /// How weights follow their gradients.
    pub optimizer: Optimizer,
    /// The learning rate.
    pub rate: f64,
    /// Whether all classes weigh the same, however many pictures they have.
    pub balance: bool,
    /// Whether pictures are changed in every step: shifted, lighter or darker, with more or less contrast.
    pub augment: bool,
    /// Whether they are mirrored as well.
    pub flip: bool,
    /// The share of each class's pictures that is not trained on.
    pub validation: f64,
    /// Checks in a row without a lower loss of the kept pictures after which the training ends; 0: it never ends early.
    pub patience: u64,
    /// Seed of all that is drawn.
    pub seed: u64,
}

impl Config {
    /// Checks it.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the value and what is allowed.
    pub fn check(&self) -> Result<()> {
        let within = |name: &str, value: f64, least: f64, most: f64| match (least..=most).contains(&value) {
            true => Ok(()),
            false => Err(Error::Usage(format!("{name} {value}: must be between {least} and {most}"))),
        };
        within("size", self.size as f64, 32.0, 4096.0)?;
        within("--epochs", self.epochs as f64, 1.0, 1e6)?;
        within("--batch", self.batch as f64, 1.0, 65535.0)?;
        within("--validation", self.validation, 0.0, 0.9)?;
        within("--patience", self.patience as f64, 0.0, 1e6)?;
        match self.rate > 0.0 && self.rate <= 10.0 {
            true => Ok(()),
            false => Err(Error::Usage(format!("--lr {}: must be above 0 and at most 10", self.rate))),
        }
    }

    /// What pictures go through.
    pub fn preprocess(&self, network: &Network) -> Preprocess {
        vector::preprocess(network, self.size, self.crop)
    }

    /// How weights follow their gradients.
    pub fn learning(&self) -> Learning {
        let rule = match self.optimizer {
            Optimizer::Adam => Rule::adam(0.0),
            Optimizer::Sgd => Rule::Sgd { momentum: 0.9, decay: 0.0 },
        };
        Learning { rule, rate: Rate::Constant(self.rate), clip: None }
    }

    /// Pictures in a step, where `n` are trained on.
    pub fn step(&self, n: usize) -> usize {
        self.batch.min(n).max(1)
    }

    /// Steps that go once through `n` pictures; the last may begin to go through them again.
    fn epoch(&self, n: usize) -> u64 {
        n.div_ceil(self.step(n)) as u64
    }

    /// Steps of a training on `n` pictures.
    pub fn steps(&self, n: usize) -> u64 {
        self.epochs * self.epoch(n)
    }

    /// Steps from one look at the kept pictures to the next: an epoch of the network, five of a last layer, which are short.
    pub fn every(&self, n: usize) -> u64 {
        self.epoch(n) * if self.layers == Layers::Fc { 5 } else { 1 }
    }
}

/// What was asked for; `None` and `false`: nothing.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// The network, by name.
    pub backbone: Option<String>,
    /// The place.
    pub place: Option<String>,
    /// The edge length.
    pub size: Option<usize>,
    /// Whether to crop.
    pub crop: bool,
    /// What to train.
    pub layers: Layers,
    /// Epochs at most.
    pub epochs: Option<u64>,
    /// Pictures in a step.
    pub batch: Option<usize>,
    /// The optimiser.
    pub optimizer: Optimizer,
    /// The learning rate.
    pub rate: Option<f64>,
    /// Whether classes weigh the same.
    pub balance: bool,
    /// Whether pictures stay as they are.
    pub no_augment: bool,
    /// Whether pictures are not mirrored.
    pub no_flip: bool,
    /// The share that is not trained on.
    pub validation: Option<f64>,
    /// The patience.
    pub patience: Option<u64>,
    /// The seed.
    pub seed: u64,
}

/// The share of each class's pictures that is not trained on, unless told otherwise.
pub const VALIDATION: f64 = 0.2;

impl Asked {
    /// The name of the network.
    pub fn network(&self) -> &str {
        self.backbone.as_deref().unwrap_or(EMBEDDED.name)
    }

    /// Every choice, for a network.
    ///
    /// # Errors
    /// As [`Config::check`]; [`Error::Usage`] for flags of changed pictures where only the last layer is trained.
    pub fn config(&self, network: &Network) -> Result<Config> {
        let (fc, [size, _]) = (self.layers == Layers::Fc, network.input_size());
        let flags = [("--no-augment", self.no_augment), ("--no-flip", self.no_flip)];
        if let Some((flag, _)) = flags.iter().find(|f| fc && f.1) {
            return Err(Error::Usage(format!(
                "{flag}: only --layers all changes pictures; --layers fc takes each as it is, so leave the flag out"
            )));
        }
        // Last layers of 10 to 50 pictures had learned all they would in 20 to 100 epochs; whole networks do so in fewer.
        let (epochs, batch, patience) = if fc { (200, 32, 4) } else { (30, 16, 6) };
        let rate = match (self.layers, self.optimizer) {
            (Layers::Fc, Optimizer::Adam) => 1e-3,
            (Layers::Fc, Optimizer::Sgd) => 1e-2,
            (Layers::All, Optimizer::Adam) => 1e-4,
            (Layers::All, Optimizer::Sgd) => 1e-3,
        };
        let config = Config {
            place: self.place.clone().unwrap_or_else(|| network.vector.into()),
            size: self.size.unwrap_or(size),
            crop: self.crop,
            layers: self.layers,
            epochs: self.epochs.unwrap_or(epochs),
            batch: self.batch.unwrap_or(batch),
            optimizer: self.optimizer,
            rate: self.rate.unwrap_or(rate),
            balance: self.balance,
            augment: !fc && !self.no_augment,
            flip: !fc && !self.no_augment && !self.no_flip,
            validation: self.validation.unwrap_or(VALIDATION),
            patience: self.patience.unwrap_or(patience),
            seed: self.seed,
        };
        config.check()?;
        Ok(config)
    }
}
