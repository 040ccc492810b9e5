//! Every choice of a fit, and what was asked for of them.

use super::Scalars;
use super::adapt::Adaptation;
use super::finetune::Finetune;
use super::head::{Distance, Head};
use crate::data::{Filter, Preprocess};
use crate::error::{Error, Result, plain};
use crate::methods::vector;
use crate::models::{EMBEDDED, Network};
use crate::weights::WeightsFile;
use serde::{Deserialize, Serialize};

/// Whose prototypes they are: what is not asked for is as published there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// Snell et al. 2017, arXiv 1703.05175: squared Euclidean distances.
    #[default]
    Prototype,
    /// Hu et al. 2022, arXiv 2204.07305 (P>M>F), before any fine-tuning: cosines, and pictures resized by the bilinear filter.
    Pmf,
}

impl Preset {
    /// The network unless told otherwise: for prototypes the one that is built in, for P>M>F the one that it was published with.
    pub fn usual_backbone(self) -> &'static str {
        match self {
            Preset::Prototype => EMBEDDED.name,
            Preset::Pmf => "dino_vits16",
        }
    }
}

/// Every choice of a fit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Whose they are.
    pub preset: Preset,
    /// The place of the network that vectors are taken from.
    pub place: String,
    /// Edge length of the network's input.
    pub size: usize,
    /// Whether pictures are cropped as the network's own preprocessing does it; otherwise the whole picture is looked at.
    pub crop: bool,
    /// What vectors become.
    pub head: Head,
    /// How the network's weights were fine-tuned to the pictures, if they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finetune: Option<Finetune>,
}

impl Config {
    /// Checks it.
    ///
    /// # Errors
    /// As [`Head::check`]; [`Error::Usage`] for a size that is not between 32 and 4096.
    pub fn check(&self) -> Result<()> {
        self.head.check()?;
        match (32..=4096).contains(&self.size) {
            true => Ok(()),
            false => Err(Error::Usage(format!("size {}: must be between 32 and 4096", self.size))),
        }
    }

    /// What pictures go through.
    pub fn preprocess(&self, network: &Network) -> Preprocess {
        let own = vector::preprocess(network, self.size, self.crop);
        let filter = if self.preset == Preset::Pmf { Filter::Bilinear } else { own.filter };
        Preprocess { filter, ..own }
    }
}

/// What was asked for; `None` and `false`: nothing.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// Whose they are to be.
    pub preset: Preset,
    /// The network, by name.
    pub backbone: Option<String>,
    /// The place.
    pub place: Option<String>,
    /// The edge length.
    pub size: Option<usize>,
    /// Whether to crop.
    pub crop: bool,
    /// The distance.
    pub distance: Option<Distance>,
    /// What it is multiplied by.
    pub scale: Option<f64>,
    /// What is added to cosines.
    pub bias: Option<f64>,
    /// Whether to centre and normalise.
    pub center: bool,
    /// Whether to correct shots.
    pub shot_correction: bool,
    /// The fine-tuning.
    pub adaptation: Option<Adaptation>,
}

impl Asked {
    /// Every choice, for a network.
    ///
    /// # Errors
    /// As [`Config::check`].
    pub fn config(&self, network: &Network) -> Result<Config> {
        let usual = if self.preset == Preset::Pmf { Distance::Cosine } else { Distance::Squared };
        let distance = self.distance.unwrap_or(usual);
        let [size, _] = network.input_size();
        let config = Config {
            preset: self.preset,
            place: self.place.clone().unwrap_or_else(|| network.vector.into()),
            size: self.size.unwrap_or(size),
            crop: self.crop,
            head: Head {
                distance,
                scale: self.scale.unwrap_or(distance.usual_scale()),
                bias: self.bias.unwrap_or_default(),
                center: self.center,
                shot_correction: self.shot_correction,
            },
            finetune: None,
        };
        config.check()?;
        Ok(config)
    }

    /// The same and, for P>M>F, the scale and bias that a file of weights brings.
    ///
    /// # Errors
    /// As [`Scalars::read`].
    pub fn with_scalars(&self, weights: Option<&WeightsFile>) -> Result<Asked> {
        let file = weights.filter(|_| self.preset == Preset::Pmf);
        Ok(match file.map(Scalars::read).transpose()?.flatten() {
            Some(Scalars { scale, bias }) => Asked { scale: Some(scale), bias: Some(bias), ..self.clone() },
            None => self.clone(),
        })
    }

    /// Whether everything that was asked for is what an earlier fit, of the file `origin`, chose.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the first choice that differs.
    pub fn agrees(&self, config: &Config, backbone: &str, origin: &str) -> Result<()> {
        let Config { preset, place, size, crop, head, finetune } = config;
        if finetune.is_some() || self.adaptation.is_some() {
            return Err(Error::Usage(format!(
                "{origin}: fine-tuning knows all pictures from its first step on, so that none can be added; fit anew with all of them"
            )));
        }
        let differs = |flag: &str, asked: String, has: String| {
            let (asked, has) = (plain(&asked), plain(&has));
            Err(Error::Usage(format!(
                "{flag} {asked}: {origin} was fitted with {has}; leave the flag out, or fit anew"
            )))
        };
        if self.preset != *preset {
            let word = |preset: Preset| String::from(if preset == Preset::Pmf { "pmf" } else { "prototype" });
            return differs("lupe fit", word(self.preset), format!("lupe fit {}", word(*preset)));
        }
        let asked = [
            ("--backbone", self.backbone.clone(), backbone.to_string()),
            ("--place", self.place.clone(), place.clone()),
            ("--size", self.size.map(|s| s.to_string()), size.to_string()),
            ("--distance", self.distance.map(|d| d.word().into()), head.distance.word().into()),
            ("--scale", self.scale.map(|s| s.to_string()), head.scale.to_string()),
            ("the bias", self.bias.map(|b| b.to_string()), head.bias.to_string()),
        ];
        let other = asked.into_iter().find_map(|(flag, asked, has)| Some((flag, asked.filter(|a| *a != has)?, has)));
        if let Some((flag, asked, has)) = other {
            return differs(flag, asked, has);
        }
        let flags = [
            ("--crop", self.crop, crop),
            ("--center", self.center, &head.center),
            ("--shot-correction", self.shot_correction, &head.shot_correction),
        ];
        match flags.into_iter().find(|(_, asked, has)| *asked && !**has) {
            Some((flag, ..)) => {
                Err(Error::Usage(format!("{flag}: {origin} was fitted without it; leave the flag out, or fit anew")))
            }
            None => Ok(()),
        }
    }
}
