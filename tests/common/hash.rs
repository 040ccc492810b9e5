//! The hash rule by which large reference networks get their weights: FNV-1a 64 of the name, splitmix64 over the index.

use super::vectors::zeros;
use lupe::engine::Named;
use lupe::models::Network;
use lupe::tensor::{Shape, Tensor};
use std::sync::Arc;

pub fn fnv1a64(text: &str) -> u64 {
    text.bytes().fold(0xCBF2_9CE4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01B3))
}

/// z(name, i).
pub fn z(hash: u64, i: u64) -> u64 {
    let z = hash.wrapping_add((i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// f32(offset + scale * x(name, i)), x in [-1, 1).
pub fn tensor(name: &str, shape: impl Into<Shape>, scale: f64, offset: f64) -> Tensor {
    let hash = fnv1a64(name);
    let x = |i: usize| (z(hash, i as u64) >> 40) as f64 * 2f64.powi(-23) - 1.0;
    Tensor::from_fn(shape, |i| (offset + scale * x(i)) as f32)
}

/// A u8 picture [3, h, w]: blocks of 8x8 (weight 3) and noise (weight 1).
pub fn image(name: &str, h: usize, w: usize) -> Tensor {
    let (blocks, noise) = (fnv1a64(&format!("{name}.b")), fnv1a64(&format!("{name}.n")));
    let (bh, bw) = (h.div_ceil(8), w.div_ceil(8));
    Tensor::from_fn([3, h, w], |i| {
        let (c, y, x) = (i / (h * w), i / w % h, i % w);
        let block = z(blocks, ((c * bh + y / 8) * bw + x / 8) as u64) >> 56;
        ((3 * block + (z(noise, i as u64) >> 56)) >> 2) as f32
    })
}

/// /255, then ImageNet's mean and standard deviation.
pub fn normalised(chw: &Tensor) -> Tensor {
    let plane = chw.data.len() / 3;
    let (mean, std) = ([0.485f32, 0.456, 0.406], [0.229f32, 0.224, 0.225]);
    Tensor::from_fn(chw.shape, |i| (chw.data[i] / 255.0 - mean[i / plane]) / std[i / plane])
}

/// Every weight of a network, unfolded, each by `rule(key, shape)`.
fn unfolded(network: &Network, rule: impl Fn(&str, Shape) -> Tensor) -> Named {
    let mut named = Named::new();
    let mut put = |key: String, shape: Shape| drop(named.insert(key.clone(), Arc::new(rule(&key, shape))));
    for (key, t) in zeros(network) {
        if key.starts_with("fc.") {
            put(key, t.shape);
        } else if let Some(conv) = key.strip_suffix(".weight") {
            let norm = match conv.strip_suffix("downsample.0") {
                Some(path) => format!("{path}downsample.1"),
                None => conv.replace("conv", "bn"),
            };
            for part in ["weight", "bias", "running_mean", "running_var"] {
                put(format!("{norm}.{part}"), Shape::from([t.shape.dim(0)]));
            }
            put(key, t.shape);
        }
    }
    named
}

fn fan_in(shape: Shape) -> f64 {
    shape.dims()[1..].iter().product::<usize>() as f64
}

/// The rule of `full_models_hash_weights`.
pub fn full(network: &Network) -> Named {
    unfolded(network, |key, shape| match key.rsplit('.').next() {
        Some("running_mean") => tensor(key, shape, 0.1, 0.0),
        Some("running_var") => tensor(key, shape, 0.5, 1.0),
        Some("weight") if shape.rank() == 1 => tensor(key, shape, 0.25, 1.0),
        _ if shape.rank() == 1 => tensor(key, shape, 0.1, 0.0),
        _ => tensor(key, shape, (6.0 / fan_in(shape)).sqrt(), 0.0),
    })
}

/// The rule of `ad/backbones`: hashed under `name.key`.
pub fn backbone(name: &str, network: &Network) -> Named {
    unfolded(network, |key, shape| {
        let full = format!("{name}.{key}");
        match key.rsplit('.').next() {
            Some("running_var") => tensor(&full, shape, 0.5, 1.0),
            Some("running_mean" | "bias") => tensor(&full, shape, 0.1, 0.0),
            _ if shape.rank() == 1 => tensor(&full, shape, 0.2, 0.5),
            _ => tensor(&full, shape, (6.0 / fan_in(shape)).sqrt(), 0.0),
        }
    })
}

/// The values that the vectors' README gives for checking.
pub fn self_test() {
    assert_eq!(fnv1a64("a"), 0xAF63_DC4C_8601_EC8C);
    assert_eq!(fnv1a64("resize.img.b"), 0xA4E9_7FAF_3693_47AC);
    assert_eq!(z(fnv1a64("bilinear.x"), 0), 0x939c_b48c_65ca_2692);
    assert_eq!(tensor("a", [3], 1.0, 0.0).data, [-0.256_538_15, 0.996_244_55, 0.984_213]);
    assert_eq!(image("resize.img", 48, 64).data[..6], [237.0, 199.0, 182.0, 233.0, 181.0, 200.0]);
}
