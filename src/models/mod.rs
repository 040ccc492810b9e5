//! The networks: functions that build graphs.

pub mod resnet;

use crate::data::{ChannelOrder, Preprocess};
use crate::ops::Pad;
use resnet::{Block, ResNet};

/// A network by name.
#[derive(Clone, Copy, Debug)]
pub struct Model {
    /// Its name on the command line.
    pub name: &'static str,
    /// Its architecture.
    pub net: ResNet,
    /// What its pictures go through.
    pub preprocess: Preprocess,
}

/// As torchvision's first weights want it: shorter edge 256, centre crop 224.
const IMAGENET: Preprocess = Preprocess::imagenet(256, 224);

/// As open_nsfw wants it: blue first, 0 to 255, less the means.
const THIN_INPUT: Preprocess =
    Preprocess { order: ChannelOrder::Bgr, divisor: 1.0, mean: [104.0, 117.0, 123.0], std: [1.0; 3], ..IMAGENET };

const fn model(name: &'static str, net: ResNet) -> Model {
    Model { name, net, preprocess: IMAGENET }
}

const fn pad(right: usize, left: usize) -> Pad {
    Pad { top: left, left, bottom: right, right }
}

const fn torchvision(block: Block, depths: [usize; 4], width: usize) -> ResNet {
    ResNet { block, depths, stem: 64, planes: 64, width, stride_first: false, pool_pad: pad(1, 1) }
}

/// Half the width of ResNet-50; strides in the first 1x1, a max pool that pads on the right and at the bottom only.
const THIN: ResNet = ResNet {
    block: Block::Bottleneck,
    depths: [3, 4, 6, 3],
    stem: 64,
    planes: 32,
    width: 1,
    stride_first: true,
    pool_pad: pad(1, 0),
};

/// Every network there is; the first is the one whose weights are built in.
pub const ALL: [Model; 6] = [
    Model { name: "resnet50_thin", net: THIN, preprocess: THIN_INPUT },
    model("resnet18", torchvision(Block::Basic, [2, 2, 2, 2], 1)),
    model("resnet34", torchvision(Block::Basic, [3, 4, 6, 3], 1)),
    model("resnet50", torchvision(Block::Bottleneck, [3, 4, 6, 3], 1)),
    model("wide_resnet50_2", torchvision(Block::Bottleneck, [3, 4, 6, 3], 2)),
    model("wide_resnet101_2", torchvision(Block::Bottleneck, [3, 4, 23, 3], 2)),
];

/// The network whose weights are built in.
pub const EMBEDDED: &Model = &ALL[0];

/// The network of that name.
pub fn find(name: &str) -> Option<&'static Model> {
    ALL.iter().find(|m| m.name == name)
}
