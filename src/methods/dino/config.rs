//! Every choice that a fit depends on, and what follows from them: how pictures are prepared, tokens, distances, maps and scores.

use super::foreground::{Growth, foreground};
use super::raise::{Between, Border, Raise, highest_percent};
use crate::data::{Cut, Filter, Picture, Preprocess, Resampling, Scaling, rotate_bilinear, rotate_nearest};
use crate::engine::{Graph, Scope, Var};
use crate::error::{Error, Result};
use crate::methods::fitted::Finding;
use crate::models::{Network, Positions};
use crate::random::draw;
use crate::tensor::Tensor;
use crate::weights::Weights;
use serde::{Deserialize, Serialize};

/// Whose arithmetic is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// The authors' own code.
    Authors,
    /// anomalib 2.7.
    Anomalib,
}

/// Which views of a reference are taken beside itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Turns {
    /// None.
    None,
    /// Turned by 45°, 90°, … 315°, mirrored beyond its edges.
    Eighths,
    /// So many, turned by angles below 345° that are drawn, black beyond its edges.
    Drawn(usize),
}

/// How anomalies are found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Detector {
    /// AnomalyDINO: by the cosine distance to the nearest tokens of the references.
    Neighbors {
        /// Tokens whose mean distance counts.
        neighbors: usize,
        /// Whether patches outside the foreground count as 0, and how it is grown.
        mask: Option<Growth>,
        /// Whether tokens outside the foreground of references are left out.
        mask_references: bool,
    },
    /// SubspaceAD: by what is left of a token outside the subspace of the references' tokens.
    Subspace {
        /// Share of the variance that the subspace has at least.
        share: f64,
    },
}

/// Every choice that a fit depends on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// Whose arithmetic is followed.
    pub preset: Preset,
    /// Places of the network whose mean is a token.
    pub layers: Vec<String>,
    /// How position embeddings are resampled.
    #[serde(with = "positions")]
    pub positions: Positions,
    /// Edge length: of the shorter edge, or of the square that pictures are brought to.
    pub size: usize,
    /// Views of a reference beside itself.
    pub turns: Turns,
    /// Seed of the angles that are drawn.
    pub seed: u64,
    /// How anomalies are found.
    pub detector: Detector,
}

/// Patches that a picture may have at most: 1792x1792 pixels in patches of 14.
pub const MOST_PATCHES: usize = 1 << 14;

/// Angles that [`Turns::Drawn`] counts for each reference: more or fewer of them begin with the same ones.
const ANGLES: u64 = 30;

impl Config {
    /// AnomalyDINO as its authors run it where nothing is known of the parts ("agnostic"): all references turned, no mask.
    pub fn anomaly_dino(network: &Network) -> Config {
        Config {
            preset: Preset::Authors,
            layers: vec!["tokens".into()],
            positions: network.positions,
            size: 448,
            turns: Turns::Eighths,
            seed: 0,
            detector: Detector::Neighbors { neighbors: 1, mask: None, mask_references: false },
        }
    }

    /// AnomalyDINO as anomalib 2.7 runs it, which resamples positions by size, not antialiased, for every network.
    pub fn anomalib(network: &Network) -> Config {
        let (preset, positions) = (Preset::Anomalib, Positions::Size);
        Config { preset, positions, size: 252, turns: Turns::None, ..Config::anomaly_dino(network) }
    }

    /// SubspaceAD as it was published, but for the size: 30 turned views, 99 % of the variance, `layers` or else the published ones, which
    /// are middle blocks before the last norm. Positions as Hugging Face resamples them.
    ///
    /// # Errors
    /// [`Error::Usage`] for a network for which no blocks are published.
    pub fn subspace_ad(network: &Network, weights: &Weights, layers: Option<Vec<String>>) -> Result<Config> {
        let antialiased = network.positions == Positions::SizeAntialiased;
        Ok(Config {
            preset: Preset::Authors,
            layers: layers.map_or_else(|| middle(network, weights), Ok)?,
            positions: if antialiased { Positions::SizeAntialiased } else { Positions::Size },
            size: 448,
            turns: Turns::Drawn(30),
            seed: 0,
            detector: Detector::Subspace { share: 0.99 },
        })
    }

