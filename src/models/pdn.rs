//! PDN, the patch description network of EfficientAD (Batzner, Heckler and König 2023, arXiv 2303.14535): a few convolutions, of which
//! every output sees 33x33 pixels of the picture, four pixels from one to the next. A teacher of it has learned what a large network says
//! of patches; a student has twice the outputs.

use super::{Build, Features, Names, Network, Places, Positions, Rule, Spelling};
use crate::data::{Preprocess, Scaling};
use crate::engine::{Scope, Var};
use crate::models::spelling::Form::Same;
use crate::weights::BatchNorms;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// A convolution. All but the last are followed by ReLU.
#[derive(Debug, PartialEq, Eq)]
struct Layer {
    name: &'static str,
    kernel: usize,
    /// Zeros around the picture where the network is padded.
    pad: usize,
    /// Whether the mean of windows of 2x2 follows.
    pool: bool,
}

const fn layer(name: &'static str, kernel: usize, pad: usize, pool: bool) -> Layer {
    Layer { name, kernel, pad, pool }
}

const SMALL_LAYERS: &[Layer] =
    &[layer("conv1", 4, 3, true), layer("conv2", 4, 3, true), layer("conv3", 3, 1, false), layer("conv4", 4, 0, false)];

const MEDIUM_LAYERS: &[Layer] = &[
    layer("conv1", 4, 3, true),
    layer("conv2", 4, 3, true),
    layer("conv3", 1, 0, false),
    layer("conv4", 3, 1, false),
    layer("conv5", 4, 0, false),
    layer("conv6", 1, 0, false),
];

/// Which layers it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Size {
    /// Four, as EfficientAD-S.
    #[serde(rename = "s")]
    Small,
    /// Six, as EfficientAD-M.
    #[serde(rename = "m")]
    Medium,
}

/// A member of the family, of any widths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pdn {
    /// Which layers it has.
    pub size: Size,
    /// Channels of the first three layers (small) or four (medium); all others have as many as there are outputs.
    pub widths: [usize; 4],
    /// Channels of the output.
    pub outputs: usize,
    /// Whether pictures are padded with zeros, as where a teacher is distilled: a map then has a place for each 4x4 pixels. Else what is
    /// nearer to an edge than 16 pixels is the middle of no place, and a map has four places less on every side.
    pub padded: bool,
}

/// The small one, as a teacher.
pub const SMALL: Pdn = Pdn { size: Size::Small, widths: [128, 256, 256, 0], outputs: 384, padded: false };

/// The medium one, as a teacher.
pub const MEDIUM: Pdn = Pdn { size: Size::Medium, widths: [256, 512, 512, 512], outputs: 384, padded: false };

/// The two that can be named; their widths are those of their weights.
pub const NETWORKS: [Network; 2] = [
    named("pdn_s", &["conv4"], |x, p, _| SMALL.like(p).places(x, p)),
    named("pdn_m", &["conv6"], |x, p, _| MEDIUM.like(p).places(x, p)),
];

/// What published widths may be divided by.
pub const NARROW: [usize; 5] = [1, 2, 4, 8, 16];

/// Rows and columns of the smallest picture of which there is an output.
const LEAST: usize = 33;

const fn named(name: &'static str, layers: &'static [&'static str], builder: Build) -> Network {
    Network {
        name,
        // The picture whole, as EfficientAD looks at it.
        preprocess: Preprocess { scaling: Some(Scaling::Square(256)), ..Preprocess::imagenet(256, 256) },
        head: &[],
        norms: BatchNorms::NONE,
        features: Features { layers, dim: None },
        vector: "pool",
        multiple: 1,
        least: LEAST,
        positions: Positions::Offset,
        names: Names { spellings: &[NUMBERED], parts: &[], needless: &[] },
        builder,
    }
}

/// The names of a sequence, in which pools and activations count.
const NUMBERED: Spelling = Spelling {
    publisher: "nelson1425",
    mark: "8.weight",
    rules: &[
        Rule("0.*", "conv1.*", Same),
        Rule("3.*", "conv2.*", Same),
        Rule("6.*", "conv3.*", Same),
        Rule("8.*", "conv4.*", Same),
        Rule("10.*", "conv5.*", Same),
        Rule("12.*", "conv6.*", Same),
    ],
};

impl Size {
    /// Both.
    pub const ALL: [Size; 2] = [Size::Small, Size::Medium];

    /// The published teacher.
    pub fn pdn(self) -> Pdn {
        match self {
            Size::Small => SMALL,
            Size::Medium => MEDIUM,
        }
    }

    /// The name of the network.
    pub fn network(self) -> &'static str {
        let [small, medium] = NETWORKS;
        match self {
            Size::Small => small.name,
            Size::Medium => medium.name,
        }
    }

    /// The letter that it has on the command line.
    pub fn letter(self) -> &'static str {
        match self {
            Size::Small => "s",
            Size::Medium => "m",
        }
    }

    fn layers(self) -> &'static [Layer] {
        match self {
            Size::Small => SMALL_LAYERS,
            Size::Medium => MEDIUM_LAYERS,
        }
    }
}

