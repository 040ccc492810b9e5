//! Convolution of every channel by itself, with every number of channels from 1 to 97, against its reference on the device.

use crate::common::program::no_gpu;
use crate::common::sweep::{full, gpu};
use lupe::engine::verify::verify;
use lupe::engine::{Choices, Graph, Options, Plan, Store};
use lupe::ops::Pad;
use lupe::ops::conv::Window;
use lupe::random;
use lupe::tensor::{Shape, Tensor};
use std::collections::BTreeSet;

/// What labels of candidates begin with: every kernel for one channel and for many.
const KERNELS: [&str; 6] = [
    "depthwise_blocks r1u",
    "depthwise_blocks r2u",
    "depthwise_blocks r4u",
    "depthwise c1u",
    "depthwise c2u",
    "depthwise c4u",
];

fn noise(shape: impl Into<Shape>, seed: u64) -> Tensor {
    Tensor::from_fn(shape, |i| (random::at(seed, i as u64) >> 40) as f32 / (1u64 << 23) as f32 - 1.0)
}

/// TensorFlow's SAME for a picture of this size: lopsided where stride and size want it.
fn same([h, w]: [usize; 2], k: usize, stride: usize) -> Pad {
    let needed = |size: usize| ((size.div_ceil(stride) - 1) * stride + k).saturating_sub(size);
    let (high, wide) = (needed(h), needed(w));
    Pad { top: high / 2, left: wide / 2, bottom: high - high / 2, right: wide - wide / 2 }
}

/// One convolution with bias and ReLU6 by the first candidate whose label begins so; the kernel that ran.
fn check(c: usize, [k, stride]: [usize; 2], size: [usize; 2], kernel: &str) -> String {
    let graph = Graph::new();
    let x = noise([2, size[0], size[1], c], 1);
    let weight = graph.weight("weight", noise([c, 1, k, k], 2).into());
    let bias = graph.weight("bias", noise([c], 3).into());
    let window = Window { stride: [stride; 2], pad: same(size, k, stride), groups: c };
    let y = ((graph.input("x", x.shape).conv2d_window(weight, window) + bias).affine(4.0, 0.0)).relu6();
    let options = Options { choices: Choices::Named(kernel.into()), ..Options::default() };
    let (outputs, store) = ([y], Store::new());
    let plan = pollster::block_on(Plan::new(gpu(), &graph, &outputs, &store, options.clone())).unwrap();
    let ran = plan.facts().map(|f| f.kernel.clone()).find(|label| label.starts_with(kernel)).unwrap_or_default();
    let found = pollster::block_on(verify(gpu(), &graph, &outputs, &[&x], options, &mut |_, _| true)).unwrap();
    assert!(found.is_none(), "{c} channels, {k}x{k} by {stride}, {size:?}, {kernel}: {found:?}");
    ran
}

#[test]
fn every_number_of_channels() {
    if no_gpu() {
        return;
    }
    let windows = [[3, 1], [3, 2], [5, 1], [5, 2]];
    let mut ran = BTreeSet::new();
    for c in 1..=97 {
        // The long run has every window with every number of channels.
        let chosen = if full() { &windows[..] } else { &windows[c % 4..][..1] };
        for &window in chosen {
            for kernel in KERNELS {
                ran.insert(check(c, window, [5 + c % 7, 6 + c % 5], kernel));
            }
        }
    }
    for kernel in KERNELS {
        for wide in [true, false] {
            let found = ran.iter().any(|r| r.starts_with(kernel) && r.contains(" tvec4f") == wide);
            assert!(found, "{kernel}, four channels at a time: {wide}, never ran: {ran:#?}");
        }
    }
}