    /// Checks it against the network that it is for.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the value and what is allowed.
    pub fn check(&self, network: &Network) -> Result<()> {
        let wrong = |what: String| Err(Error::Usage(what));
        let (patch, name) = (network.multiple, network.name);
        if patch < 2 {
            return wrong(format!(
                "{name} has no patch tokens; give --backbone a vision transformer, such as {}",
                super::NETWORK
            ));
        }
        if !(64..=4096).contains(&self.size) {
            return wrong(format!("--size {}: must be between 64 and 4096", self.size));
        }
        let places = (self.size / patch).pow(2);
        if places > MOST_PATCHES {
            return wrong(format!(
                "--size {}: gives {places} patches of {patch}x{patch}, but at most {MOST_PATCHES} are supported",
                self.size
            ));
        }
        if self.preset == Preset::Anomalib {
            network.takes("--size", [self.size; 2])?;
        }
        let twice = |(i, l): (usize, &String)| self.layers.iter().skip(i + 1).any(|other| other == l);
        if self.layers.is_empty() || self.layers.iter().enumerate().any(twice) {
            return wrong(format!("--layers {}: expected one or more, without repetition", self.layers.join(",")));
        }
        match (self.turns, self.detector) {
            (Turns::Drawn(n), _) if n > 1000 => wrong(format!("--augment {n}: must be at most 1000")),
            (_, Detector::Neighbors { neighbors, .. }) if !(1..=100).contains(&neighbors) => {
                wrong(format!("--neighbors {neighbors}: must be between 1 and 100"))
            }
            (_, Detector::Subspace { share }) if !(share > 0.0 && share <= 1.0) => {
                wrong(format!("--tau {share}: must be above 0 and at most 1"))
            }
            _ => Ok(()),
        }
    }

    /// The network with these positions, and with pictures prepared as these choices want them.
    pub fn adapted(&self, network: &Network) -> Network {
        Network { preprocess: self.preprocess(network), positions: self.positions, ..*network }
    }

    /// How pictures are prepared: rows and columns that fill no patch are cut off right and below.
    fn preprocess(&self, network: &Network) -> Preprocess {
        let (scaling, resampling) = match (self.preset, self.detector) {
            (Preset::Anomalib, _) => (Scaling::Square(self.size), Resampling::Float),
            (_, Detector::Subspace { .. }) => (Scaling::Square(self.size), Resampling::Pillow),
            (_, Detector::Neighbors { .. }) => (Scaling::ShortEdge(self.size), Resampling::Pillow),
        };
        let cut = Some(Cut { patch: network.multiple, most: MOST_PATCHES });
        Preprocess {
            scaling: Some(scaling),
            filter: Filter::Bicubic,
            resampling,
            crop: None,
            cut,
            ..network.preprocess
        }
    }

