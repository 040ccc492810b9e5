//! From a picture to a network's input: resize, crop, channel order, scale, mean and standard deviation.

use super::picture::{Picture, Samples};
use super::resize::{Filter, resize, resize_floats};
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

/// In which arithmetic a picture is resized.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resampling {
    /// Pillow's: 8-bit pictures stay 8 bits, rounded after each pass. 16-bit pictures are resized in floats anyway.
    Pillow,
    /// In floats without rounding, as PyTorch's antialiased interpolation of float pictures.
    Float,
}

/// Order of the channels in a network's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelOrder {
    /// Red first.
    Rgb,
    /// Blue first.
    Bgr,
}

/// A network's input, made from a picture.
#[derive(Clone, Debug, PartialEq)]
pub enum Prepared {
    /// 8 bits: red, green, blue of each pixel, row by row; they become numbers by [`Preprocess::table`].
    Bytes {
        /// The values.
        rgb: Vec<u8>,
        /// Rows and columns.
        size: [usize; 2],
    },
    /// Numbers, `[1, h, w, 3]`.
    Numbers(Tensor),
}

impl Prepared {
    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        match self {
            Prepared::Bytes { rgb, .. } => rgb.len(),
            Prepared::Numbers(tensor) => 4 * tensor.data.len(),
        }
    }

    /// Rows and columns.
    pub fn size(&self) -> [usize; 2] {
        match self {
            Prepared::Bytes { size, .. } => *size,
            Prepared::Numbers(tensor) => [tensor.shape.dim(1), tensor.shape.dim(2)],
        }
    }
}

/// What is cut off right and below, so that patches cover the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Edge of a patch: rows and columns become multiples of it.
    pub patch: usize,
    /// Patches that a picture may have at most.
    pub most: usize,
}

