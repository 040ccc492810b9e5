//! Pictures: read safely, brought to a network's size exactly as Pillow or PyTorch does, and those that ship with Lupe.

pub mod dataset;
mod decode;
pub mod demo;
mod jpeg;
mod mask;
mod picture;
mod preprocess;
pub mod render;
mod resize;

pub use mask::Mask;
pub use picture::{Limits, Picture, Samples};
pub use preprocess::{ChannelOrder, Preprocess, Resampling, Scaling};
pub use resize::{Filter, resize};
