//! Lupe: a GPU compute engine that looks at pictures of manufactured parts.

pub mod cli;
pub mod data;
pub mod engine;
pub mod error;
pub mod methods;
pub mod models;
pub mod ops;
pub mod tensor;
pub mod weights;

pub use error::{Error, Result};
pub use tensor::{Shape, Tensor};
