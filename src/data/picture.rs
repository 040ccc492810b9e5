//! Decoding: 8-bit RGB and gray PNG and JPEG, bounded before anything is allocated.

use crate::error::{Error, Result};
use image::{ColorType, DynamicImage, ImageDecoder, ImageFormat, ImageReader};
use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Seek};
use std::path::Path;

/// An 8-bit RGB picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Red, green, blue of each pixel, row by row.
    pub rgb: Vec<u8>,
}

/// How large a picture may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Pixels, width times height.
    pub pixels: u64,
}

impl Limits {
    /// Pixels of a picture at most.
    pub fn of(pixels: u64) -> Limits {
        Limits { pixels }
    }
}

impl Default for Limits {
    /// 200 million pixels: more than industrial cameras give, less than a machine's memory.
    fn default() -> Limits {
        Limits { pixels: 200_000_000 }
    }
}

impl Picture {
    /// Reads a file; the format goes by its content, not by its name.
    ///
    /// # Errors
    /// [`Error::Input`] naming the file, what is wrong with it and what to do.
    pub fn open(path: &Path, limits: Limits) -> Result<Picture> {
        let name = path.display().to_string();
        let fail = |e: std::io::Error| Error::Input(format!("{name}: cannot be read: {e}"));
        let file = File::open(path).map_err(fail)?;
        if file.metadata().map_err(fail)?.is_dir() {
            return Err(Error::Input(format!("{name}: is a folder; name the pictures in it")));
        }
        Picture::read(BufReader::new(file), &name, limits)
    }

    /// Decodes a file in memory; `name` is what messages call it.
    ///
    /// # Errors
    /// As [`Picture::open`].
    pub fn decode(bytes: &[u8], name: &str, limits: Limits) -> Result<Picture> {
        Picture::read(Cursor::new(bytes), name, limits)
    }

    fn read(mut source: impl BufRead + Seek, name: &str, limits: Limits) -> Result<Picture> {
        let wrong = |what: String| Error::Input(format!("{name}: {what}"));
        let mut bytes = vec![];
        source.read_to_end(&mut bytes).map_err(|e| wrong(format!("cannot be read: {e}")))?;
        let reader = ImageReader::new(Cursor::new(&bytes))
            .with_guessed_format()
            .map_err(|e| wrong(format!("cannot be read: {e}")))?;
        match reader.format() {
            Some(ImageFormat::Png | ImageFormat::Jpeg) => {}
            _ => return Err(wrong("is no PNG or JPEG by its content; convert it to one of them".into())),
        }
        if reader.format() == Some(ImageFormat::Jpeg) && !ends_whole(&bytes) {
            return Err(wrong("is a truncated JPEG: its end marker is missing; copy it again".into()));
        }
        let mut decoder = reader.into_decoder().map_err(|e| wrong(format!("cannot be decoded: {e}")))?;
        let (width, height) = decoder.dimensions();
        let pixels = u64::from(width) * u64::from(height);
        if pixels > limits.pixels || pixels == 0 {
            return Err(wrong(format!("is {width}x{height}, {pixels} pixels; 1 to {} are allowed", limits.pixels)));
        }
        match decoder.original_color_type() {
            image::ExtendedColorType::Cmyk8 => {
                return Err(wrong("is a CMYK JPEG, whose colours depend on a printer; save it as RGB".into()));
            }
            _ if !eight_bits(decoder.color_type()) => {
                return Err(wrong("has 16 bits a channel, which cannot be read yet; save it with 8".into()));
            }
            _ => {}
        }
        let mut bounds = image::Limits::no_limits();
        bounds.max_alloc = Some(limits.pixels.saturating_mul(8)); // RGBA and as much again for the decoder's own use
        decoder.set_limits(bounds).map_err(|e| wrong(format!("passes a limit: {e}")))?;
        let image = DynamicImage::from_decoder(decoder).map_err(|e| wrong(format!("cannot be decoded: {e}")))?;
        let (width, height) = (width as usize, height as usize);
        Ok(Picture { width, height, rgb: image.into_rgb8().into_raw() })
    }
}

fn eight_bits(color: ColorType) -> bool {
    matches!(color, ColorType::L8 | ColorType::La8 | ColorType::Rgb8 | ColorType::Rgba8)
}

/// Whether a JPEG has its end marker; decoders fill what is missing with gray.
fn ends_whole(bytes: &[u8]) -> bool {
    bytes.windows(2).rev().any(|w| w == [0xff, 0xd9])
}
