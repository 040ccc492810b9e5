//! EfficientNet-Lite (Google 2020): EfficientNet (Tan and Le 2019) without squeeze-and-excitation, with ReLU6, and with stem and head of
//! one width. A block is a 1x1 expansion, a depthwise convolution and a 1x1 projection, each with its batch norm, ReLU6 after the first
//! two; where size and channels stay, the input is added.

use super::layers::{batch_norm, classifier};
use super::{Build, Features, Network, Places};
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

/// The stages, counted from 0, whose last blocks patch vectors are made of.
const TAKEN: &[usize] = &[2, 4];

/// The blocks with which the stages end, by member.
const LITE0_ENDS: Ends = ["block0", "block2", "block4", "block7", "block10", "block14", "block15"];
const LITE1_ENDS: Ends = ["block0", "block3", "block6", "block10", "block14", "block19", "block20"];
const LITE3_ENDS: Ends = ["block0", "block3", "block6", "block11", "block16", "block22", "block23"];
const LITE4_ENDS: Ends = ["block0", "block4", "block8", "block14", "block20", "block28", "block29"];

/// Names of blocks, one for each stage.
type Ends = [&'static str; 7];

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
    named("efficientnet_lite0", 224, &taken(LITE0_ENDS), |x, p| LITE0.places(x, p)),
    named("efficientnet_lite1", 240, &taken(LITE1_ENDS), |x, p| LITE1.places(x, p)),
    named("efficientnet_lite2", 260, &taken(LITE1_ENDS), |x, p| LITE2.places(x, p)),
    named("efficientnet_lite3", 280, &taken(LITE3_ENDS), |x, p| LITE3.places(x, p)),
    named("efficientnet_lite4", 300, &taken(LITE4_ENDS), |x, p| LITE4.places(x, p)),
];

const fn named(name: &'static str, size: usize, layers: &'static [&'static str], build: Build) -> Network {
    let preprocess = Preprocess {
        order: ChannelOrder::Rgb,
        divisor: 1.0,
        mean: [127.0; 3],
        std: [128.0; 3],
        ..Preprocess::imagenet(size + MARGIN, size)
    };
    Network { name, preprocess, head: HEAD, norms: NORMS, features: Features { layers, dim: None }, build }
}

const fn taken(ends: Ends) -> [&'static str; TAKEN.len()] {
    let (mut layers, mut i) = ([""; TAKEN.len()], 0);
    while i < layers.len() {
        layers[i] = ends[TAKEN[i]];
        i += 1;
    }
    layers
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

    #[test]
    fn stages_end_where_the_members_say() {
        let members = [(LITE0, LITE0_ENDS), (LITE1, LITE1_ENDS), (LITE2, LITE1_ENDS), (LITE3, LITE3_ENDS)];
        for (lite, ends) in members.into_iter().chain([(LITE4, LITE4_ENDS)]) {
            let mut blocks = 0;
            let counted = ends.iter().enumerate().map(|(i, _)| {
                blocks += lite.repeats(i);
                format!("block{}", blocks - 1)
            });
            assert!(counted.eq(ends.iter().map(|end| end.to_string())), "{lite:?}: {ends:?}");
        }
    }
}
