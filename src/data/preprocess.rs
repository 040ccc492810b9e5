//! From a picture to a network's input: resize, crop, channel order, scale, mean and standard deviation.

use super::Picture;
use super::resize::{Filter, resize};
use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// How a picture is brought to size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scaling {
    /// The shorter edge becomes this long; the longer one `int(R long / short)`.
    ShortEdge(usize),
    /// Both edges become this long, whatever the aspect.
    Square(usize),
}

/// Order of the channels in a network's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelOrder {
    /// Red first.
    Rgb,
    /// Blue first.
    Bgr,
}

/// Everything that happens to a picture before a network sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Preprocess {
    /// Resize, if any.
    pub scaling: Option<Scaling>,
    /// Which filter resizes.
    pub filter: Filter,
    /// Rows and columns of the centre crop, if any.
    pub crop: Option<[usize; 2]>,
    /// Order of the channels.
    pub order: ChannelOrder,
    /// What 8-bit values are divided by.
    pub divisor: f32,
    /// Subtracted after the division, in the network's order of channels.
    pub mean: [f32; 3],
    /// Divided by last.
    pub std: [f32; 3],
}

impl Preprocess {
    /// torchvision's for ImageNet weights: shorter edge to `resize`, centre crop of `crop`, mean and deviation of ImageNet.
    pub const fn imagenet(resize: usize, crop: usize) -> Preprocess {
        Preprocess {
            scaling: Some(Scaling::ShortEdge(resize)),
            filter: Filter::Bilinear,
            crop: Some([crop; 2]),
            order: ChannelOrder::Rgb,
            divisor: 255.0,
            mean: [0.485, 0.456, 0.406],
            std: [0.229, 0.224, 0.225],
        }
    }

    /// The picture at the network's size, 8 bits.
    pub fn sized(&self, picture: &Picture) -> Result<Picture> {
        let sized = match self.scaling {
            Some(Scaling::ShortEdge(_)) => {
                let [w, h] = self.resized(picture.width, picture.height);
                bounded(picture, w, h)?;
                resize(picture, w, h, self.filter)
            }
            Some(Scaling::Square(s)) => resize(picture, s, s, self.filter),
            None => picture.clone(),
        };
        Ok(match self.crop {
            Some([h, w]) => centre_crop(&sized, h, w),
            None => sized,
        })
    }

    /// Columns and rows that a picture has after resizing, before the crop.
    fn resized(&self, width: usize, height: usize) -> [usize; 2] {
        match self.scaling {
            Some(Scaling::ShortEdge(r)) if width <= height => [r, r * height / width.max(1)],
            Some(Scaling::ShortEdge(r)) => [r * width / height.max(1), r],
            Some(Scaling::Square(s)) => [s, s],
            None => [width, height],
        }
    }

    /// Where the network's input lies in a picture of `width x height`, in its own pixels: x, y, width, height. It reaches outside
    /// where a picture is smaller than the crop.
    pub fn area(&self, width: usize, height: usize) -> [f64; 4] {
        let [w, h] = self.resized(width, height);
        let [crop_h, crop_w] = self.crop.unwrap_or([h, w]);
        let first = |whole: usize, size: usize| match size.saturating_sub(whole) {
            0 => start(whole, size) as f64,
            missing => -((missing / 2) as f64),
        };
        let (x, y) = (width as f64 / w.max(1) as f64, height as f64 / h.max(1) as f64);
        [first(w, crop_w) * x, first(h, crop_h) * y, crop_w as f64 * x, crop_h as f64 * y]
    }

    /// The network's input, `[1, h, w, 3]`.
    ///
    /// # Errors
    /// [`Error::Input`] for a strip so long that it cannot be resized.
    pub fn apply(&self, picture: &Picture) -> Result<Tensor> {
        let sized = self.sized(picture)?;
        let order = if self.order == ChannelOrder::Rgb { [0, 1, 2] } else { [2, 1, 0] };
        let mut data = Vec::with_capacity(sized.rgb.len());
        for pixel in sized.rgb.chunks_exact(3) {
            for ((source, mean), std) in order.iter().zip(self.mean).zip(self.std) {
                let v = pixel.get(*source).copied().unwrap_or_default();
                data.push((f32::from(v) / self.divisor - mean) / std);
            }
        }
        Ok(Tensor::new([1, sized.height, sized.width, 3], data))
    }
}

/// A strip of one row would become as long as it was, times the scale: a bound keeps that in memory.
fn bounded(picture: &Picture, w: usize, h: usize) -> Result<()> {
    if w.saturating_mul(h) <= 1 << 28 {
        return Ok(());
    }
    let what = format!("a picture of {}x{} would become {w}x{h} when resized", picture.width, picture.height);
    Err(Error::Input(format!("{what}; cut it into pieces first")))
}

/// Where a crop of `size` begins in `whole`: `int(round((whole - size) / 2))`, halves to even.
fn start(whole: usize, size: usize) -> usize {
    let twice = whole.saturating_sub(size);
    let half = twice / 2;
    if twice % 2 == 1 && half % 2 == 1 { half + 1 } else { half }
}

/// The centre, as torchvision crops: a picture that is too small gets zeros around it first.
pub fn centre_crop(picture: &Picture, height: usize, width: usize) -> Picture {
    let before = |size: usize, have: usize| size.saturating_sub(have) / 2;
    let (pad_top, pad_left) = (before(height, picture.height), before(width, picture.width));
    let (top, left) = (start(picture.height, height), start(picture.width, width));
    let mut rgb = vec![0; height * width * 3];
    let rows = picture.rgb.chunks_exact(picture.width.max(1) * 3).skip(top);
    for (to, from) in rgb.chunks_exact_mut(width.max(1) * 3).skip(pad_top).zip(rows) {
        let to = to.iter_mut().skip(pad_left * 3);
        to.zip(from.iter().skip(left * 3)).for_each(|(t, &f)| *t = f);
    }
    Picture { width, height, rgb }
}
