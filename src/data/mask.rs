//! Ground truth: which pixels of a picture are defective.

use super::dataset::named_like_a_picture;
use super::looks::FEW;
use super::{Limits, Picture, Preprocess, Samples};
use crate::error::{Error, Result, shown};
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A mask at its picture's own size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mask {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Row by row, whether the pixel is defective.
    pub bits: Vec<bool>,
    /// Pixels that are not black, but less than half bright, in a mask that has brighter ones: another program may count them otherwise.
    pub unsure: usize,
}

impl Mask {
    /// Reads a mask, or a folder of masks whose union it is.
    ///
    /// - In a mask of at most 8 values, one of them black, every pixel that is not black is defective: values may stand for classes.
    /// - In any other, and in every JPEG, a pixel is defective if it is at least half bright: 128 of 255.
    /// - An alpha channel counts if it says something: where the colour is the same everywhere, it alone is the mask.
    ///
    /// # Errors
    /// As [`Picture::open`]; [`Error::Input`] if colours and alpha disagree, and for a folder without masks, or of different sizes.
    pub fn open(path: &Path, limits: Limits) -> Result<Mask> {
        if !path.is_dir() {
            return one(path, limits);
        }
        let mut whole: Option<Mask> = None;
        for part in parts(path)? {
            let mask = one(&part, limits)?;
            whole = Some(match whole {
                None => mask,
                Some(all) if (all.width, all.height) == (mask.width, mask.height) => all.with(mask),
                Some(all) => {
                    let (w, h) = (mask.width, mask.height);
                    return fail(
                        &part,
                        &format!("is {w}x{h}, but the masks beside it are {}x{}", all.width, all.height),
                    );
                }
            });
        }
        whole.map_or_else(|| fail(path, "has no masks in it"), Ok)
    }

    /// The union of both.
    fn with(mut self, other: Mask) -> Mask {
        self.bits.iter_mut().zip(other.bits).for_each(|(bit, more)| *bit |= more);
        self.unsure += other.unsure;
        self
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

fn fail<T>(path: &Path, what: &str) -> Result<T> {
    Err(Error::Input(format!("{}: {what}", shown(path))))
}

/// Masks in a folder, in order.
pub(super) fn parts(folder: &Path) -> Result<Vec<PathBuf>> {
    let unread = |e: std::io::Error| Error::Input(format!("{}: {e}", shown(folder)));
    let mut found = std::fs::read_dir(folder).map_err(unread)?.map(|e| e.map(|e| e.path()));
    let mut parts = found.by_ref().collect::<std::io::Result<Vec<_>>>().map_err(unread)?;
    parts.retain(|p| named_like_a_picture(p));
    parts.sort();
    Ok(parts)
}

/// A single mask.
fn one(path: &Path, limits: Limits) -> Result<Mask> {
    let Picture { width, height, samples, .. } = Picture::open(path, limits)?;
    let format = ImageReader::open(path).and_then(ImageReader::with_guessed_format).ok().and_then(|r| r.format());
    let lossy = format == Some(ImageFormat::Jpeg);
    let brightest = |p: &[u8]| p.iter().copied().max().unwrap_or_default();
    let (values, half): (Vec<u16>, u16) = match samples {
        Samples::Eight(rgb) => (rgb.chunks_exact(3).map(|p| brightest(p).into()).collect(), 1 << 7),
        Samples::Sixteen(rgb) => {
            (rgb.chunks_exact(3).map(|p| p.iter().copied().max().unwrap_or_default()).collect(), 1 << 15)
        }
    };
    let alpha = if lossy { None } else { alpha(path)? };
    let (bits, unsure) = defective(&values, half, lossy);
    let mask = Mask { width, height, bits, unsure };
    match alpha {
        Some(alpha) if values.iter().all(|v| values.first() == Some(v)) => {
            let (bits, unsure) = defective(&alpha, 1 << 15, false);
            Ok(Mask { bits, unsure, ..mask })
        }
        Some(alpha) => agreed(path, mask, &alpha),
        None => Ok(mask),
    }
}

/// Which pixels are defective, by their values, and how many of them another rule would count otherwise.
fn defective(values: &[u16], half: u16, lossy: bool) -> (Vec<bool>, usize) {
    let mut distinct = BTreeSet::new();
    for run in values.chunk_by(|a, b| a == b) {
        if distinct.len() <= FEW {
            distinct.extend(run.first().copied());
        }
    }
    let classes = !lossy && distinct.len() <= FEW && distinct.contains(&0);
    let least = if classes { 1 } else { half };
    let bright = values.iter().any(|&v| v >= half);
    let between = values.iter().filter(|&&v| v > 0 && v < half).count();
    // Classes count from 1, none of them bright: nobody takes these for brightness.
    let unsure = if classes && !bright { 0 } else { between };
    (values.iter().map(|&v| v >= least).collect(), unsure)
}

/// The alpha channel with 16 bits, if there is one that is not the same everywhere.
fn alpha(path: &Path) -> Result<Option<Vec<u16>>> {
    let unread = |e: image::ImageError| Error::Input(format!("{}: its alpha channel cannot be read: {e}", shown(path)));
    let mut reader =
        ImageReader::open(path).and_then(ImageReader::with_guessed_format).map_err(|e| unread(e.into()))?;
    reader.limits(image::Limits::no_limits()); // it has been read once, within the caller's
    let mut decoder = reader.into_decoder().map_err(unread)?;
    if !decoder.color_type().has_alpha() {
        return Ok(None);
    }
    let orientation = decoder.orientation().map_err(unread)?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(unread)?;
    image.apply_orientation(orientation);
    let alpha: Vec<u16> = image.into_luma_alpha16().pixels().map(|p| p.0[1]).collect();
    Ok(if alpha.iter().all(|a| alpha.first() == Some(a)) { None } else { Some(alpha) })
}

/// A mask whose colours say what its alpha channel says.
fn agreed(path: &Path, mask: Mask, alpha: &[u16]) -> Result<Mask> {
    let (opaque, _) = defective(alpha, 1 << 15, true);
    let differ = mask.bits.iter().zip(&opaque).filter(|(bit, opaque)| **bit && !**opaque).count();
    match differ {
        0 => Ok(mask),
        n => fail(path, &format!("its colours mark {n} pixels that are transparent; save it without an alpha channel")),
    }
}
