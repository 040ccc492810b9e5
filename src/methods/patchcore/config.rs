//! Every choice that a fit depends on, and the graphs that follow from them.

use crate::data::{Preprocess, Resampling, Scaling};
use crate::engine::{Graph, Scope, Var};
use crate::error::{Error, Result};
use crate::models::{EMBEDDED, Network, Places};
use crate::ops::blur::Border;
use crate::ops::knn::Metric;
use crate::weights::Weights;
use serde::{Deserialize, Serialize};

/// Which implementation is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// amazon-science/patchcore-inspection: squared distances, the largest is the score.
    Official,
    /// anomalib: Euclidean distances, the score re-weighted by the neighbourhood (the paper's formula 7).
    Anomalib,
}

/// Every choice that a fit depends on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// Whose geometry, embedding, selection and scoring are used.
    pub preset: Preset,
    /// Places of the backbone, in its order; all are brought to the grid of the first.
    #[serde(with = "layers")]
    pub layers: Vec<String>,
    /// Edge length of the neighbourhood of a place, odd.
    pub patch: usize,
    /// Values to which the neighbourhood of a place in one layer is pooled (`official`); `None`: the mean of every channel.
    pub pretrain_dim: Option<usize>,
    /// Values to which all layers together are pooled (`official`); `None`: they stay as they are.
    pub target_dim: Option<usize>,
    /// Shorter edge after resizing, before the crop.
    pub resize: usize,
    /// Edge length of the network's input.
    pub size: usize,
    /// Whether the centre is cropped; else the whole picture is resized to a square.
    pub crop: bool,
    /// Share of the patch vectors that the bank keeps; 1 keeps all.
    pub ratio: f64,
    /// Seed of all random draws.
    pub seed: u64,
    /// Nearest rows whose mean distance is the score of a place.
    pub neighbors: usize,
    /// Rows of the neighbourhood that re-weights the picture's score; 1 leaves it unchanged.
    pub reweight: usize,
}

impl Default for Config {
    /// What the network with built-in weights takes.
    fn default() -> Config {
        Config::of(EMBEDDED)
    }
}

impl Config {
    /// For this network as [`Preset::Official`], at the same scale, but the whole picture: nothing is judged that was not looked at. What
    /// patch vectors are made of is the network's.
    pub fn of(network: &Network) -> Config {
        let (layers, dim) = (network.features.layers.iter().map(ToString::to_string).collect(), network.features.dim);
        let official = Config::new(Preset::Official);
        let size = 256 / network.multiple * network.multiple;
        Config { layers, pretrain_dim: dim, target_dim: dim, crop: false, size, ..official }
    }

    /// The preset's published values; the layers are those of ResNets.
    pub fn new(preset: Preset) -> Config {
        let official = preset == Preset::Official;
        Config {
            preset,
            layers: ["layer2", "layer3"].map(String::from).into(),
            patch: 3,
            pretrain_dim: Some(1024),
            target_dim: Some(1024),
            resize: 256,
            size: if official { 224 } else { 256 },
            crop: official,
            ratio: 0.1,
            seed: 0,
            neighbors: 1,
            reweight: if official { 1 } else { 9 },
        }
    }

    /// Checks it.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the value and what is allowed.
    pub fn check(&self) -> Result<()> {
        let wrong = |what: String| Err(Error::Usage(what));
        let twice = |(i, l): (usize, &String)| self.layers.iter().skip(i + 1).any(|other| other == l);
        if self.layers.is_empty() || self.layers.iter().enumerate().any(twice) {
            return wrong(format!("layers {}: expected one or more, without repetition", self.layers.join(",")));
        }
        if !(self.ratio > 0.0 && self.ratio <= 1.0) {
            return wrong(format!("ratio {}: must be above 0 and at most 1", self.ratio));
        }
        if !(32..=4096).contains(&self.size) {
            return wrong(format!("size {}: must be between 32 and 4096", self.size));
        }
        if self.crop && !(self.size..=8192).contains(&self.resize) {
            return wrong(format!("resize {}: must be between the size, {}, and 8192", self.resize, self.size));
        }
        if self.neighbors == 0 || self.reweight == 0 {
            return wrong("neighbors and reweight: must be at least 1".into());
        }
        if self.patch.is_multiple_of(2) || self.patch > 15 {
            return wrong(format!("patch {}: must be an odd number up to 15", self.patch));
        }
        Ok(())
    }

