//! EfficientNet-Lite (Google 2020): EfficientNet (Tan and Le 2019) without squeeze-and-excitation, with ReLU6, and with stem and head of
//! one width. A block is a 1x1 expansion, a depthwise convolution and a 1x1 projection, each with its batch norm, ReLU6 after the first
//! two; where size and channels stay, the input is added.

use super::layers::{batch_norm, classifier};
use super::{Build, Features, Names, Network, Places, Positions};
use crate::data::{ChannelOrder, Preprocess};
use crate::engine::{Scope, Var};
use crate::ops::Pad;
use crate::ops::conv::Window;
use crate::weights::BatchNorms;

/// As published: TensorFlow's epsilon, and the names that its ports to PyTorch gave.
pub const NORMS: BatchNorms = BatchNorms { eps: 1e-3, follows };

/// Prefix of the names of the classifier's weights.
const HEAD: &[&str] = &["_fc."];

/// Channels of the first convolution.
const STEM: usize = 32;

/// Channels of the last convolution.
const LAST: usize = 1280;

/// The edge beyond the centre crop that publishers cut off.
const MARGIN: usize = 32;

/// What patch vectors are made of: the first and the last block at 1/8 of the picture's size, and the last one of 112 channels (Lite0) at
/// 1/16. Of what shares one grid these do best (hazelnut, seeds 0 to 2, pixel AUROC and AP: .990 and .73; without block3
/// .988 and .69; block10 alone .979 and .53; with block2, whose grid has four times the places: .991 and .75).
const LITE0_LAYERS: &[&str] = &["block3", "block4", "block10"];
const LITE1_LAYERS: &[&str] = &["block4", "block6", "block14"];
const LITE3_LAYERS: &[&str] = &["block4", "block6", "block16"];
const LITE4_LAYERS: &[&str] = &["block5", "block8", "block20"];

/// Blocks of the same kind, one after the other.
struct Stage {
    repeats: usize,
    kernel: usize,
    /// Of the first block; the others keep the size.
    stride: usize,
    /// Channels between expansion and projection, as a multiple of the block's input.
    expansion: usize,
    channels: usize,
}

const fn stage([repeats, kernel, stride, expansion, channels]: [usize; 5]) -> Stage {
    Stage { repeats, kernel, stride, expansion, channels }
}

/// Lite0; the others are scaled from it.
const STAGES: [Stage; 7] = [
    stage([1, 3, 1, 1, 16]),
    stage([2, 3, 2, 6, 24]),
    stage([2, 5, 2, 6, 40]),
    stage([3, 3, 2, 6, 80]),
    stage([3, 5, 1, 6, 112]),
    stage([4, 5, 2, 6, 192]),
    stage([1, 3, 1, 6, 320]),
];

/// One member of the family.
#[derive(Clone, Copy, Debug)]
pub struct Lite {
    /// Channels, as a multiple of Lite0's.
    pub width: f64,
    /// Repeats of a stage, as a multiple of Lite0's; first and last stage have one block in all of them.
    pub depth: f64,
}

/// The published one.
pub const LITE0: Lite = Lite { width: 1.0, depth: 1.0 };
/// The published one.
pub const LITE1: Lite = Lite { width: 1.0, depth: 1.1 };
/// The published one.
pub const LITE2: Lite = Lite { width: 1.1, depth: 1.2 };
/// The published one.
pub const LITE3: Lite = Lite { width: 1.2, depth: 1.4 };
/// The published one.
pub const LITE4: Lite = Lite { width: 1.4, depth: 1.8 };

/// The EfficientNets that can be named.
pub const NETWORKS: [Network; 5] = [
    named("efficientnet_lite0", 224, LITE0_LAYERS, |x, p, _| LITE0.places(x, p)),
    named("efficientnet_lite1", 240, LITE1_LAYERS, |x, p, _| LITE1.places(x, p)),
    named("efficientnet_lite2", 260, LITE1_LAYERS, |x, p, _| LITE2.places(x, p)),
    named("efficientnet_lite3", 280, LITE3_LAYERS, |x, p, _| LITE3.places(x, p)),
    named("efficientnet_lite4", 300, LITE4_LAYERS, |x, p, _| LITE4.places(x, p)),
];

