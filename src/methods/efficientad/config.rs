//! Every choice that a fit depends on, and what follows from them: how pictures are prepared, and which networks there are.

use super::networks::Networks;
use crate::data::{Preprocess, Resampling, Scaling};
use crate::error::{Error, Result};
use crate::models::autoencoder::LEAST;
use crate::models::pdn::{NARROW, Size};
use crate::train::Patience;
use serde::{Deserialize, Serialize};

/// Whose order of steps is followed, from pictures to maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// nelson1425/EfficientAD, which reproduces the paper's results: pictures resized in 8 bits, maps brought to one scale and added, then
    /// their border filled, then resized to the picture's own size.
    Nelson,
    /// anomalib: pictures resized in floats, the border of maps filled, then maps resized to the network's input, then brought to one scale.
    Anomalib,
    /// The paper's listing: as anomalib, but networks are padded, so that maps have no border.
    Paper,
}

/// What is where a map has no place: four of them on every side, since the networks are not padded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Border {
    /// Zeros, as published.
    Zero,
    /// The map's nearest place.
    Replicate,
    /// Networks are padded: there is no border.
    None,
}

/// Where pictures of anything else come from, on which the student is to say nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Penalty {
    /// Name of their folder.
    pub folder: String,
    /// How many there are.
    pub pictures: usize,
}

/// Every choice that a fit depends on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Which layers teacher and student have.
    pub size: Size,
    /// What published widths are divided by: those of the teacher.
    pub narrow: usize,
    /// Whose order of steps is followed.
    pub preset: Preset,
    /// What is where a map has no place.
    pub border: Border,
    /// Edge length of the networks' input.
    pub image_size: usize,
    /// Steps of the training.
    pub steps: u64,
    /// Pictures in a step.
    pub batch: usize,
    /// Seed of all that is drawn.
    pub seed: u64,
    /// Where pictures of anything else come from; nothing where the student is trained without.
    pub penalty: Option<Penalty>,
    /// When the training ends before its steps are done; never, where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patience: Option<Patience>,
}

/// Steps as published.
pub const STEPS: u64 = 70_000;

/// Steps that give most of the accuracy.
pub const QUICK: u64 = 16_000;

/// The largest input.
const LARGEST: usize = 2048;

impl Config {
    /// As published, for a teacher that is as narrow as that.
    pub fn new(size: Size, narrow: usize, preset: Preset) -> Config {
        let border = if preset == Preset::Paper { Border::None } else { Border::Zero };
        let (penalty, patience) = (None, None);
        Config { size, narrow, preset, border, image_size: LEAST, steps: STEPS, batch: 1, seed: 0, penalty, patience }
    }

    /// Checks it.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the value and what is allowed.
    pub fn check(&self) -> Result<()> {
        let wrong = |what: String| Err(Error::Usage(what));
        if self.image_size < LEAST {
            return wrong(format!(
                "--image-size {}: must be at least {LEAST}: the autoencoder halves it five times and takes 8x8 of the rest",
                self.image_size
            ));
        }
        if self.image_size > LARGEST {
            return wrong(format!("--image-size {}: must be at most {LARGEST}", self.image_size));
        }
        if !NARROW.contains(&self.narrow) {
            return wrong(format!("widths divided by {}: expected one of {NARROW:?}", self.narrow));
        }
        if (self.preset == Preset::Paper) != (self.border == Border::None) {
            return wrong("--border: with --preset paper networks are padded, so maps have no border to fill".into());
        }
        if self.steps == 0 || self.batch == 0 {
            return wrong("--steps and --batch: must be at least 1".into());
        }
        if let Some(Patience { checks, every }) = self.patience
            && (checks == 0 || every == 0 || every >= self.steps)
        {
            return wrong(format!(
                "--check-every {every}: with {} steps there is no check before the last one; give fewer, such as {}",
                self.steps,
                (self.steps / 20).max(1)
            ));
        }
        Ok(())
    }

    /// How pictures are prepared: whole, at the networks' size.
    pub fn preprocess(&self) -> Preprocess {
        let size = self.image_size;
        let resampling = if self.preset == Preset::Nelson { Resampling::Pillow } else { Resampling::Float };
        Preprocess { scaling: Some(Scaling::Square(size)), crop: None, resampling, ..Preprocess::imagenet(size, size) }
    }

    /// The networks.
    pub fn networks(&self) -> Networks {
        Networks::of(self.size, self.narrow, self.border == Border::None)
    }

    /// Whether maps have the size of their picture; else they lie over what the networks see.
    pub fn whole_maps(&self) -> bool {
        self.preset == Preset::Nelson
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_allowed() {
        let usual = Config::new(Size::Small, 1, Preset::Nelson);
        assert!(usual.check().is_ok() && Config::new(Size::Medium, 4, Preset::Paper).check().is_ok());
        let bad = |change: &dyn Fn(&mut Config)| {
            let mut config = usual.clone();
            change(&mut config);
            config.check().unwrap_err().to_string()
        };
        assert!(bad(&|c| c.image_size = 255).contains("--image-size 255: must be at least 256"));
        assert!(bad(&|c| c.image_size = 4096).contains("at most 2048"));
        assert!(bad(&|c| c.preset = Preset::Paper).contains("no border to fill"));
        assert!(bad(&|c| c.border = Border::None).contains("--border"));
        let patience = |checks, every| Some(Patience { checks, every });
        assert!(
            bad(&|c| (c.steps, c.patience) = (500, patience(3, 500)))
                .contains("--check-every 500: with 500 steps there is no")
        );
        assert!(bad(&|c| c.patience = patience(0, 5)).contains("--check-every"));
        assert!(bad(&|c| c.steps = 0).contains("at least 1") && bad(&|c| c.narrow = 3).contains("[1, 2, 4, 8, 16]"));
    }

    #[test]
    fn presets_prepare_pictures_as_their_authors_do() {
        let of = |preset| Config::new(Size::Small, 1, preset).preprocess();
        assert!(of(Preset::Nelson).gives_bytes() && !of(Preset::Anomalib).gives_bytes());
        assert_eq!(of(Preset::Paper).area(100, 50), [0.0, 0.0, 100.0, 50.0], "the whole picture");
    }
}
