//! Pictures: read safely, brought to a network's size exactly as Pillow does, and those that ship with Lupe.

pub mod demo;
mod picture;
mod preprocess;
pub mod render;
mod resize;

pub use picture::{Limits, Picture};
pub use preprocess::{ChannelOrder, Preprocess, Scaling};
pub use resize::{Filter, resize};