const fn named(name: &'static str, size: usize, layers: &'static [&'static str], builder: Build) -> Network {
    let preprocess = Preprocess {
        order: ChannelOrder::Rgb,
        divisor: 1.0,
        mean: [127.0; 3],
        std: [128.0; 3],
        ..Preprocess::imagenet(size + MARGIN, size)
    };
    Network {
        name,
        preprocess,
        head: HEAD,
        norms: NORMS,
        features: Features { layers, dim: None },
        vector: "pool",
        multiple: 1,
        least: 1,
        positions: Positions::Offset,
        names: Names::OWN,
        builder,
    }
}

/// Path of the convolution before a batch norm: at the top there are two, in a block up to three.
fn follows(norm: &str) -> Option<String> {
    let (block, last) = norm.rsplit_once('.').map_or((None, norm), |(path, last)| (Some(path), last));
    let conv = match (block, last) {
        (None, "_bn0") => "_conv_stem",
        (None, "_bn1") => "_conv_head",
        (Some(_), "_bn0") => "_expand_conv",
        (Some(_), "_bn1") => "_depthwise_conv",
        (Some(_), "_bn2") => "_project_conv",
        _ => return None,
    };
    Some(block.map_or(conv.into(), |path| format!("{path}.{conv}")))
}

impl Lite {
    /// Channels of a stage: multiples of 8, at least nine tenths of what they are scaled to.
    fn channels(&self, stage: &Stage) -> usize {
        let wanted = self.width * stage.channels as f64;
        let near = ((wanted + 4.0) as usize / 8 * 8).max(8);
        if (near as f64) < 0.9 * wanted { near + 8 } else { near }
    }

    fn repeats(&self, i: usize) -> usize {
        let scaled = (self.depth * STAGES[i].repeats as f64).ceil() as usize;
        if i == 0 || i + 1 == STAGES.len() { STAGES[i].repeats } else { scaled }
    }

    /// The network for pictures `x` `[n, h, w, 3]`, preprocessed. `block0`, `block1`, … `[n, h, w, c]` are the blocks, after their
    /// residuals; `head` `[n, h/32, w/32, 1280]` is the last convolution, `pool` `[n, 1280]` its mean; `logits` `[n, classes]` are
    /// there if their weights are.
    pub fn places<'g>(&self, x: Var<'g>, p: &Scope<'g, '_>) -> Places<'g> {
        let mut places = Places::default();
        let mut y = conv(x, p, ["_conv_stem", "_bn0"], STEM, [3, 2]).relu6();
        let stages =
            STAGES.iter().enumerate().flat_map(|(i, stage)| (0..self.repeats(i)).map(move |b| (stage, b == 0)));
        for (i, (stage, first)) in stages.enumerate() {
            let stride = if first { stage.stride } else { 1 };
            y = self.block(y, &p.at("_blocks").at(&i.to_string()), stage, stride);
            places.push(format!("block{i}"), y);
        }
        let head = conv(y, p, ["_conv_head", "_bn1"], LAST, [1, 1]).relu6();
        let pool = head.global_pool();
        places.push("head", head);
        places.push("pool", pool);
        if let Some(logits) = classifier(pool, &p.at("_fc")) {
            places.push("logits", logits);
        }
        places
    }

    fn block<'g>(&self, x: Var<'g>, p: &Scope<'g, '_>, stage: &Stage, stride: usize) -> Var<'g> {
        let (inner, channels) = (stage.expansion * x.dim(3), self.channels(stage));
        let y = if stage.expansion == 1 { x } else { conv(x, p, ["_expand_conv", "_bn0"], inner, [1, 1]).relu6() };
        let y = depthwise(y, p, ["_depthwise_conv", "_bn1"], [stage.kernel, stride]).relu6();
        let y = conv(y, p, ["_project_conv", "_bn2"], channels, [1, 1]);
        if stride == 1 && x.dim(3) == channels { y + x } else { y }
    }
}

/// A convolution of `co` channels, and its batch norm.
fn conv<'g>(x: Var<'g>, p: &Scope<'g, '_>, names: [&str; 2], co: usize, [k, stride]: [usize; 2]) -> Var<'g> {
    convolved(x, p, names, [co, x.dim(3), k], stride, 1)
}

/// A convolution of every channel by itself, and its batch norm.
fn depthwise<'g>(x: Var<'g>, p: &Scope<'g, '_>, names: [&str; 2], [k, stride]: [usize; 2]) -> Var<'g> {
    convolved(x, p, names, [x.dim(3), 1, k], stride, x.dim(3))
}

fn convolved<'g>(
    x: Var<'g>,
    p: &Scope<'g, '_>,
    [name, norm]: [&str; 2],
    [co, ci, k]: [usize; 3],
    stride: usize,
    groups: usize,
) -> Var<'g> {
    let weight = p.at(name).param("weight", [co, ci, k, k]);
    let y = x.conv2d_window(weight, Window { stride: [stride; 2], pad: same([x.dim(1), x.dim(2)], k, stride), groups });
    batch_norm(y, &p.at(name), &p.at(norm), &NORMS)
}

/// TensorFlow's SAME for a picture of so many rows and columns: just as much as ⌈size / stride⌉ outputs need, the odd row and column
/// below and to the right.
fn same([h, w]: [usize; 2], k: usize, stride: usize) -> Pad {
    let needed = |size: usize| (size.div_ceil(stride).saturating_sub(1) * stride + k).saturating_sub(size);
    let (high, wide) = (needed(h), needed(w));
    Pad { top: high / 2, left: wide / 2, bottom: high - high / 2, right: wide - wide / 2 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// First and last block of the stage of 40 channels of Lite0, and the last one of that of 112.
    #[test]
    fn layers_are_the_same_stages_of_all_members() {
        for (lite, network) in [LITE0, LITE1, LITE2, LITE3, LITE4].into_iter().zip(NETWORKS) {
            let before = |i: usize| (0..i).map(|i| lite.repeats(i)).sum::<usize>();
            let blocks = [before(2), before(3) - 1, before(5) - 1].map(|i| format!("block{i}"));
            assert_eq!(network.features.layers, blocks, "{}", network.name);
        }
    }
}
