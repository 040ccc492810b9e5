//! Whether a file is a mask by its looks: gray, and of few values.

use super::{Limits, Picture, Samples};
use image::{ImageFormat, ImageReader};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// More values than this are those of a photograph, of a smooth edge, or of compression.
pub(super) const FEW: usize = 8;

/// A mask takes less than a bit a pixel, besides this.
const SMALL: u64 = 4096;

/// How a picture looks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Looks {
    /// Gray values, at most [`FEW`] and one; 0 if it is coloured.
    values: usize,
    /// Whether nearly all pixels are nearly black or nearly white, and there are some of both: what compression leaves of two values.
    extreme: bool,
}

impl Looks {
    /// Whether it looks like a mask: of two gray values, or, where not `exact`, of what compression leaves of two.
    pub fn like_a_mask(self, exact: bool) -> bool {
        self.values == 2 || (self.extreme && !exact)
    }

    /// Whether it looks like the mask of a picture of the same name: few gray values.
    pub fn like_a_twin(self) -> bool {
        (1..=FEW).contains(&self.values) || self.extreme
    }
}

/// How a file looks; `None` for one that is too large to be a mask, or that cannot be read.
pub(super) fn looks(path: &Path) -> Option<Looks> {
    worth_reading(path)?;
    match Picture::open(path, Limits::default()).ok()?.samples {
        Samples::Eight(rgb) => of(&rgb, 255),
        Samples::Sixteen(rgb) => of(&rgb, 65535),
    }
}

fn of<T: Copy + Ord + Into<u32>>(rgb: &[T], white: u32) -> Option<Looks> {
    let (mut values, mut last, mut ends, mut pixels) = (BTreeSet::new(), None, [0_usize; 2], 0_usize);
    for pixel in rgb.chunks_exact(3) {
        let [r, g, b] = *pixel else { continue };
        if r != g || g != b {
            return Some(Looks { values: 0, extreme: false });
        }
        if values.len() <= FEW && last.replace(r) != Some(r) {
            values.insert(r);
        }
        let [dark, bright] = &mut ends;
        *dark += usize::from(r.into() <= white / 16);
        *bright += usize::from(r.into() >= white - white / 16);
        pixels += 1;
    }
    let [dark, bright] = ends;
    let extreme = dark > 0 && bright > 0 && (dark + bright) * 100 >= pixels * 97;
    Some(Looks { values: values.len(), extreme })
}

/// Whether a file may be a mask by its header and its length, so that photographs need not be decoded.
fn worth_reading(path: &Path) -> Option<()> {
    let mut file = File::open(path).ok()?;
    let bytes = file.metadata().ok()?.len();
    let reader = ImageReader::open(path).ok()?.with_guessed_format().ok()?;
    let plain = matches!(reader.format(), Some(ImageFormat::Bmp | ImageFormat::Tiff));
    if plain && bytes > SMALL && repetitive(&mut file, bytes) {
        return Some(());
    }
    // The header of a JPEG cannot be had without all of it: no mask has so many bytes.
    let long = reader.format() == Some(ImageFormat::Jpeg) && bytes > 1 << 18;
    let (width, height) = if long { return None } else { reader.into_dimensions().ok()? };
    (bytes < u64::from(width) * u64::from(height) / 8 + SMALL).then_some(())
}

/// Whether a piece from a file's middle has few values: an uncompressed picture of two colours.
fn repetitive(file: &mut File, bytes: u64) -> bool {
    let mut piece = vec![];
    let read = file.seek(SeekFrom::Start(bytes / 2)).and_then(|_| file.take(1 << 16).read_to_end(&mut piece));
    read.is_ok() && piece.iter().collect::<BTreeSet<_>>().len() <= FEW
}
