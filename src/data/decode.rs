//! Decoding, with bounds checked before anything is allocated. Files are read as they are decoded, so an uncompressed one is not in memory
//! along with its picture; only JPEG is read first, since it is decoded from memory.

use super::checks::{self, unread};
use super::jpeg;
use super::picture::{Limits, Picture, Samples};
use super::several;
use crate::error::{Error, Result};
use image::error::{ImageError, ImageResult};
use image::metadata::Orientation;
use image::{DynamicImage, ExtendedColorType, ImageDecoder, ImageFormat, ImageReader};
use std::io::{BufRead, Seek};

/// Reads a picture; `name` is what messages call it.
pub(super) fn read(source: impl BufRead + Seek, name: &str, limits: Limits) -> Result<Picture> {
    match checked(source, limits) {
        Ok(picture) => Ok(Picture { name: name.into(), ..picture }),
        Err(what) => Err(Error::Input(format!("{name}: {what}"))),
    }
}

/// The picture of a file that holds what it says of itself, or what is wrong and what to do.
fn checked(source: impl BufRead + Seek, limits: Limits) -> std::result::Result<Picture, String> {
    let reader = ImageReader::new(source).with_guessed_format().map_err(unread)?;
    let format = reader.format();
    let mut source = reader.into_inner();
    match format {
        Some(ImageFormat::Jpeg) => {
            let mut bytes = vec![];
            source.read_to_end(&mut bytes).map_err(unread)?;
            let jpeg::Decoded { image, orientation } = jpeg::decode(&bytes, limits)?;
            return Ok(upright(image, orientation));
        }
        Some(ImageFormat::Png) => checks::png(&mut source)?,
        Some(ImageFormat::WebP) => checks::webp(&mut source).and_then(|()| several::webp(&mut source))?,
        Some(ImageFormat::Tiff) => several::tiff(&mut source).and_then(|()| checks::tiff(&mut source, limits))?,
        Some(ImageFormat::Bmp) => several::bmp(&mut source)?,
        _ if source.fill_buf().is_ok_and(<[u8]>::is_empty) => {
            return Err("is empty, it has no bytes; copy it again".into());
        }
        _ => return Err("not a PNG, JPEG, BMP, TIFF or WebP file; convert it to one of these".into()),
    }
    let mut reader = ImageReader::new(source);
    format.into_iter().for_each(|f| reader.set_format(f));
    decoded(reader, limits)
}

/// The picture, or what is wrong with it.
fn decoded<R: BufRead + Seek>(mut reader: ImageReader<R>, limits: Limits) -> std::result::Result<Picture, String> {
    let mut bounds = image::Limits::no_limits();
    // RGBA of 16 bits, as much again for the decoder's own use, and 64 MiB for profiles and tables.
    bounds.max_alloc = Some(limits.pixels.saturating_mul(16).saturating_add(1 << 26));
    reader.limits(bounds);
    let decoder = reader.into_decoder().map_err(reason)?;
    let (width, height) = decoder.dimensions();
    bounded([width as usize, height as usize], limits)?;
    match decoder.original_color_type() {
        ExtendedColorType::Cmyk8 | ExtendedColorType::Cmyk16 => {
            Err("is CMYK, whose colours depend on the printer; save it as RGB".into())
        }
        ExtendedColorType::Rgb32F | ExtendedColorType::Rgba32F => {
            Err("has floating-point values, whose range is not defined; save it with 16 bits per channel".into())
        }
        _ => image(decoder).map_err(reason),
    }
}

/// Whether a picture's pixels are within the limits; what is wrong if they are not.
pub(super) fn bounded([width, height]: [usize; 2], limits: Limits) -> std::result::Result<(), String> {
    let (pixels, allowed) = (width as u64 * height as u64, limits.pixels);
    if (1..=allowed).contains(&pixels) {
        return Ok(());
    }
    Err(format!("is {width}x{height}, {pixels} pixels; must be between 1 and {allowed}: make it smaller"))
}

/// The picture of a decoder, turned by its EXIF orientation; a broken one counts as none.
fn image(mut decoder: impl ImageDecoder) -> ImageResult<Picture> {
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    Ok(upright(DynamicImage::from_decoder(decoder)?, orientation))
}

fn upright(mut image: DynamicImage, orientation: Orientation) -> Picture {
    image.apply_orientation(orientation);
    let (width, height) = (image.width() as usize, image.height() as usize);
    let samples = match image {
        DynamicImage::ImageLuma8(i) => Samples::Eight(rgb(i.into_raw(), 1)),
        DynamicImage::ImageLumaA8(i) => Samples::Eight(rgb(i.into_raw(), 2)),
        DynamicImage::ImageRgba8(i) => Samples::Eight(rgb(i.into_raw(), 4)),
        DynamicImage::ImageLuma16(i) => Samples::Sixteen(rgb(i.into_raw(), 1)),
        DynamicImage::ImageLumaA16(i) => Samples::Sixteen(rgb(i.into_raw(), 2)),
        DynamicImage::ImageRgb16(i) => Samples::Sixteen(i.into_raw()),
        DynamicImage::ImageRgba16(i) => Samples::Sixteen(rgb(i.into_raw(), 4)),
        other => Samples::Eight(other.into_rgb8().into_raw()),
    };
    Picture { width, height, samples, name: String::new() }
}

/// RGB of gray (1 channel), gray and alpha (2) or RGB and alpha (4), the last in place.
fn rgb<T: Copy>(mut values: Vec<T>, channels: usize) -> Vec<T> {
    if channels == 4 {
        let mut seen = 0;
        values.retain(|_| {
            seen += 1;
            seen % 4 != 0
        });
        return values;
    }
    let mut all = Vec::with_capacity(values.len() / channels * 3);
    values.iter().step_by(channels).for_each(|&v| all.extend_from_slice(&[v; 3]));
    all
}

/// What a decoder's error means to the file's owner.
fn reason(error: ImageError) -> String {
    match error {
        ImageError::IoError(e) => unread(e),
        ImageError::Limits(e) => format!("needs more memory than allowed: {e}; make it smaller"),
        ImageError::Unsupported(e) => format!(
            "is of an unsupported kind, such as TIFF with floating-point values, a palette, or gray with alpha: {e}; \
             save it as gray or RGB with 8 or 16 bits"
        ),
        e => format!("cannot be decoded: {e}; copy it again, or save it again"),
    }
}
