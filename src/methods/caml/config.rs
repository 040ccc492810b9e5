//! Every choice of a fit.

use crate::data::Preprocess;
use crate::error::{Error, Result};
use crate::methods::vector;
use crate::models::{Network, caml};
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// Every choice of a fit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The place of the encoder that features are taken from.
    pub place: String,
    /// Edge length of the encoder's input.
    pub size: usize,
    /// Whether pictures are cropped as the encoder's own preprocessing does it; otherwise the whole picture is looked at.
    pub crop: bool,
    /// Over how many ways to give classes their labels probabilities are averaged.
    pub average: Average,
    /// What is done about more classes than the checkpoint has labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub many: Option<Many>,
    /// Whether the checkpoint's logits are those of its labels in the reverse order.
    pub reversed: bool,
}

/// Over how many ways to give classes their labels probabilities are averaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Average {
    /// So many: the classes in their order have the labels from the first, the second, … on, and then any other labels.
    First(usize),
    /// All.
    All,
}

impl FromStr for Average {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Average, String> {
        match (text, text.parse()) {
            ("all", _) => Ok(Average::All),
            (_, Ok(n)) if n > 0 => Ok(Average::First(n)),
            _ => Err("expected a number from 1 on, or all".into()),
        }
    }
}

/// What is done about more classes than a checkpoint has labels; none of it is in the paper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Many {
    /// Every choice of as many classes as there are labels is asked about by itself; probabilities are averaged.
    Subsets,
    /// Every class is told from all others together; the probabilities that it is that class are made to add up to one.
    OneVsRest,
    /// First good from not good; the probability of not good is then shared out among the other classes, by subsets if need be.
    TwoStage,
}

impl Many {
    /// All of them.
    pub const ALL: [Many; 3] = [Many::Subsets, Many::OneVsRest, Many::TwoStage];

    /// Its name on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Many::Subsets => "subsets",
            Many::OneVsRest => "one-vs-rest",
            Many::TwoStage => "two-stage",
        }
    }
}

impl Config {
    /// Checks it.
    ///
    /// # Errors
    /// [`Error::Usage`] for a size that is not between 32 and 4096.
    pub fn check(&self) -> Result<()> {
        match (32..=4096).contains(&self.size) {
            true => Ok(()),
            false => Err(Error::Usage(format!("size {}: must be between 32 and 4096", self.size))),
        }
    }

    /// What pictures go through.
    pub fn preprocess(&self, encoder: &Network) -> Preprocess {
        let own = caml::preprocess(encoder.name, encoder.preprocess);
        vector::preprocess(&Network { preprocess: own, ..*encoder }, self.size, self.crop)
    }
}
