//! Pictures: read safely, brought to a network's size exactly as Pillow or PyTorch does, and the ones that ship with Lupe.

mod ahead;
mod apart;
pub mod check;
mod checks;
pub mod dataset;
mod decode;
pub mod demo;
mod jitter;
mod jpeg;
pub mod load;
mod looks;
mod mask;
mod picture;
mod preprocess;
mod resize;
mod rotate;
mod several;

pub use apart::told_apart;
pub use jitter::{Jitter, gray, gray_float, without_colours};
pub use mask::Mask;
pub use picture::{Limits, Picture, Samples};
pub use preprocess::{ChannelOrder, Cut, Prepared, Preprocess, Resampling, Scaling};
pub use resize::{Filter, resize};
pub use rotate::{rotate_bilinear, rotate_nearest};
