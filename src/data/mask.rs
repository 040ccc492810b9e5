//! Ground truth: which pixels of a picture are defective.

use super::{Limits, Picture, Preprocess, Samples};
use crate::error::Result;
use std::path::Path;

/// A mask at its picture's own size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Row by row, whether the pixel is defective.
    pub bits: Vec<bool>,
}

impl Mask {
    /// Reads a picture; every pixel that is not black is defective.
    ///
    /// # Errors
    /// As [`Picture::open`].
    pub fn open(path: &Path, limits: Limits) -> Result<Mask> {
        let Picture { width, height, samples, .. } = Picture::open(path, limits)?;
        let bits = match samples {
            Samples::Eight(rgb) => rgb.chunks_exact(3).map(|p| p.iter().any(|&v| v > 0)).collect(),
            Samples::Sixteen(rgb) => rgb.chunks_exact(3).map(|p| p.iter().any(|&v| v > 0)).collect(),
        };
        Ok(Mask { width, height, bits })
    }

    /// The mask as the network's input sees it. `nearest`: pixel by pixel, as anomalib does; else resized and cropped as the picture
    /// is, where only pixels that are entirely defective stay so, as the official PatchCore does.
    ///
    /// # Errors
    /// As [`Preprocess::sized`].
    pub fn sized(&self, preprocess: &Preprocess, nearest: bool) -> Result<Vec<bool>> {
        let rgb = self.bits.iter().flat_map(|&b| [if b { 255 } else { 0 }; 3]).collect();
        let sized = preprocess.sized(&Picture::new(self.width, self.height, rgb))?;
        if !nearest {
            return Ok(sized.rgb8().chunks_exact(3).map(|p| p.first() == Some(&255)).collect());
        }
        let [left, top, wide, high] = preprocess.area(self.width, self.height);
        let from =
            |at: usize, to: usize, start: f64, size: f64| (start + at as f64 * (size / to.max(1) as f64)) as usize;
        let bit = |i: usize| {
            let x = from(i % sized.width.max(1), sized.width, left, wide);
            let y = from(i / sized.width.max(1), sized.height, top, high);
            self.bits.get(y * self.width + x).copied().unwrap_or_default()
        };
        Ok((0..sized.width * sized.height).map(bit).collect())
    }
}
