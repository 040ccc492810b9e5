//! ResNet (He et al. 2015) with the stride of a stage in its 3x3 convolution ("v1.5", as torchvision), wide ResNets
//! (Zagoruyko and Komodakis 2016), and Yahoo's half-width ResNet-50.
//!
//! Weights may be folded or not: if a batch norm's statistics are there, it is applied; if they are not, the
//! convolution has a bias instead.

use super::layers::{batch_norm, classifier};
use super::{Build, Features, Names, Network, Places, Positions};
use crate::data::{ChannelOrder, Preprocess};
use crate::engine::{Scope, Var};
use crate::ops::Pad;
use crate::weights::BatchNorms;

/// PyTorch's default, which torchvision and timm keep for these networks.
pub const NORMS: BatchNorms = BatchNorms { eps: 1e-5, follows };

/// As torchvision's first weights expect it: shorter edge 256, centre crop 224.
const IMAGENET: Preprocess = Preprocess::imagenet(256, 224);

/// As open_nsfw expects it: blue first, 0 to 255, minus the means.
const THIN_INPUT: Preprocess =
    Preprocess { order: ChannelOrder::Bgr, divisor: 1.0, mean: [104.0, 117.0, 123.0], std: [1.0; 3], ..IMAGENET };

/// Prefix of the names of the classifier's weights.
const HEAD: &[&str] = &["fc."];

/// As PatchCore was published with these networks: the second and third stage, each pooled to 1024 values and then both together.
const FEATURES: Features = Features { layers: &["layer2", "layer3"], dim: Some(1024) };

const fn pad(right: usize, left: usize) -> Pad {
    Pad { top: left, left, bottom: right, right }
}

const fn torchvision(block: Block, depths: [usize; 4], width: usize) -> ResNet {
    ResNet { block, depths, stem: 64, planes: 64, width, stride_first: false, pool_pad: pad(1, 1) }
}

/// Half the width of ResNet-50; strides in the first 1x1, a max pool that pads on the right and at the bottom only.
pub const THIN: ResNet = ResNet {
    block: Block::Bottleneck,
    depths: [3, 4, 6, 3],
    stem: 64,
    planes: 32,
    width: 1,
    stride_first: true,
    pool_pad: pad(1, 0),
};

/// torchvision's.
pub const RESNET18: ResNet = torchvision(Block::Basic, [2, 2, 2, 2], 1);
/// torchvision's.
pub const RESNET34: ResNet = torchvision(Block::Basic, [3, 4, 6, 3], 1);
/// torchvision's.
pub const RESNET50: ResNet = torchvision(Block::Bottleneck, [3, 4, 6, 3], 1);
/// torchvision's.
pub const WIDE_RESNET50_2: ResNet = torchvision(Block::Bottleneck, [3, 4, 6, 3], 2);
/// torchvision's.
pub const WIDE_RESNET101_2: ResNet = torchvision(Block::Bottleneck, [3, 4, 23, 3], 2);

/// The ResNets that can be named.
pub const NETWORKS: [Network; 6] = [
    Network { preprocess: THIN_INPUT, ..named("resnet50_thin", |x, p, _| THIN.places(x, p)) },
    named("resnet18", |x, p, _| RESNET18.places(x, p)),
    named("resnet34", |x, p, _| RESNET34.places(x, p)),
    named("resnet50", |x, p, _| RESNET50.places(x, p)),
    named("wide_resnet50_2", |x, p, _| WIDE_RESNET50_2.places(x, p)),
    named("wide_resnet101_2", |x, p, _| WIDE_RESNET101_2.places(x, p)),
];

const fn named(name: &'static str, builder: Build) -> Network {
    Network {
        name,
        preprocess: IMAGENET,
        head: HEAD,
        norms: NORMS,
        features: FEATURES,
        vector: "pool",
        multiple: 1,
        least: 1,
        positions: Positions::Offset,
        names: Names::OWN,
        builder,
    }
}

/// Path of the convolution that a batch norm follows: `bn1` follows `conv1`, `downsample.1` follows `downsample.0`.
fn follows(norm: &str) -> Option<String> {
    let (path, last) = norm.rsplit_once('.').map_or(("", norm), |(path, last)| (path, last));
    let conv = match last.strip_prefix("bn") {
        Some(number) => format!("conv{number}"),
        None => last.parse::<usize>().ok()?.checked_sub(1)?.to_string(),
    };
    Some(if path.is_empty() { conv } else { format!("{path}.{conv}") })
}

