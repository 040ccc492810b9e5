//! Pictures out: heat maps over pictures, outlines, contact sheets, captions, and maps as files.

mod color;
mod curve;
mod draw;
mod files;
mod font;
mod map;
mod overlay;
mod sheet;

pub use color::color;
pub use curve::Curves;
pub use draw::{Canvas, contour};
pub use files::{mask_png, npy, tiff};
pub use font::{text, text_width};
pub use map::full_map;
pub use overlay::overlay;
pub use sheet::sheet;
