//! Kernels, plans, gradients and the software driver, each below any method.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/wgsl/mod.rs"]
mod wgsl;

use common::{caps, skip};

mod attention_dx;
mod bench_ops;
mod depthwise;
mod driver;
mod gradients;
mod knn;
mod plan;
mod quantiles;
mod random_gradients;
mod recompute;
mod runs;
mod shaders;
mod vectors_ad;
mod vectors_grad;
mod vectors_ops;
mod views;
mod width;
mod workgroups;