/// The kind of residual block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// Two 3x3 convolutions.
    Basic,
    /// 1x1, 3x3, 1x1; the last one has four times the planes.
    Bottleneck,
}

/// One member of the family.
#[derive(Clone, Copy, Debug)]
pub struct ResNet {
    /// Its block.
    pub block: Block,
    /// Blocks of the four stages.
    pub depths: [usize; 4],
    /// Output channels of the first convolution.
    pub stem: usize,
    /// Planes of the first stage; each further stage doubles them.
    pub planes: usize,
    /// Inner channels of a bottleneck, as a multiple of the planes.
    pub width: usize,
    /// Whether the stride of a stage sits in its first 1x1 convolution instead of the 3x3.
    pub stride_first: bool,
    /// Padding of the max pool.
    pub pool_pad: Pad,
}

impl ResNet {
    /// Output channels of stage `i` (0 is layer1).
    pub fn channels(&self, i: usize) -> usize {
        let planes = self.planes << i;
        if self.block == Block::Basic { planes } else { 4 * planes }
    }

    /// The network for pictures `x` `[n, h, w, 3]`, preprocessed. `stem` `[n, h/2, w/2, c]` is what the first ReLU gives, `maxpool`
    /// what it becomes, `layer1` to `layer4` `[n, h, w, c]` are the stages, `pool` `[n, c]` is the mean of the last one; `logits`
    /// `[n, classes]` are there if their weights are.
    pub fn places<'g>(&self, x: Var<'g>, p: &Scope<'g, '_>) -> Places<'g> {
        let mut places = Places::default();
        let stem = conv(x, p, "conv1", "bn1", self.stem, 7, 2).relu();
        let mut y = stem.max_pool(3, 2, self.pool_pad);
        places.push("stem", stem);
        places.push("maxpool", y);
        for i in 0..4 {
            let name = format!("layer{}", i + 1);
            y = self.stage(y, &p.at(&name), i);
            places.push(name, y);
        }
        let pool = y.global_pool();
        places.push("pool", pool);
        if let Some(logits) = classifier(pool, &p.at("fc")) {
            places.push("logits", logits);
        }
        places
    }

    fn stage<'g>(&self, mut x: Var<'g>, p: &Scope<'g, '_>, i: usize) -> Var<'g> {
        for b in 0..self.depths[i] {
            let stride = if b == 0 && i > 0 { 2 } else { 1 };
            x = self.block(x, &p.at(&b.to_string()), self.planes << i, stride);
        }
        x
    }

    /// One residual block with `planes`.
    pub fn block<'g>(&self, x: Var<'g>, p: &Scope<'g, '_>, planes: usize, stride: usize) -> Var<'g> {
        match self.block {
            Block::Basic => basic(x, p, planes, stride),
            Block::Bottleneck => self.bottleneck(x, p, planes, stride),
        }
    }

    fn bottleneck<'g>(&self, x: Var<'g>, p: &Scope<'g, '_>, planes: usize, stride: usize) -> Var<'g> {
        let (inner, first, middle) =
            if self.stride_first { (self.width * planes, stride, 1) } else { (self.width * planes, 1, stride) };
        let y = conv(x, p, "conv1", "bn1", inner, 1, first).relu();
        let y = conv(y, p, "conv2", "bn2", inner, 3, middle).relu();
        let y = conv(y, p, "conv3", "bn3", 4 * planes, 1, 1);
        (y + shortcut(x, p, 4 * planes, stride)).relu()
    }
}

fn basic<'g>(x: Var<'g>, p: &Scope<'g, '_>, planes: usize, stride: usize) -> Var<'g> {
    let y = conv(x, p, "conv1", "bn1", planes, 3, stride).relu();
    let y = conv(y, p, "conv2", "bn2", planes, 3, 1);
    (y + shortcut(x, p, planes, stride)).relu()
}

/// The input itself, or its projection if size or channels change.
fn shortcut<'g>(x: Var<'g>, p: &Scope<'g, '_>, co: usize, stride: usize) -> Var<'g> {
    if stride == 1 && x.dim(3) == co { x } else { conv(x, p, "downsample.0", "downsample.1", co, 1, stride) }
}

/// A square convolution that keeps the size except for the stride, and its batch norm.
fn conv<'g>(x: Var<'g>, p: &Scope<'g, '_>, name: &str, norm: &str, co: usize, k: usize, stride: usize) -> Var<'g> {
    let y = x.conv2d(p.at(name).param("weight", [co, x.dim(3), k, k]), stride, k / 2);
    batch_norm(y, &p.at(name), &p.at(norm), &NORMS)
}
