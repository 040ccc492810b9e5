//! The vision transformers that can be named, with the attributes that their publishers trained them with.

use super::{Head, Mlp, NAMES, Vit};
use crate::data::{Filter, Preprocess};
use crate::models::{Build, Features, Network, Positions};
use crate::weights::BatchNorms;

/// DINO's ViT-S/16; DeiT-S has the same shape.
pub const DINO_S16: Vit = Vit {
    patch: 16,
    width: 384,
    depth: 12,
    heads: 6,
    mlp: Mlp::Gelu(1536),
    eps: 1e-6,
    grid: 14,
    patch_bias: true,
    norm_pre: false,
    registers: 0,
    layer_scale: false,
    head: Head::None,
};
/// DINO's ViT-B/16; DeiT-B has the same shape.
pub const DINO_B16: Vit = Vit { width: 768, heads: 12, mlp: Mlp::Gelu(3072), ..DINO_S16 };
/// DeiT-S/16, which classifies.
pub const DEIT_S16: Vit = Vit { head: Head::Classifier, ..DINO_S16 };
/// DeiT-B/16, which classifies.
pub const DEIT_B16: Vit = Vit { head: Head::Classifier, ..DINO_B16 };
/// DINOv2's ViT-S/14, trained at 518 pixels.
pub const DINOV2_S14: Vit = Vit { patch: 14, grid: 37, layer_scale: true, ..DINO_S16 };
/// DINOv2's ViT-B/14.
pub const DINOV2_B14: Vit = Vit { width: 768, heads: 12, mlp: Mlp::Gelu(3072), ..DINOV2_S14 };
/// DINOv2's ViT-L/14.
pub const DINOV2_L14: Vit = Vit { width: 1024, depth: 24, heads: 16, mlp: Mlp::Gelu(4096), ..DINOV2_S14 };
/// A ViT-S/14 of DINOv2's shape whose positions were brought to the grid of 224 pixels.
pub const FOCUS_S14: Vit = Vit { grid: 16, ..DINOV2_S14 };
/// CLIP's picture tower with the exact GELU and without its projection, as timm and CAML have it.
pub const CLIP_B16: Vit = Vit { eps: 1e-5, patch_bias: false, norm_pre: true, ..DINO_B16 };
/// CLIP's picture tower as it was trained: QuickGELU, projected.
pub const CLIP_B16_QUICK: Vit = Vit { mlp: Mlp::QuickGelu(3072), head: Head::Projection(512), ..CLIP_B16 };
/// LAION's ViT-H/14.
pub const CLIP_H14: Vit =
    Vit { patch: 14, width: 1280, depth: 32, heads: 16, mlp: Mlp::Gelu(5120), grid: 16, ..CLIP_B16 };

const fn registers(vit: Vit) -> Vit {
    Vit { registers: 4, ..vit }
}

/// Shorter edge `resize`, centre crop of 224.
const fn imagenet(resize: usize) -> Preprocess {
    Preprocess { filter: Filter::Bicubic, ..Preprocess::imagenet(resize, 224) }
}

const fn clip(resize: usize) -> Preprocess {
    Preprocess {
        mean: [0.481_454_66, 0.457_827_5, 0.408_210_73],
        std: [0.268_629_54, 0.261_302_6, 0.275_777_1],
        ..imagenet(resize)
    }
}

/// A vision transformer has no batch norms.
const NORMS: BatchNorms = BatchNorms::NONE;

/// What patch vectors are made of: the outputs of the blocks after one half and three quarters of the depth, whose patches still tell
/// where they are and already what they show; a middle pair is the counterpart of the two middle stages that PatchCore takes of a ResNet.
const MIDDLE_OF_12: &[&str] = &["block6", "block9"];
const MIDDLE_OF_24: &[&str] = &["block12", "block18"];
const MIDDLE_OF_32: &[&str] = &["block16", "block24"];

const fn named(name: &'static str, vit: &Vit, preprocess: Preprocess, positions: Positions, builder: Build) -> Network {
    let layers = match vit.depth {
        12 => MIDDLE_OF_12,
        24 => MIDDLE_OF_24,
        _ => MIDDLE_OF_32,
    };
    Network {
        name,
        preprocess,
        head: &["head."],
        norms: NORMS,
        features: Features { layers, dim: None },
        vector: "cls",
        multiple: vit.patch,
        least: 1,
        positions,
        names: NAMES,
        builder,
    }
}

/// `network!(name, attributes, preprocessing, positions)`.
macro_rules! network {
    ($name:literal, $vit:expr, $preprocess:expr, $positions:ident) => {
        named($name, &$vit, $preprocess, Positions::$positions, |x, p, how| {
            const VIT: Vit = $vit;
            VIT.places(x, p, how)
        })
    };
}

/// The vision transformers that can be named.
pub const NETWORKS: [Network; 14] = [
    network!("dino_vits16", DINO_S16, imagenet(256), Offset),
    network!("dino_vitb16", DINO_B16, imagenet(256), Offset),
    network!("deit_small_patch16_224", DEIT_S16, imagenet(256), SizeAntialiased),
    network!("deit_base_patch16_224", DEIT_B16, imagenet(256), SizeAntialiased),
    network!("dinov2_vits14", DINOV2_S14, imagenet(256), Offset),
    network!("dinov2_vitb14", DINOV2_B14, imagenet(256), Offset),
    network!("dinov2_vitl14", DINOV2_L14, imagenet(256), Offset),
    network!("dinov2_vits14_reg", registers(DINOV2_S14), imagenet(256), SizeAntialiased),
    network!("dinov2_vitb14_reg", registers(DINOV2_B14), imagenet(256), SizeAntialiased),
    network!("dinov2_vitl14_reg", registers(DINOV2_L14), imagenet(256), SizeAntialiased),
    network!("clip_vitb16", CLIP_B16_QUICK, clip(224), SizeAntialiased),
    network!("vit_base_patch16_clip_224", CLIP_B16, clip(248), SizeAntialiased),
    network!("vit_huge_patch14_clip_224", CLIP_H14, clip(224), SizeAntialiased),
    network!("vit_s14_focus", FOCUS_S14, imagenet(256), Offset),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Graph, Named, Scope};

    /// Weights without the head, as publishers and their programs count them; DINOv2's have one mask token less here.
    #[test]
    fn as_many_parameters_as_published() {
        let counts = [
            ("dino_vits16", 21_665_664),
            ("dino_vitb16", 85_798_656),
            ("deit_small_patch16_224", 21_665_664),
            ("vit_base_patch16_clip_224", 85_799_424),
            ("clip_vitb16", 85_799_424),
            ("vit_huge_patch14_clip_224", 630_766_080),
        ];
        for (name, count) in counts {
            let network = NETWORKS.iter().find(|n| n.name == name).unwrap();
            let (graph, none) = (Graph::new(), Named::new());
            network.build(graph.input("x", [1, 224, 224, 3]), &Scope::new(&graph, &none));
            let own = |p: &crate::engine::Problem| match p {
                crate::engine::Problem::Missing { name, wanted } if !name.starts_with("head.") => wanted.len(),
                _ => 0,
            };
            let problems = graph.requested().problems(&none, &[]);
            assert_eq!(problems.iter().map(own).sum::<usize>(), count, "{name}");
            graph.nodes().unwrap();
        }
    }
}
