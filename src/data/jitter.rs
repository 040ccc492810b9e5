//! Pictures made brighter or darker, with more or less contrast or colour: in 8 bits bit for bit as Pillow's `ImageEnhance` does, and in
//! floats as torchvision does.

use super::picture::Picture;

/// What is changed of a picture: it is mixed with black, with the mean of its gray values, or with its gray values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jitter {
    /// Its brightness.
    Brightness,
    /// Its contrast.
    Contrast,
    /// Its saturation.
    Saturation,
}

impl Jitter {
    /// All.
    pub const ALL: [Jitter; 3] = [Jitter::Brightness, Jitter::Contrast, Jitter::Saturation];

    /// The picture in 8 bits, changed by `factor`, which leaves it as it is where it is 1; 16-bit pictures are converted first.
    pub fn of_bytes(self, picture: &Picture, factor: f64) -> Picture {
        let mut rgb = picture.rgb8().into_owned();
        let (factor, mean) = (factor as f32, self.mean(&rgb));
        for pixel in rgb.chunks_exact_mut(3) {
            let other = match self {
                Jitter::Brightness => 0,
                Jitter::Contrast => mean,
                Jitter::Saturation => gray(pixel),
            };
            pixel.iter_mut().for_each(|v| *v = mixed(other, *v, factor));
        }
        Picture { name: picture.name.clone(), ..Picture::new(picture.width, picture.height, rgb) }
    }

    /// The mean of the gray values, rounded, where it is needed.
    fn mean(self, rgb: &[u8]) -> u8 {
        if self != Jitter::Contrast {
            return 0;
        }
        let (sum, n) = rgb.chunks_exact(3).fold((0u64, 0u64), |(sum, n), pixel| (sum + u64::from(gray(pixel)), n + 1));
        (sum as f64 / n.max(1) as f64 + 0.5) as u8
    }

    /// Changes RGB values from 0 to 1 by `factor`; they stay in that range.
    pub fn of_floats(self, rgb: &mut [f32], factor: f64) {
        let pixels = rgb.len() / 3;
        let mean = match self {
            Jitter::Contrast => {
                rgb.chunks_exact(3).map(|p| f64::from(gray_float(p))).sum::<f64>() / pixels.max(1) as f64
            }
            _ => 0.0,
        };
        let (factor, rest) = (factor as f32, (1.0 - factor) as f32);
        for pixel in rgb.chunks_exact_mut(3) {
            let other = match self {
                Jitter::Brightness => 0.0,
                Jitter::Contrast => mean as f32,
                Jitter::Saturation => gray_float(pixel),
            };
            pixel.iter_mut().for_each(|v| *v = (factor * *v + rest * other).clamp(0.0, 1.0));
        }
    }
}

/// The picture without its colours, as Pillow's `convert("L")` gives it, in 8 bits.
pub fn without_colours(picture: &Picture) -> Picture {
    let mut rgb = picture.rgb8().into_owned();
    rgb.chunks_exact_mut(3).for_each(|pixel| pixel.fill(gray(pixel)));
    Picture { name: picture.name.clone(), ..Picture::new(picture.width, picture.height, rgb) }
}

/// The gray value of a pixel, as Pillow has it.
pub fn gray(pixel: &[u8]) -> u8 {
    const SHARES: [u32; 3] = [19595, 38470, 7471];
    let sum: u32 = pixel.iter().zip(SHARES).map(|(&v, share)| u32::from(v) * share).sum();
    ((sum + 0x8000) >> 16) as u8
}

/// The gray value of a pixel, as torchvision has it.
pub fn gray_float(pixel: &[f32]) -> f32 {
    pixel.iter().zip([0.2989f32, 0.587, 0.114]).map(|(v, share)| v * share).sum()
}

/// Pillow's mixture: from one value `factor` of the way to the other, or beyond it; cut off, not rounded.
fn mixed(from: u8, to: u8, factor: f32) -> u8 {
    (f32::from(from) + factor * (f32::from(to) - f32::from(from))) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let picture = Picture::new(2, 1, vec![200, 100, 0, 10, 10, 10]);
        let changed = |jitter: Jitter, factor| jitter.of_bytes(&picture, factor).rgb8().into_owned();
        assert_eq!(changed(Jitter::Brightness, 1.5), [255, 150, 0, 15, 15, 15]);
        assert_eq!(changed(Jitter::Brightness, 0.5), [100, 50, 0, 5, 5, 5]);
        // Gray is 118 and 10, their mean 64.
        assert_eq!(changed(Jitter::Contrast, 0.5), [132, 82, 32, 37, 37, 37]);
        assert_eq!(changed(Jitter::Saturation, 0.0), [118, 118, 118, 10, 10, 10]);
        assert_eq!(without_colours(&picture).rgb8().into_owned(), changed(Jitter::Saturation, 0.0));
        for jitter in Jitter::ALL {
            assert_eq!(jitter.of_bytes(&picture, 1.0), picture, "{jitter:?}");
        }
        let mut floats = [1.0, 0.5, 0.0, 0.25, 0.25, 0.25];
        Jitter::Brightness.of_floats(&mut floats, 1.2);
        assert_eq!(floats, [1.0, 0.6, 0.0, 0.3, 0.3, 0.3]);
    }
}