impl Pdn {
    /// The same with other outputs: those of a student are twice its teacher's.
    pub fn with_outputs(self, outputs: usize) -> Pdn {
        Pdn { outputs, ..self }
    }

    /// The same with all widths divided by one of [`NARROW`].
    pub fn narrow(self, by: usize) -> Pdn {
        let by = by.max(1);
        Pdn { widths: self.widths.map(|w| w / by), outputs: self.outputs / by, ..self }
    }

    /// By how much this one's widths are divided in the weights at `p`, by the first layer's; 1 where these are something else.
    pub fn narrowed(&self, p: &Scope<'_, '_>) -> usize {
        let first = p.at("conv1").shape("weight");
        let fits = |by: &usize| first.is_some_and(|s| s.dims() == [self.widths[0] / by, 3, 4, 4]);
        NARROW.into_iter().find(fits).unwrap_or(1)
    }

    /// This one, as narrow as the weights at `p` are.
    fn like(self, p: &Scope<'_, '_>) -> Pdn {
        self.narrow(self.narrowed(p))
    }

    fn layers(&self) -> &'static [Layer] {
        self.size.layers()
    }

    /// Channels of layer `i`.
    fn channels(&self, i: usize) -> usize {
        let own = match self.size {
            Size::Small => 3,
            Size::Medium => 4,
        };
        self.widths.get(i).copied().filter(|_| i < own).unwrap_or(self.outputs)
    }

    /// The name of the last layer.
    pub fn last(&self) -> &'static str {
        self.layers().last().map_or("", |l| l.name)
    }

    /// What the last layer reads, of pictures `x` `[n, h, w, 3]`, preprocessed.
    pub fn trunk<'g>(&self, x: Var<'g>, p: &Scope<'g, '_>) -> Var<'g> {
        let inner = self.layers().len().saturating_sub(1);
        (0..inner).fold(x, |x, i| self.layer(x, p, i))
    }

    /// Outputs `rows` `[n, h, w, rows]` of what [`Pdn::trunk`] gives: only these are computed.
    pub fn head<'g>(&self, trunk: Var<'g>, p: &Scope<'g, '_>, rows: Range<usize>) -> Var<'g> {
        let Some(Layer { name, kernel, pad, .. }) = self.layers().last() else { return trunk };
        let (p, pad) = (p.at(name), if self.padded { *pad } else { 0 });
        let weight = p.param("weight", [self.outputs, trunk.dim(3), *kernel, *kernel]);
        let bias = p.param("bias", [self.outputs]);
        let [weight, bias] = match rows == (0..self.outputs) {
            true => [weight, bias],
            false => [weight, bias].map(|all| all.slice(0, rows.start, rows.end)),
        };
        trunk.conv2d(weight, 1, pad) + bias
    }

    /// All outputs `[n, h, w, c]` of pictures.
    pub fn map<'g>(&self, x: Var<'g>, p: &Scope<'g, '_>) -> Var<'g> {
        self.head(self.trunk(x, p), p, 0..self.outputs)
    }

    /// The network for pictures `x` `[n, h, w, 3]`, preprocessed. `conv1`, `conv2`, … `[n, h, w, c]` are what each convolution gives,
    /// after its ReLU and its pool, `pool` `[n, c]` is the mean of the last.
    pub fn places<'g>(&self, x: Var<'g>, p: &Scope<'g, '_>) -> Places<'g> {
        let (mut places, mut y) = (Places::default(), x);
        for (i, layer) in self.layers().iter().enumerate() {
            y = if i + 1 < self.layers().len() { self.layer(y, p, i) } else { self.head(y, p, 0..self.outputs) };
            places.push(layer.name, y);
        }
        places.push("pool", y.global_pool());
        places
    }

    /// Layer `i`, which is not the last.
    fn layer<'g>(&self, x: Var<'g>, p: &Scope<'g, '_>, i: usize) -> Var<'g> {
        let Some(Layer { name, kernel, pad, pool }) = self.layers().get(i) else { return x };
        let (p, c, pad) = (p.at(name), self.channels(i), if self.padded { *pad } else { 0 });
        let y = x.conv2d(p.param("weight", [c, x.dim(3), *kernel, *kernel]), 1, pad) + p.param("bias", [c]);
        let y = y.relu();
        if *pool { y.avg_pool(2, 2, usize::from(self.padded), true) } else { y }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Graph, Named};
    use crate::models::{Outline, find};

    /// Rows and columns of the map of a picture of so many.
    fn side(pdn: Pdn, n: usize) -> usize {
        let (graph, none) = (Graph::new(), Named::new());
        let map = pdn.map(graph.input("x", [1, n, n, 3]), &Scope::new(&graph, &none));
        graph.nodes().unwrap();
        assert_eq!(map.dim(1), map.dim(2));
        map.dim(1)
    }

    #[test]
    fn maps_have_a_place_for_four_pixels() {
        for pdn in [SMALL, MEDIUM] {
            for n in (256..270).chain([512, 513, 1022]) {
                assert_eq!(side(pdn, n), n.div_ceil(4) - 8, "{n}");
                assert_eq!(side(Pdn { padded: true, ..pdn }, n), n.div_ceil(4), "{n}");
            }
            assert_eq!(side(pdn, LEAST), 1);
            let (graph, none, x) = (Graph::new(), Named::new(), [1, LEAST - 1, LEAST - 1, 3]);
            pdn.map(graph.input("x", x), &Scope::new(&graph, &none));
            assert!(graph.nodes().is_err(), "a smaller picture has no map");
        }
    }

    #[test]
    fn as_many_weights_as_published() {
        let count = |pdn: Pdn| {
            let (graph, none) = (Graph::new(), Named::new());
            pdn.map(graph.input("x", [1, 64, 64, 3]), &Scope::new(&graph, &none));
            let asked = graph.requested().problems(&none, &[]);
            let one = |p| match p {
                crate::engine::Problem::Missing { wanted, .. } => wanted.len(),
                _ => 0,
            };
            asked.into_iter().map(one).sum::<usize>()
        };
        assert_eq!([count(SMALL), count(SMALL.with_outputs(768))], [2_694_144, 4_267_392]);
        assert_eq!([count(MEDIUM), count(MEDIUM.with_outputs(768))], [8_026_624, 11_615_488]);
    }

    #[test]
    fn a_part_of_the_outputs_is_the_same_as_in_all() {
        let pdn = Pdn { widths: [4, 6, 6, 0], outputs: 8, ..SMALL };
        let (graph, none) = (Graph::new(), Named::new());
        pdn.map(graph.input("x", [1, 40, 40, 3]), &Scope::new(&graph, &none));
        let weights = super::super::stand_in::weights_of(graph.nodes().unwrap());
        let graph = Graph::new();
        let (p, x) = (Scope::new(&graph, weights.tensors()), graph.input("x", [1, 40, 40, 3]));
        let trunk = pdn.trunk(x, &p);
        let outputs = [pdn.map(x, &p), pdn.head(trunk, &p, 0..5), pdn.head(trunk, &p, 5..8)];
        let picture = crate::tensor::Tensor::from_fn([1, 40, 40, 3], |i| (i * 7 % 11) as f32 / 5.0 - 1.0);
        let [all, first, rest] = graph.eval(&outputs, &[&picture]).unwrap().try_into().unwrap();
        let places = all.data.chunks(8).zip(first.data.chunks(5).zip(rest.data.chunks(3)));
        assert!(places.into_iter().all(|(all, (first, rest))| all == [first, rest].concat()));
    }

    #[test]
    fn widths_are_those_of_the_weights() {
        let graph = Graph::new();
        let named = |shape: [usize; 4]| {
            let zeros = std::sync::Arc::new(crate::tensor::Tensor::zeros(shape));
            Named::from([("conv1.weight".to_string(), zeros)])
        };
        for (shape, by) in [([128, 3, 4, 4], 1), ([16, 3, 4, 4], 8), ([64, 3, 7, 7], 1), ([100, 3, 4, 4], 1)] {
            assert_eq!(SMALL.narrowed(&Scope::new(&graph, &named(shape))), by, "{shape:?}");
        }
        assert_eq!(MEDIUM.narrow(8), Pdn { widths: [32, 64, 64, 64], outputs: 48, ..MEDIUM });
    }

    #[test]
    fn the_names_of_a_sequence() {
        let to = |name: &str| NUMBERED.renamed(name).map(|r| r.0);
        assert_eq!(to("8.weight").as_deref(), Some("conv4.weight"));
        assert_eq!(to("teacher.12.bias").as_deref(), Some("teacher.conv6.bias"));
        assert_eq!(to("1.weight"), None);
        assert!(Outline::default().trees(find("pdn_s").unwrap()).is_empty());
    }
}
