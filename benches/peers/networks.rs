//! The networks that Lupe and its peers run; `networks.py` describes the same ones layer by layer, and their outputs are compared.

use crate::training;
use lupe::engine::{Scope, Var};
use lupe::models::{Places, find};

/// One network: what goes in, and what is made of it.
pub struct Network {
    pub name: &'static str,
    /// `[n, h, w, c]`.
    pub input: [usize; 4],
    pub build: for<'g, 'w> fn(Var<'g>, &Scope<'g, 'w>) -> Vec<Var<'g>>,
}

pub const ALL: [Network; 15] = [
    Network { name: "resnet18_b1", input: [1, 224, 224, 3], build: |x, p| whole("resnet18", x, p) },
    Network { name: "resnet18_b8", input: [8, 224, 224, 3], build: |x, p| whole("resnet18", x, p) },
    Network { name: "resnet50_b4", input: [4, 224, 224, 3], build: |x, p| whole("resnet50", x, p) },
    Network { name: "wide_resnet50_2", input: [1, 224, 224, 3], build: |x, p| whole("wide_resnet50_2", x, p) },
    Network { name: "wide_resnet50_2_layer3", input: [1, 224, 224, 3], build: layers_2_and_3 },
    Network { name: "efficientnet_lite0_b1", input: [1, 224, 224, 3], build: |x, p| whole("efficientnet_lite0", x, p) },
    Network { name: "efficientnet_lite0_b8", input: [8, 224, 224, 3], build: |x, p| whole("efficientnet_lite0", x, p) },
    Network { name: "vit_s16_b1", input: [1, 224, 224, 3], build: class_token },
    Network { name: "vit_s14_448", input: [1, 448, 448, 3], build: patch_tokens },
    Network { name: "pdn_s", input: [1, 256, 256, 3], build: pdn_s },
    Network { name: "efficientad_s_b1", input: [1, 256, 256, 3], build: efficientad_s },
    Network { name: "conv64", input: [1, 56, 56, 64], build: one_layer },
    Network { name: "conv128", input: [1, 28, 28, 128], build: one_layer },
    Network { name: "conv256", input: [1, 14, 14, 256], build: one_layer },
    Network { name: "conv512", input: [1, 7, 7, 512], build: one_layer },
];

fn features<'g>(name: &str, x: Var<'g>, p: &Scope<'g, '_>) -> Places<'g> {
    find(name).expect("a network's name").build(x, p)
}

/// Picture to logits.
fn whole<'g>(name: &str, x: Var<'g>, p: &Scope<'g, '_>) -> Vec<Var<'g>> {
    features(name, x, p).get("logits").into_iter().collect()
}

/// What PatchCore takes from its backbone.
fn layers_2_and_3<'g>(x: Var<'g>, p: &Scope<'g, '_>) -> Vec<Var<'g>> {
    let places = features("wide_resnet50_2", x, p);
    ["layer2", "layer3"].into_iter().filter_map(|name| places.get(name)).collect()
}

/// DINO's ViT-S/16, picture to the class token after the last norm.
fn class_token<'g>(x: Var<'g>, p: &Scope<'g, '_>) -> Vec<Var<'g>> {
    features("dino_vits16", x, p).get("cls").into_iter().collect()
}

/// DINOv2's ViT-S/14, picture to the patches after the last norm, as `[n, patches, values]`: an order that all systems share.
fn patch_tokens<'g>(x: Var<'g>, p: &Scope<'g, '_>) -> Vec<Var<'g>> {
    let map = features("dinov2_vits14", x, p).get("tokens");
    map.map(|t| t.reshape([t.dim(0), t.dim(1) * t.dim(2), t.dim(3)])).into_iter().collect()
}

/// EfficientAD's small patch description network, without padding: 256x256 to 56x56x384.
fn pdn_s<'g>(x: Var<'g>, p: &Scope<'g, '_>) -> Vec<Var<'g>> {
    let y = conv(x, &p.at("conv1"), 128, 4, 0).relu().avg_pool(2, 2, 0, true);
    let y = conv(y, &p.at("conv2"), 256, 4, 0).relu().avg_pool(2, 2, 0, true);
    let y = conv(y, &p.at("conv3"), 256, 3, 0).relu();
    vec![conv(y, &p.at("conv4"), 384, 4, 0)]
}

/// All three networks of EfficientAD-S, picture to its two maps.
fn efficientad_s<'g>(x: Var<'g>, p: &Scope<'g, '_>) -> Vec<Var<'g>> {
    let maps = training::networks().maps(x, p);
    vec![maps.student, maps.autoencoder]
}

/// The 3x3 convolution that a ResNet's stage consists of.
fn one_layer<'g>(x: Var<'g>, p: &Scope<'g, '_>) -> Vec<Var<'g>> {
    vec![conv(x, &p.at("conv"), x.dim(3), 3, 1).relu()]
}

fn conv<'g>(x: Var<'g>, p: &Scope<'g, '_>, co: usize, k: usize, pad: usize) -> Var<'g> {
    x.conv2d(p.param("weight", [co, x.dim(3), k, k]), 1, pad) + p.param("bias", [co])
}
