//! Lupe looks at pictures of manufactured parts: a GPU compute engine written by hand in Rust and WGSL.
//!
//! A model is a function that builds a graph. A graph node is one dispatch. A dispatch is data. A plan is a list of them.
//!
//! ```
//! use lupe::engine::Graph;
//! use lupe::tensor::Tensor;
//!
//! // Nothing runs while a graph is built; `eval` is the reference on the CPU, `Plan` the same on a GPU.
//! let graph = Graph::new();
//! let x = graph.input("x", [1, 3]);
//! let y = (x + x).relu();
//! let out = graph.eval(&[y], &[&Tensor::new([1, 3], vec![-1.0, 0.0, 2.0])])?;
//! assert_eq!(out[0].data, [0.0, 0.0, 4.0]);
//! # Ok::<(), lupe::Error>(())
//! ```
//!
//! - [`engine`]: the spine. Graph, kernels as data, planning, replay.
//! - [`ops`]: one file or folder per op: meaning, kernels, cases.
//! - [`models`]: networks as functions that read like the papers.
//! - [`train`]: steps of a graph whose weights follow their gradients.
//! - [`study`]: few-shot learners beside detectors on somebody's folders.
//! - [`methods`]: what is done with them. [`weights`] and [`data`] bring in files. [`cli`] is the only place that prints.

#[deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
pub mod cli;
#[deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
pub mod data;
pub mod engine;
pub mod error;
pub mod files;
mod lock;
pub mod manifest;
pub mod measure;
pub mod memory;
pub mod methods;
pub mod models;
pub mod ops;
pub mod outputs;
pub mod random;
#[deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
pub mod report;
#[deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
pub mod study;
pub mod tensor;
#[deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
pub mod train;
pub mod watch;
#[deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
pub mod weights;

pub use error::{Error, Result};
pub use tensor::{Shape, Tensor};
