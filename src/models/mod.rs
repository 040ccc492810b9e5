//! The networks: functions that build graphs.

pub mod resnet;

use crate::ops::Pad;
use resnet::{Block, ResNet};

/// A network by name.
#[derive(Clone, Copy, Debug)]
pub struct Model {
    /// Its name on the command line.
    pub name: &'static str,
    /// Its architecture.
    pub net: ResNet,
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
    Model { name: "resnet50_thin", net: THIN },
    Model { name: "resnet18", net: torchvision(Block::Basic, [2, 2, 2, 2], 1) },
    Model { name: "resnet34", net: torchvision(Block::Basic, [3, 4, 6, 3], 1) },
    Model { name: "resnet50", net: torchvision(Block::Bottleneck, [3, 4, 6, 3], 1) },
    Model { name: "wide_resnet50_2", net: torchvision(Block::Bottleneck, [3, 4, 6, 3], 2) },
    Model { name: "wide_resnet101_2", net: torchvision(Block::Bottleneck, [3, 4, 23, 3], 2) },
];

/// The network of that name.
pub fn find(name: &str) -> Option<&'static Model> {
    ALL.iter().find(|m| m.name == name)
}
