//! Canvases, maps and masks as files in memory: PNG, TIFF of 32-bit floats, and NumPy's .npy.

use super::Canvas;
use crate::error::{Error, Result};
use ::tiff::encoder::{TiffEncoder, colortype};
use image::{ColorType, ImageFormat};
use npyz::WriterBuilder;
use std::io::Cursor;

impl Canvas {
    /// The canvas as PNG.
    ///
    /// # Errors
    /// [`Error::Output`] if it has no pixels or not the number that its size implies.
    pub fn png(&self) -> Result<Vec<u8>> {
        let size = size("picture", self.width, self.height, 3, self.rgb.len())?;
        png(&self.rgb, size, ColorType::Rgb8)
    }
}

/// A mask of `w` x `h` pixels as 8-bit gray PNG: 255 where it is set.
///
/// # Errors
/// As [`Canvas::png`].
pub fn mask_png(mask: &[bool], w: usize, h: usize) -> Result<Vec<u8>> {
    let size = size("mask", w, h, 1, mask.len())?;
    png(&mask.iter().map(|&set| if set { 255 } else { 0 }).collect::<Vec<u8>>(), size, ColorType::L8)
}

/// A map of `w` x `h` values as uncompressed gray TIFF of 32-bit floats, as MVTec's evaluation code reads them.
///
/// # Errors
/// As [`Canvas::png`].
pub fn tiff(map: &[f32], w: usize, h: usize) -> Result<Vec<u8>> {
    let (width, height) = size("map", w, h, 1, map.len())?;
    let mut file = Cursor::new(vec![]);
    TiffEncoder::new(&mut file)
        .and_then(|mut encoder| encoder.write_image::<colortype::Gray32Float>(width, height, map))
        .map_err(|e| failed("map", "TIFF", &e))?;
    Ok(file.into_inner())
}

/// A map of `w` x `h` values as .npy: float32, shape (h, w).
///
/// # Errors
/// As [`Canvas::png`].
pub fn npy(map: &[f32], w: usize, h: usize) -> Result<Vec<u8>> {
    size("map", w, h, 1, map.len())?;
    let mut bytes = vec![];
    let mut write = || {
        let options = npyz::WriteOptions::new().default_dtype().shape(&[h as u64, w as u64]);
        let mut writer = options.writer(&mut bytes).begin_nd()?;
        writer.extend(map.iter().copied())?;
        writer.finish()
    };
    write().map_err(|e| failed("map", ".npy", &e))?;
    Ok(bytes)
}

fn png(bytes: &[u8], (width, height): (u32, u32), color: ColorType) -> Result<Vec<u8>> {
    let mut file = Cursor::new(vec![]);
    image::write_buffer_with_format(&mut file, bytes, width, height, color, ImageFormat::Png)
        .map_err(|e| failed("picture", "PNG", &e))?;
    Ok(file.into_inner())
}

fn failed(what: &str, format: &str, error: &dyn std::fmt::Display) -> Error {
    Error::Output(format!("the {what} cannot be written as {format}: {error}"))
}

/// Width and height as formats have them, if there are as many values as they and the channels imply.
fn size(what: &str, w: usize, h: usize, channels: usize, values: usize) -> Result<(u32, u32)> {
    let fits = values > 0 && w.checked_mul(h).and_then(|n| n.checked_mul(channels)) == Some(values);
    let pair = u32::try_from(w).ok().zip(u32::try_from(h).ok()).filter(|_| fits);
    pair.ok_or_else(|| Error::Output(format!("a {what} of {w}x{h} with {values} values cannot be written")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::tiff::decoder::{Decoder, DecodingResult};

    const MAP: [f32; 6] = [0.0, -1.5, 1e-30, f32::NEG_INFINITY, 3.25, 1e30];

    #[test]
    fn tiff_reads_back() {
        let mut file = Decoder::new(Cursor::new(tiff(&MAP, 3, 2).unwrap())).unwrap();
        assert_eq!(file.dimensions().unwrap(), (3, 2));
        assert_eq!(file.colortype().unwrap(), ::tiff::ColorType::Gray(32));
        assert!(matches!(file.read_image().unwrap(), DecodingResult::F32(v) if v == MAP));
    }

    #[test]
    fn npy_reads_back() {
        let bytes = npy(&MAP, 3, 2).unwrap();
        let file = npyz::NpyFile::new(&bytes[..]).unwrap();
        assert_eq!(file.shape(), [2, 3]);
        assert_eq!(file.into_vec::<f32>().unwrap(), MAP);
    }

    #[test]
    fn png_reads_back() {
        let canvas = Canvas { width: 2, height: 1, rgb: vec![1, 2, 3, 250, 251, 252] };
        let back = image::load_from_memory(&canvas.png().unwrap()).unwrap();
        assert_eq!((back.color(), back.into_rgb8().into_raw()), (ColorType::Rgb8, canvas.rgb));
        let back = image::load_from_memory(&mask_png(&[true, false], 1, 2).unwrap()).unwrap();
        assert_eq!((back.color(), back.into_luma8().into_raw()), (ColorType::L8, vec![255, 0]));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let wrong = Canvas { width: 2, height: 1, rgb: vec![0; 7] };
        let all = [wrong.png(), mask_png(&[], 0, 0), tiff(&MAP, 3, 3), npy(&MAP, 7, 1), tiff(&MAP, usize::MAX, 2)];
        for result in all {
            assert!(matches!(result, Err(Error::Output(_))), "{result:?}");
        }
    }
}
