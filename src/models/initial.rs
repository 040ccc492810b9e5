//! Weights to begin a training with.

use crate::engine::Named;
use crate::random::draw;
use crate::tensor::{Shape, Tensor};
use std::sync::Arc;

/// Weights of these names and shapes as PyTorch draws them by default: uniform within 1 / sqrt(fan in), biases too; drawn from `stream`, name
/// and place.
pub fn initial(asked: &[(String, Shape)], stream: &str) -> Named {
    let fan_in = |shape: Shape| shape.dims().iter().skip(1).product::<usize>();
    let of = |(name, shape): &(String, Shape)| {
        // A bias has the fan in of its weight, which was asked for before it.
        let weight = name.strip_suffix("bias").map(|path| format!("{path}weight"));
        let like = weight.and_then(|w| asked.iter().find(|(name, _)| *name == w)).map_or(*shape, |w| w.1);
        let bound = 1.0 / (fan_in(like).max(1) as f64).sqrt();
        let stream = format!("{stream}.{name}");
        let unit = |i: usize| (draw(&stream, i as u64) >> 40) as f64 * 2f64.powi(-23) - 1.0;
        (name.clone(), Arc::new(Tensor::from_fn(*shape, |i| (bound * unit(i)) as f32)))
    };
    asked.iter().map(of).collect()
}