    /// The choices that patch vectors depend on; the others are the preset's.
    pub fn for_features(&self) -> Config {
        let Config { ratio, neighbors, reweight, .. } = Config::new(self.preset);
        Config { ratio, neighbors, reweight, ..self.clone() }
    }

    /// How pictures are prepared for `network`.
    pub fn preprocess(&self, network: &Network) -> Preprocess {
        let (scaling, crop) = match self.crop {
            // anomalib's crop is of the whole picture, brought to a square first.
            true if self.preset == Preset::Anomalib => (Scaling::Square(self.resize), Some([self.size; 2])),
            true => (Scaling::ShortEdge(self.resize), Some([self.size; 2])),
            false => (Scaling::Square(self.size), None),
        };
        let resampling = match self.preset {
            Preset::Official => Resampling::Pillow,
            Preset::Anomalib => Resampling::Float,
        };
        Preprocess { scaling: Some(scaling), crop, resampling, ..network.preprocess }
    }

    /// Distance between patch vectors.
    pub fn metric(&self) -> Metric {
        if self.preset == Preset::Official { Metric::SquaredL2 } else { Metric::L2 }
    }

    /// Rows of a bank fitted on `n` patch vectors.
    pub fn bank_rows(&self, n: usize) -> usize {
        ((n as f64 * self.ratio) as usize).clamp(1, n.max(1))
    }

    /// Values to which each layer is pooled, and then all layers together; `anomalib` pools neither.
    pub fn pooled_to(&self) -> [Option<usize>; 2] {
        if self.preset == Preset::Official { [self.pretrain_dim, self.target_dim] } else { [None; 2] }
    }

    /// Patch vectors `[n, h*w, d]` of a batch of pictures; `None` if a layer is not a place of the network.
    pub fn embed<'g>(&self, places: &Places<'g>) -> Option<Var<'g>> {
        let maps = self.layers.iter().map(|l| places.get(l)).collect::<Option<Vec<Var>>>()?;
        let first = maps.first()?;
        let [n, h, w] = [first.dim(0), first.dim(1), first.dim(2)];
        let [each, together] = self.pooled_to();
        let pooled = maps.into_iter().map(|map| {
            let pooled = match each {
                Some(dim) => map.patch_pool(self.patch, dim),
                None => map.avg_pool(self.patch, 1, self.patch / 2, true),
            };
            // Averages and resizing are linear, so the order of the two is free; the smaller map is resized.
            if [map.dim(1), map.dim(2)] == [h, w] { pooled } else { pooled.resize_bilinear(h, w) }
        });
        let all = pooled.reduce(|a, b| a.concat(b, 3))?;
        let all = together.map_or(all, |dim| all.channel_pool(dim));
        Some(all.reshape([n, h * w, all.shape().last()]))
    }

    /// Scores of places `[n * h*w]` as anomaly maps `[n, size, size, 1]`.
    pub fn map<'g>(&self, scores: Var<'g>, n: usize, [h, w]: [usize; 2]) -> Var<'g> {
        const SIGMA: f64 = 4.0;
        let grid = scores.reshape([n, h, w, 1]);
        match self.preset {
            Preset::Official => grid.resize_bilinear(self.size, self.size).gaussian_blur(SIGMA, Border::Symmetric),
            Preset::Anomalib => grid.resize_nearest(self.size, self.size).gaussian_blur(SIGMA, Border::Reflect),
        }
    }

    /// Rows and columns of the grid of places, and values of a patch vector.
    ///
    /// # Errors
    /// [`Error::Usage`] for a size that the network does not take, a layer that it does not offer, that is not a map, or that is out of the network's order;
    /// [`Error::Shape`] if the pieces do not fit: a bug.
    pub fn geometry(&self, network: &Network, weights: &Weights) -> Result<Grid> {
        network.takes("size", [self.size; 2])?;
        let graph = Graph::new();
        let root = Scope::new(&graph, weights.tensors());
        let places = network.build(graph.input("picture", [1, self.size, self.size, 3]), &root);
        let maps = self.layers.iter().map(|l| places.find(l)).collect::<Result<Vec<Var>>>()?;
        let layers = self.layers.join(",");
        if let Some((name, _)) = self.layers.iter().zip(&maps).find(|(_, map)| map.shape().rank() != 4) {
            return Err(Error::Usage(format!("layers {layers}: {name} is not a feature map")));
        }
        let at = |name: &String| places.names().position(|n| n == name);
        if !self.layers.is_sorted_by_key(at) {
            let order: Vec<&str> = places.names().filter(|n| self.layers.iter().any(|l| l == n)).collect();
            return Err(Error::Usage(format!("layers {layers}: expected in the network's order, {}", order.join(","))));
        }
        let (first, rows) = (maps.first(), self.embed(&places));
        graph.nodes()?;
        match first.zip(rows) {
            Some((first, rows)) => Ok(Grid { grid: [first.dim(1), first.dim(2)], dim: rows.dim(2) }),
            None => Err(Error::Usage("layers: expected one or more".into())),
        }
    }
}

