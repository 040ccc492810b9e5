//! A picture in memory: RGB, with 8 or 16 bits per channel, as in its file.

use super::decode::read;
use crate::error::{Error, Result};
use std::borrow::Cow;
use std::fs::File;
use std::io::{BufReader, Cursor};
use std::path::Path;

/// The values of a picture: red, green, blue of each pixel, row by row, 3 x width x height of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Samples {
    /// 0 to 255.
    Eight(Vec<u8>),
    /// 0 to 65535.
    Sixteen(Vec<u16>),
}

/// What is wrong with a path that could be read without end, and what to do.
pub(super) const NO_FILE: &str = "is a pipe or a device, not a file; save the picture to a file";

/// An RGB picture, upright. Two are equal if their pixels are, whatever their names.
#[derive(Clone, Debug, Eq)]
pub struct Picture {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Its values.
    pub samples: Samples,
    /// What messages call it: its file; empty for a picture that was made in memory.
    pub name: String,
}

impl PartialEq for Picture {
    fn eq(&self, other: &Picture) -> bool {
        (self.width, self.height, &self.samples) == (other.width, other.height, &other.samples)
    }
}

/// How large a picture may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Pixels, width times height.
    pub pixels: u64,
}

impl Limits {
    /// At most this many pixels.
    pub fn of(pixels: u64) -> Limits {
        Limits { pixels }
    }
}

impl Default for Limits {
    /// 200 million pixels: more than industrial cameras produce, less than a machine's memory holds.
    fn default() -> Limits {
        Limits { pixels: 200_000_000 }
    }
}

impl Picture {
    /// An 8-bit picture of `3 x width x height` values.
    pub fn new(width: usize, height: usize, rgb: Vec<u8>) -> Picture {
        Picture { width, height, samples: Samples::Eight(rgb), name: String::new() }
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        match &self.samples {
            Samples::Eight(v) => v.len(),
            Samples::Sixteen(v) => 2 * v.len(),
        }
    }

    /// Reads a PNG, JPEG, BMP, TIFF or WebP file; the format is recognised by its content, not by its name.
    ///
    /// Gray and palettes become RGB and alpha is dropped, as by Pillow's `convert("RGB")`; 16 bits stay 16. The picture is turned
    /// upright by its EXIF orientation, which Pillow does for TIFF alone. Colour profiles are not applied.
    ///
    /// # Errors
    /// [`Error::Input`] naming the file, what is wrong with it and what to do: it is of another format, cut short, damaged, larger than
    /// `limits`, empty, no file but a pipe or a device, holds several pictures, or its values are not 8 or 16 bit gray or RGB (CMYK, floats, 12-bit JPEG). Nothing is filled in where data is
    /// missing.
    pub fn open(path: &Path, limits: Limits) -> Result<Picture> {
        let name = crate::error::shown(path);
        let fail = |e: std::io::Error| Error::Input(format!("{name}: cannot be read: {e}"));
        // A pipe would have to be waited for, be it for ever.
        let kind = std::fs::metadata(path).map_err(fail)?;
        if kind.is_dir() {
            return Err(Error::Input(format!("{name}: is a folder; name the pictures in it")));
        }
        if !kind.is_file() {
            return Err(Error::Input(format!("{name}: {NO_FILE}")));
        }
        let file = File::open(path).map_err(fail)?;
        read(BufReader::new(file), &name, limits)
    }

    /// Decodes a file in memory; `name` is what messages call it.
    ///
    /// # Errors
    /// As [`Picture::open`].
    pub fn decode(bytes: &[u8], name: &str, limits: Limits) -> Result<Picture> {
        read(Cursor::new(bytes), name, limits)
    }

    /// Its values with 8 bits, for display: 16-bit values divided by 257, rounded.
    pub fn rgb8(&self) -> Cow<'_, [u8]> {
        match &self.samples {
            Samples::Eight(rgb) => Cow::Borrowed(rgb),
            Samples::Sixteen(rgb) => rgb.iter().map(|&v| ((u32::from(v) + 128) / 257) as u8).collect(),
        }
    }
}
