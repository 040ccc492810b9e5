//! Pictures: read safely, brought to a network's size exactly as Pillow does, and those that ship with Lupe.

pub mod dataset;
pub mod demo;
mod mask;
mod picture;
mod preprocess;
pub mod render;
mod resize;

pub use mask::Mask;
pub use picture::{Limits, Picture};
pub use preprocess::{ChannelOrder, Preprocess, Scaling};
pub use resize::{Filter, resize};