/// Layers as files store them: `layer2` is the number 2, from the time when networks had stages only.
mod layers {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Layer {
        Number(usize),
        Name(String),
    }

    pub fn serialize<S: Serializer>(layers: &[String], to: S) -> Result<S::Ok, S::Error> {
        let number = |name: &str| name.strip_prefix("layer")?.parse().ok().filter(|n| name == super::layer(*n));
        let layer = |name: &String| number(name).map_or(Layer::Name(name.clone()), Layer::Number);
        layers.iter().map(layer).collect::<Vec<_>>().serialize(to)
    }

    pub fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<Vec<String>, D::Error> {
        let name = |layer| match layer {
            Layer::Number(n) => super::layer(n),
            Layer::Name(name) => name,
        };
        Ok(Vec::<Layer>::deserialize(from)?.into_iter().map(name).collect())
    }
}

/// The name of stage `n`.
pub fn layer(n: usize) -> String {
    format!("layer{n}")
}

/// Sizes that follow from a configuration and a backbone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grid {
    /// Rows and columns of the grid of places.
    pub grid: [usize; 2],
    /// Values of a patch vector.
    pub dim: usize,
}

impl Grid {
    /// Patch vectors of one picture.
    pub fn places(&self) -> usize {
        self.grid[0] * self.grid[1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models;

    #[test]
    fn layers_are_numbers_where_they_have_one() {
        let layers = ["layer2", "layer03", "block7"].map(String::from).to_vec();
        let config = Config { layers: layers.clone(), ..Config::new(Preset::Official) };
        let text = serde_json::to_string(&config).unwrap();
        assert!(text.contains(r#""layers":[2,"layer03","block7"]"#), "{text}");
        assert_eq!(serde_json::from_str::<Config>(&text).unwrap().layers, layers);
    }

    #[test]
    fn what_patch_vectors_are_made_of_is_the_networks_own() {
        for network in models::all() {
            let own = Config { size: (64 / network.multiple).clamp(4, 64) * network.multiple, ..Config::of(network) };
            let names: Vec<&str> = own.layers.iter().map(String::as_str).collect();
            assert_eq!((&names[..], own.pooled_to()), (network.features.layers, [network.features.dim; 2]));
            let Grid { grid, dim } = own.geometry(network, &Weights::default()).unwrap();
            assert!(
                grid == if network.multiple == 1 { [8, 8] } else { [4, 4] }
                    && network.features.dim.is_none_or(|d| d == dim),
                "{}: {grid:?}, {dim}",
                network.name
            );
        }
        let (whole, thin) = (Config::default(), Config::of(models::find("resnet50_thin").unwrap()));
        assert_eq!(thin, Config { crop: false, size: 256, ..Config::new(Preset::Official) });
        let [whole, thin] = [whole, thin].map(|config| serde_json::to_string(&config).unwrap());
        assert!(whole.contains(r#""pretrain_dim":null,"target_dim":null"#), "{whole}");
        assert!(thin.contains(r#""pretrain_dim":1024,"target_dim":1024"#), "{thin}");
        assert_eq!(serde_json::from_str::<Config>(&whole).unwrap(), Config::default());
        assert_eq!(Config::new(Preset::Anomalib).pooled_to(), [None; 2]);
    }
}
