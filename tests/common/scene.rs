//! The scene of EfficientAD's recorded steps: networks, weights, pictures and masks by the hash rule of the vectors.
#![allow(dead_code)]

use super::hash;
use super::pdn::{hashed, weights as pdn_weights};
use super::vectors::{Vectors, nhwc};
use lupe::engine::{Named, Var};
use lupe::methods::efficientad::step::Step;
use lupe::methods::efficientad::{Networks, Statistics};
use lupe::models::autoencoder::Autoencoder;
use lupe::models::pdn::{Pdn, SMALL};
use lupe::tensor::Tensor;
use std::sync::Arc;

/// A hashed picture of `size` pixels a side, as networks see it.
pub fn picture(name: &str, size: usize) -> Tensor {
    nhwc(&hash::normalised(&hash::image(name, size, size)).reshape([1, 3, size, size]))
}

/// The networks of a step, their weights, and the pictures that it looks at.
pub struct Scene {
    pub step: Step,
    pub named: Named,
    pub pictures: Tensor,
    pub statistics: Statistics,
    /// The teacher's weights as they are.
    pub unscaled: Named,
}

impl Scene {
    pub fn new(prefix: &str, networks: Networks, statistics: Statistics) -> Scene {
        let teacher = pdn_weights(&format!("{prefix}.teacher."), networks.teacher);
        let mut named = networks.normalised(&teacher, &statistics);
        let rest = hashed(&format!("{prefix}."), |x, p| {
            networks.student().map(x, &p.at("student"));
            networks.autoencoder.map(x, &p.at("ae"), &|_, y| y);
        });
        named.extend(rest);
        networks.check(&named, "the vectors' networks").unwrap();
        let unscaled = teacher.iter().map(|(name, t)| (format!("unscaled.{name}"), t.clone())).collect();
        let img = hash::image("toy.img", 256, 256);
        let brighter = Tensor::from_fn(img.shape, |i| (1.1 * img.data[i] / 255.0).clamp(0.0, 1.0) * 255.0);
        let changed = nhwc(&hash::normalised(&brighter).reshape([1, 3, 256, 256]));
        let all = [picture("toy.pen", 256), picture("toy.img", 256), changed];
        let pictures = Tensor::new([3, 256, 256, 3], all.into_iter().flat_map(|t| t.data).collect());
        Scene { step: Step { networks, batch: 1, penalty: true }, named, pictures, statistics, unscaled }
    }
}

pub fn numbers(v: &Vectors, name: &str) -> Vec<f64> {
    v.get(name).data.iter().map(|v| f64::from(*v)).collect()
}

pub fn toy() -> Networks {
    let teacher = Pdn { widths: [8, 16, 16, 0], outputs: 12, ..SMALL };
    Networks {
        teacher,
        autoencoder: Autoencoder { encoder: [4, 4, 8, 8, 8, 8], decoder: 8, outputs: 12, padded: false },
    }
}

pub fn toy_scene(v: &Vectors) -> Scene {
    let statistics = Statistics { mean: numbers(v, "teacher_mean"), std: numbers(v, "teacher_std") };
    Scene::new("toy", toy(), statistics)
}

/// The vectors' mask of dropout for what layer `i` of the decoder gives.
pub fn mask(i: usize, y: Var<'_>) -> Var<'_> {
    let side = y.dim(1);
    let drawn = nhwc(&hash::tensor(&format!("toy.drop{}", i + 1), [1, 8, side, side], 0.5, 0.5));
    let kept = drawn.data.iter().map(|v| if *v >= 0.2 { 1.25 } else { 0.0 }).collect();
    y.graph().weight(&format!("mask.{i}"), Arc::new(Tensor::new(drawn.shape, kept)))
}