/// Everything that happens to a picture before a network sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Preprocess {
    /// Resize, if any.
    pub scaling: Option<Scaling>,
    /// Which filter resizes.
    pub filter: Filter,
    /// In which arithmetic.
    pub resampling: Resampling,
    /// Rows and columns of the centre crop, if any.
    pub crop: Option<[usize; 2]>,
    /// What is cut off right and below, if anything; not together with a crop.
    pub cut: Option<Cut>,
    /// Order of the channels.
    pub order: ChannelOrder,
    /// What 8-bit values are divided by; 16-bit values are divided by 257 before.
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
            resampling: Resampling::Pillow,
            crop: Some([crop; 2]),
            cut: None,
            order: ChannelOrder::Rgb,
            divisor: 255.0,
            mean: [0.485, 0.456, 0.406],
            std: [0.229, 0.224, 0.225],
        }
    }

    /// The picture at the network's size by Pillow's arithmetic, in 8 bits; 16-bit pictures are converted first.
    ///
    /// # Errors
    /// As [`Preprocess::apply`].
    pub fn sized(&self, picture: &Picture) -> Result<Picture> {
        let [w, h] = self.bounded(picture)?;
        let sized = resize(picture, w, h, self.filter);
        Ok(match self.left([w, h]) {
            [width, height] if [width, height] == [w, h] => sized,
            [width, height] => Picture::new(width, height, self.cropped(&sized.rgb8(), [w, h])),
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

    /// Where the network's input is in a picture of `width x height`, in the picture's pixels: x, y, width, height. It extends beyond
    /// the picture if that is smaller than the crop.
    pub fn area(&self, width: usize, height: usize) -> [f64; 4] {
        let [w, h] = self.resized(width, height);
        let [crop_w, crop_h] = self.left([w, h]);
        let first = |whole: usize, size: usize| match size.saturating_sub(whole) {
            _ if self.crop.is_none() => 0.0,
            0 => start(whole, size) as f64,
            missing => -((missing / 2) as f64),
        };
        let (x, y) = (width as f64 / w.max(1) as f64, height as f64 / h.max(1) as f64);
        [first(w, crop_w) * x, first(h, crop_h) * y, crop_w as f64 * x, crop_h as f64 * y]
    }

    /// The network's input, in 8 bits if the picture still has no more at the network's size.
    ///
    /// # Errors
    /// [`Error::Input`] for a strip so long that it cannot be resized.
    pub fn prepare(&self, picture: &Picture) -> Result<Prepared> {
        match &picture.samples {
            Samples::Eight(_) if self.gives_bytes() => {
                let sized = self.sized(picture)?;
                Ok(Prepared::Bytes { size: [sized.height, sized.width], rgb: sized.rgb8().into_owned() })
            }
            Samples::Eight(rgb) => self.in_floats(picture, rgb, 1.0).map(Prepared::Numbers),
            Samples::Sixteen(rgb) => self.in_floats(picture, rgb, 257.0).map(Prepared::Numbers),
        }
    }

    /// The network's input as numbers, `[1, h, w, 3]`.
    ///
    /// # Errors
    /// As [`Preprocess::prepare`].
    pub fn apply(&self, picture: &Picture) -> Result<Tensor> {
        Ok(self.numbers(self.prepare(picture)?))
    }

    /// A prepared picture as numbers, `[1, h, w, 3]`.
    pub fn numbers(&self, prepared: Prepared) -> Tensor {
        match prepared {
            Prepared::Bytes { rgb, size: [h, w] } => self.input(&rgb, [w, h], 1.0),
            Prepared::Numbers(tensor) => tensor,
        }
    }

    /// Whether pictures of 8 bits still have 8 bits at the network's size.
    pub fn gives_bytes(&self) -> bool {
        self.resampling == Resampling::Pillow
    }

    /// What each of the 256 values of 8 bits becomes, `[3, 256]`: a row for each of the network's channels.
    pub fn table(&self) -> Tensor {
        Tensor::from_fn([3, 256], |i| self.number((i % 256) as f32, 1.0, i / 256))
    }

    /// For each of the network's channels, which one of the picture's it is: red, green, blue.
    pub fn channels(&self) -> [usize; 3] {
        if self.order == ChannelOrder::Rgb { [0, 1, 2] } else { [2, 1, 0] }
    }

    /// The number that a value becomes in the network's channel `c`; `unit` is the size of one 8-bit level in it.
    fn number(&self, v: f32, unit: f32, c: usize) -> f32 {
        let [mean, std] = [self.mean, self.std].map(|of| of.get(c).copied().unwrap_or(f32::NAN));
        (v / unit / self.divisor - mean) / std
    }

    /// The network's input without intermediate rounding; `unit` is the size of one 8-bit level in `rgb`.
    fn in_floats<T: Copy + Into<f32>>(&self, picture: &Picture, rgb: &[T], unit: f32) -> Result<Tensor> {
        let to = self.bounded(picture)?;
        let sized = resize_floats(rgb, [picture.width, picture.height], to, self.filter);
        Ok(match self.left(to) {
            left if left == to => self.input(&sized, to, unit),
            left => self.input(&self.cropped(&sized, to), left, unit),
        })
    }

    /// Columns and rows that crop and cut leave of a picture at the network's scale.
    fn left(&self, [w, h]: [usize; 2]) -> [usize; 2] {
        match (self.crop, self.cut) {
            (Some([height, width]), _) => [width, height],
            (None, Some(Cut { patch, .. })) => [w, h].map(|n| n / patch.max(1) * patch.max(1)),
            (None, None) => [w, h],
        }
    }

    /// What crop and cut leave of RGB values.
    fn cropped<T: Copy + Default>(&self, rgb: &[T], from: [usize; 2]) -> Vec<T> {
        let left @ [w, h] = self.left(from);
        match self.crop {
            Some(_) => centre_crop(rgb, from, left),
            None => {
                rgb.chunks_exact(from[0].max(1) * 3).take(h).flat_map(|row| row.iter().take(3 * w).copied()).collect()
            }
        }
    }

    /// Values brought to the network's order and scale.
    fn input<T: Copy + Into<f32>>(&self, rgb: &[T], [width, height]: [usize; 2], unit: f32) -> Tensor {
        let mut data = Vec::with_capacity(rgb.len());
        for pixel in rgb.chunks_exact(3) {
            for (c, source) in self.channels().into_iter().enumerate() {
                let v = pixel.get(source).map_or(0.0, |&v| v.into());
                data.push(self.number(v, unit, c));
            }
        }
        Tensor::new([1, height, width, 3], data)
    }

    /// Columns and rows after resizing. A strip of one row would become its length times the scale: the bound limits the memory.
    fn bounded(&self, picture: &Picture) -> Result<[usize; 2]> {
        let [w, h] = self.resized(picture.width, picture.height);
        let name = if picture.name.is_empty() { "a picture" } else { picture.name.as_str() };
        let what = || format!("{name}: is {}x{} and would become {w}x{h} when resized", picture.width, picture.height);
        if w.saturating_mul(h) > (1 << 28).max(picture.width * picture.height) {
            return Err(Error::Input(format!("{}; cut it into pieces first", what())));
        }
        match self.cut {
            Some(Cut { patch, most }) if (w / patch.max(1)).saturating_mul(h / patch.max(1)) > most => {
                let advice =
                    format!("{patch}x{patch} patches of which at most {most} are supported; cut it into pieces first");
                Err(Error::Input(format!("{}, {advice}", what())))
            }
            _ => Ok([w, h]),
        }
    }
}

/// Where a crop of `size` begins in `whole`: `int(round((whole - size) / 2))`, halves to even.
fn start(whole: usize, size: usize) -> usize {
    let twice = whole.saturating_sub(size);
    let half = twice / 2;
    if twice % 2 == 1 && half % 2 == 1 { half + 1 } else { half }
}

/// The centre of RGB values, as torchvision crops: a picture that is too small gets zeros around it first. Sizes are columns and rows.
fn centre_crop<T: Copy + Default>(rgb: &[T], from: [usize; 2], [width, height]: [usize; 2]) -> Vec<T> {
    let before = |size: usize, have: usize| size.saturating_sub(have) / 2;
    let (pad_left, pad_top) = (before(width, from[0]), before(height, from[1]));
    let (left, top) = (start(from[0], width), start(from[1], height));
    let mut out = vec![T::default(); height * width * 3];
    let rows = rgb.chunks_exact(from[0].max(1) * 3).skip(top);
    for (to, from) in out.chunks_exact_mut(width.max(1) * 3).skip(pad_top).zip(rows) {
        let to = to.iter_mut().skip(pad_left * 3);
        to.zip(from.iter().skip(left * 3)).for_each(|(t, &f)| *t = f);
    }
    out
}
