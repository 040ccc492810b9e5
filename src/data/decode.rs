//! Decoding, with bounds checked before anything is allocated. Files are read as they are decoded, so an uncompressed one is not in memory
//! along with its picture; only JPEG is read first, since its decoder would do so too.

use super::jpeg;
use super::picture::{Limits, Picture, Samples};
use crate::error::{Error, Result};
use image::error::{ImageError, ImageResult};
use image::metadata::Orientation;
use image::{DynamicImage, ExtendedColorType, ImageDecoder, ImageFormat, ImageReader};
use std::io::{BufRead, Cursor, ErrorKind, Seek, SeekFrom};

/// Reads a picture; `name` is what messages call it.
pub(super) fn read(source: impl BufRead + Seek, name: &str, limits: Limits) -> Result<Picture> {
    let wrong = |what: String| Error::Input(format!("{name}: {what}"));
    let unread = |e: std::io::Error| wrong(format!("cannot be read: {e}"));
    let reader = ImageReader::new(source).with_guessed_format().map_err(unread)?;
    match reader.format() {
        Some(ImageFormat::Jpeg) => {
            let mut bytes = vec![];
            reader.into_inner().read_to_end(&mut bytes).map_err(unread)?;
            if let Some(objection) = jpeg::objection(&bytes) {
                return Err(wrong(objection.into()));
            }
            decoded(ImageReader::with_format(Cursor::new(bytes), ImageFormat::Jpeg), limits).map_err(wrong)
        }
        Some(ImageFormat::WebP) => {
            let mut source = reader.into_inner();
            if !webp_is_whole(&mut source).map_err(unread)? {
                return Err(wrong(
                    "is a truncated WebP file: it is shorter than its header says; copy it again".into(),
                ));
            }
            decoded(ImageReader::with_format(source, ImageFormat::WebP), limits).map_err(wrong)
        }
        Some(ImageFormat::Png | ImageFormat::Bmp | ImageFormat::Tiff) => decoded(reader, limits).map_err(wrong),
        _ => Err(wrong("not a PNG, JPEG, BMP, TIFF or WebP file; convert it to one of these".into())),
    }
}

/// Whether a WebP file is as long as it says. The decoder does not notice a missing EXIF chunk at the end, and would not turn the picture.
fn webp_is_whole(source: &mut (impl BufRead + Seek)) -> std::io::Result<bool> {
    let mut head = [0; 8];
    source.read_exact(&mut head)?;
    let have = source.seek(SeekFrom::End(0))?;
    source.rewind()?;
    let [_, _, _, _, size @ ..] = head;
    Ok(have >= 8 + u64::from(u32::from_le_bytes(size)))
}

/// The picture, or what is wrong with it.
fn decoded<R: BufRead + Seek>(mut reader: ImageReader<R>, limits: Limits) -> std::result::Result<Picture, String> {
    let mut bounds = image::Limits::no_limits();
    // RGBA of 16 bits, as much again for the decoder's own use, and 64 MiB for profiles and tables.
    bounds.max_alloc = Some(limits.pixels.saturating_mul(16).saturating_add(1 << 26));
    reader.limits(bounds);
    let decoder = reader.into_decoder().map_err(reason)?;
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels > limits.pixels || pixels == 0 {
        let allowed = limits.pixels;
        return Err(format!("is {width}x{height}, {pixels} pixels; must be between 1 and {allowed}: make it smaller"));
    }
    match decoder.original_color_type() {
        ExtendedColorType::Cmyk8 | ExtendedColorType::Cmyk16 => {
            Err("is CMYK, whose colours depend on the printer; save it as RGB".into())
        }
        ExtendedColorType::Rgb32F | ExtendedColorType::Rgba32F => {
            Err("has floating-point values, whose range is not defined; save it with 16 bits per channel".into())
        }
        _ => upright(decoder).map_err(reason),
    }
}

/// The picture of a decoder, turned by its EXIF orientation; a broken one counts as none.
fn upright(mut decoder: impl ImageDecoder) -> ImageResult<Picture> {
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder)?;
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
    Ok(Picture { width, height, samples })
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
        ImageError::IoError(e) if e.kind() == ErrorKind::UnexpectedEof => "is truncated; copy it again".into(),
        ImageError::IoError(e) => format!("cannot be read: {e}"),
        ImageError::Limits(e) => format!("needs more memory than allowed: {e}; make it smaller"),
        ImageError::Unsupported(e) => format!(
            "is of an unsupported kind, such as TIFF with floating-point values, a palette, or gray with alpha: {e}; \
             save it as gray or RGB with 8 or 16 bits"
        ),
        e => format!("cannot be decoded: {e}; copy it again, or save it again"),
    }
}
