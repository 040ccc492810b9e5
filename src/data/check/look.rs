//! What a file is: its size, depth, channels and content; or what is wrong with it.

use crate::data::Mask;
use crate::data::looks::looks;
use crate::data::mask::parts;
use crate::data::picture::{Limits, Picture, Samples};
use crate::error::{Result, shown};
use crate::files::{sha256, sha256_of};
use image::{ImageDecoder, ImageFormat, ImageReader};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::path::Path;

/// Of a mask's values that are neither black nor white so many are kept, the lowest.
const VALUES: usize = 8;

/// What is known of a picture.
#[derive(Clone, Debug)]
pub(super) struct Look {
    pub size: [usize; 2],
    /// Bits of a channel.
    pub depth: u8,
    /// `gray`, `gray and alpha`, `RGB` or `RGBA`, as in the file.
    pub channels: &'static str,
    pub container: &'static str,
    /// SHA-256 of the file.
    pub file: String,
    /// The same of its size, depth and pixels, as they are decoded.
    pub pixels: String,
    /// Whether it consists of two gray values, as masks do; and whether it nearly does.
    pub mask: [bool; 2],
}

/// What is known of a mask.
#[derive(Clone, Debug)]
pub(super) struct MaskLook {
    pub size: [usize; 2],
    /// Defective pixels.
    pub marked: usize,
    /// Values that are neither black nor white.
    pub values: BTreeSet<u16>,
}

/// An error without the name that it begins with: that is said where it is told.
fn bare<T>(path: &Path, result: Result<T>) -> std::result::Result<T, String> {
    result.map_err(|e| {
        let text = e.to_string();
        text.strip_prefix(&format!("{}: ", shown(path))).unwrap_or(&text).to_string()
    })
}

/// A longer file holds no picture within the limits, so its bytes are not hashed.
fn too_long(path: &Path, limits: Limits) -> std::result::Result<(), String> {
    let most = limits.pixels.saturating_mul(16).saturating_add(1 << 26);
    match std::fs::metadata(path) {
        Ok(m) if m.len() > most => {
            Err(format!("has {} bytes, more than any picture of {} pixels", m.len(), limits.pixels))
        }
        _ => Ok(()),
    }
}

/// Looks at a picture, and says how many bytes it took in memory.
pub(super) fn picture(path: &Path, limits: Limits) -> (std::result::Result<Look, String>, usize) {
    let decoded = too_long(path, limits).and_then(|()| bare(path, Picture::open(path, limits)));
    match decoded {
        Err(what) => (Err(what), 0),
        Ok(picture) => {
            let bytes = picture.bytes();
            (of(path, picture), bytes)
        }
    }
}

fn of(path: &Path, picture: Picture) -> std::result::Result<Look, String> {
    let (depth, pixels) = content(&picture);
    let size = [picture.width, picture.height];
    drop(picture);
    let (container, channels) = kind(path);
    let looks = looks(path);
    let mask = [true, false].map(|exact| looks.is_some_and(|l| l.like_a_mask(exact)));
    let file = sha256_of(path).map_err(|e| format!("cannot be read: {e}"))?;
    Ok(Look { size, depth, channels, container, file, pixels, mask })
}

/// Bits of a channel, and the hash of what is seen.
fn content(picture: &Picture) -> (u8, String) {
    let mut sum = Sha256::new();
    [picture.width as u64, picture.height as u64].iter().for_each(|n| sum.update(n.to_le_bytes()));
    let depth = match &picture.samples {
        Samples::Eight(rgb) => {
            sum.update(rgb);
            8
        }
        Samples::Sixteen(rgb) => {
            let mut piece = vec![];
            for values in rgb.chunks(1 << 16) {
                piece.clear();
                values.iter().for_each(|v| piece.extend_from_slice(&v.to_le_bytes()));
                sum.update(&piece);
            }
            16
        }
    };
    // The hash of both: the same bytes mean something else in the other depth.
    (depth, sha256(&[&sum.finalize()[..], &[depth]].concat()))
}

/// Container and channels of a file that has been decoded.
fn kind(path: &Path) -> (&'static str, &'static str) {
    let reader = ImageReader::open(path).and_then(ImageReader::with_guessed_format).ok();
    let container = match reader.as_ref().and_then(ImageReader::format) {
        Some(ImageFormat::Png) => "PNG",
        Some(ImageFormat::Jpeg) => "JPEG",
        Some(ImageFormat::Bmp) => "BMP",
        Some(ImageFormat::Tiff) => "TIFF",
        Some(ImageFormat::WebP) => "WebP",
        _ => "other",
    };
    let channels = reader.and_then(|r| r.into_decoder().ok()).map_or(0, |d| d.color_type().channel_count());
    let channels = match channels {
        1 => "gray",
        2 => "gray and alpha",
        3 => "RGB",
        4 => "RGBA",
        _ => "unknown",
    };
    (container, channels)
}

/// Looks at a mask, or at a folder of them, and says how many bytes it took.
pub(super) fn mask(path: &Path, limits: Limits) -> (std::result::Result<MaskLook, String>, usize) {
    let files = if path.is_dir() { parts(path).unwrap_or_default() } else { vec![path.to_path_buf()] };
    let looked = files.iter().try_for_each(|file| too_long(file, limits)).and_then(|()| {
        let Mask { width, height, bits, .. } = bare(path, Mask::open(path, limits))?;
        let mut look = MaskLook { size: [width, height], marked: 0, values: BTreeSet::new() };
        look.marked = bits.iter().filter(|b| **b).count();
        drop(bits);
        for file in &files {
            values(&bare(file, Picture::open(file, limits))?, &mut look.values);
        }
        Ok(look)
    });
    let bytes = looked.as_ref().map_or(0, |l: &MaskLook| l.size.iter().product::<usize>() * 4);
    (looked, bytes)
}

/// Adds the values of a mask that are neither black nor white, a pixel's being that of its brightest channel.
fn values(picture: &Picture, found: &mut BTreeSet<u16>) {
    let mut add = |value: u16, white: u16| {
        if value > 0 && value < white && (found.len() < VALUES || found.last().is_some_and(|last| value < *last)) {
            found.insert(value);
            if found.len() > VALUES {
                found.pop_last();
            }
        }
    };
    match &picture.samples {
        Samples::Eight(rgb) => {
            rgb.chunks_exact(3).for_each(|p| add(p.iter().copied().max().unwrap_or_default().into(), 255));
        }
        Samples::Sixteen(rgb) => {
            rgb.chunks_exact(3).for_each(|p| add(p.iter().copied().max().unwrap_or_default(), u16::MAX));
        }
    }
}