    /// Tokens `[n, h, w, d]` of pictures; `None` if a layer is not a place of the network.
    pub fn tokens<'g>(&self, network: &Network, pictures: Var<'g>, weights: &Scope<'g, '_>) -> Option<Var<'g>> {
        let places = network.build(pictures, weights);
        let maps = self.layers.iter().map(|l| places.get(l)).collect::<Option<Vec<Var>>>()?;
        let sum = maps.into_iter().reduce(|a, b| a + b)?;
        let n = self.layers.len();
        Some(if n > 1 { sum.affine(1.0 / n as f32, 0.0) } else { sum })
    }

    /// Values of a token.
    ///
    /// # Errors
    /// [`Error::Usage`] for a layer that the network does not offer, or that is not a map; [`Error::Shape`] if the pieces do not fit.
    pub fn dim(&self, network: &Network, weights: &Weights) -> Result<usize> {
        let graph = Graph::new();
        let edge = 4 * network.multiple;
        let places = network.build(graph.input("picture", [1, edge, edge, 3]), &Scope::new(&graph, weights.tensors()));
        let maps = self.layers.iter().map(|l| places.find(l)).collect::<Result<Vec<Var>>>()?;
        graph.nodes()?;
        match self.layers.iter().zip(&maps).find(|(_, map)| map.shape().rank() != 4 || map.dim(1) != 4) {
            Some((name, _)) => Err(Error::Usage(format!("--layers {name}: is not a map of patch tokens"))),
            None => Ok(maps.first().map_or(0, |map| map.dim(3))),
        }
    }

    /// The views of reference number `i`, itself first.
    pub fn views<'p>(&self, picture: &'p Picture, i: usize) -> Box<dyn Iterator<Item = Picture> + 'p> {
        let own = std::iter::once(picture.clone());
        match self.turns {
            Turns::None => Box::new(own),
            Turns::Eighths => Box::new(own.chain((1..8).map(|n| rotate_bilinear(picture, 45.0 * f64::from(n))))),
            Turns::Drawn(n) => {
                let angles = self.angles(n, i);
                Box::new(own.chain(angles.into_iter().map(|angle| rotate_nearest(picture, angle))))
            }
        }
    }

    /// How many views there are of each reference.
    pub fn view_count(&self) -> usize {
        match self.turns {
            Turns::None => 1,
            Turns::Eighths => 8,
            Turns::Drawn(n) => 1 + n,
        }
    }

    /// The angles that are drawn for reference number `i`, in degrees.
    pub fn angles(&self, n: usize, i: usize) -> Vec<f64> {
        let name = if self.seed == 0 { "subspacead.angle".into() } else { format!("subspacead.angle.{}", self.seed) };
        let each = ANGLES.max(n as u64);
        let angle = |j: u64| {
            let x = (draw(&name, each * i as u64 + j) >> 40) as f64 * 2f64.powi(-23) - 1.0;
            345.0 * (x + 1.0) / 2.0
        };
        (0..n as u64).map(angle).collect()
    }

    /// How maps are made of the grid of patches.
    pub fn raise(&self) -> Raise {
        match (self.preset, self.detector) {
            (Preset::Anomalib, _) => Raise { between: Between::Nearest, radius: 16, border: Border::Reflect },
            (_, Detector::Neighbors { .. }) => {
                Raise { between: Between::Linear, radius: 16, border: Border::Symmetric }
            }
            // The authors ask for 3x3 taps, which is nearly no blur.
            (_, Detector::Subspace { .. }) => Raise { between: Between::Linear, radius: 1, border: Border::Reflect },
        }
    }

    /// Whether maps have the size of their picture; else they are over the square that it was brought to.
    pub fn whole_maps(&self) -> bool {
        self.preset == Preset::Authors && matches!(self.detector, Detector::Neighbors { .. })
    }

    /// How the foreground is grown, where patches outside it count as 0.
    pub fn mask(&self) -> Option<Growth> {
        match self.detector {
            Detector::Neighbors { mask, .. } => mask,
            Detector::Subspace { .. } => None,
        }
    }

    /// Nearest tokens whose mean distance counts; 1 where there are none.
    pub fn neighbors(&self) -> usize {
        match self.detector {
            Detector::Neighbors { neighbors, .. } => neighbors,
            Detector::Subspace { .. } => 1,
        }
    }

    /// What distances of patches `[h, w]` say of a picture; `tokens` `[h, w, d]` are needed where there is a mask. A map that is to have
    /// the picture's own size is still the grid.
    ///
    /// # Errors
    /// [`Error::Numeric`] if one is not a number: there is no verdict then.
    pub fn finding(&self, distances: Tensor, tokens: Option<&Tensor>) -> Result<Finding> {
        if distances.data.iter().chain(tokens.iter().flat_map(|t| &t.data)).any(|v| !v.is_finite()) {
            return Err(Error::Numeric(
                "a score is not a finite number, so there is no verdict; are these the right weights?".into(),
            ));
        }
        let seen = self.mask().zip(tokens).map(|(growth, tokens)| foreground(tokens, growth));
        let counts = seen.into_iter().flatten().chain(std::iter::repeat(true));
        let data =
            distances.data.iter().zip(counts).map(|(&v, counts)| if counts { v.max(0.0) } else { 0.0 }).collect();
        let grid = Tensor::new(distances.shape, data);
        let map = if self.whole_maps() { None } else { Some(self.raise().map(&grid, [self.size; 2])) };
        let score = match (&map, self.detector) {
            (Some(map), Detector::Subspace { .. }) => highest_percent(&map.data),
            _ => highest_percent(&grid.data),
        };
        Ok(Finding { score, map: Some(map.unwrap_or(grid)), ..Finding::default() })
    }
}

/// The blocks that SubspaceAD was published with.
fn middle(network: &Network, weights: &Weights) -> Result<Vec<String>> {
    let blocks = network.places(weights).iter().filter(|place| place.starts_with("block")).count();
    let (first, last) = match blocks {
        12 => (7, 8),
        24 => (13, 17),
        40 => (22, 28),
        n => {
            let name = network.name;
            return Err(Error::Usage(format!(
                "--layers is required: SubspaceAD was published for networks of 12, 24 and 40 blocks, and {name} has {n}"
            )));
        }
    };
    Ok((first..=last).map(|i| format!("block{i}")).collect())
}

/// Ways to resample positions by their names.
mod positions {
    use super::Positions;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(positions: &Positions, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(positions.name())
    }

    pub fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<Positions, D::Error> {
        let name = String::deserialize(from)?;
        Positions::named(&name).ok_or_else(|| D::Error::custom(format!("unknown positions `{name}`")))
    }
}
