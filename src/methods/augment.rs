//! DiffAugment (Zhao et al. 2020) as P>M>F fine-tunes with it: colours and translation of a whole batch of preprocessed pictures.
//!
//! What is drawn is a value of its own, so that it can be drawn by any rule and repeated. Gradients do not go through it.

use crate::error::{Error, Result};
use crate::random::Stream;
use crate::tensor::Tensor;

/// How often P>M>F changes a batch at all.
pub const USUAL: f64 = 0.9;

/// Channels of a picture.
const CHANNELS: usize = 3;

/// What is drawn for a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Draws {
    /// Whether all pictures are mirrored, left to right.
    pub flip: bool,
    /// What is drawn for each picture.
    pub pictures: Vec<Draw>,
}

/// What is drawn for a picture, shares uniform in [0, 1).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Draw {
    /// This less a half is added to every number.
    pub brightness: f32,
    /// What every pixel's distance from the mean of its channels is multiplied by, a half for 1.
    pub saturation: f32,
    /// What every number's distance from the mean of its picture is multiplied by, less a half.
    pub contrast: f32,
    /// Rows and columns after which what lies here was: the place that pixel (0, 0) is taken from. Beyond the borders are zeros.
    pub shift: [i64; 2],
    /// The middle of a window of half the rows and columns that becomes zero.
    pub cut: Option<[usize; 2]>,
}

impl Draw {
    /// What changes nothing.
    pub const NONE: Draw = Draw { brightness: 0.5, saturation: 0.5, contrast: 0.5, shift: [0; 2], cut: None };
}

/// Half of an axis of so many pixels, rounded.
fn half(size: usize) -> usize {
    (0.5 * size as f64 + 0.5) as usize
}

/// The farthest that an axis of so many pixels is shifted: an eighth of it, rounded.
fn farthest(size: usize) -> usize {
    (0.125 * size as f64 + 0.5) as usize
}

impl Draws {
    /// Draws for `pictures` of so many rows and columns, windows too where they are to be cut; nothing where they stay as they are, which they
    /// do but for a share of `often` of all batches.
    pub fn drawn(
        stream: &mut Stream,
        (pictures, [rows, columns]): (usize, [usize; 2]),
        often: f64,
        cut: bool,
    ) -> Option<Draws> {
        if stream.uniform() >= often {
            return None;
        }
        let flip = stream.below(2) == 1;
        let mut shift = |size: usize| stream.below(2 * farthest(size) + 1) as i64 - farthest(size) as i64;
        let shifts: Vec<[i64; 2]> = (0..pictures).map(|_| [shift(rows), shift(columns)]).collect();
        let mut share = || stream.uniform() as f32;
        let one = |shift| Draw { brightness: share(), saturation: share(), contrast: share(), shift, cut: None };
        let mut pictures: Vec<Draw> = shifts.into_iter().map(one).collect();
        // An even window's middle may lie behind the last pixel, as DiffAugment draws it.
        let mut middle = |size: usize| stream.below(size + 1 - half(size) % 2);
        pictures.iter_mut().filter(|_| cut).for_each(|p| p.cut = Some([rows, columns].map(&mut middle)));
        Some(Draws { flip, pictures })
    }

    /// Pictures `[n, h, w, 3]` changed: mirrored, brightness, saturation, contrast, shifted, cut, one after the other.
    ///
    /// # Errors
    /// [`Error::Shape`] where these are no such pictures, or not as many as were drawn for.
    pub fn applied(&self, x: &Tensor) -> Result<Tensor> {
        let &[n, h, w, CHANNELS] = x.shape.dims() else {
            return Err(Error::Shape(format!("expected pictures [n,h,w,3], {} given", x.shape)));
        };
        if n != self.pictures.len() || x.shape.is_empty() {
            return Err(Error::Shape(format!(
                "{} pictures were drawn for, not those of {}",
                self.pictures.len(),
                x.shape
            )));
        }
        let pictures = x.data.chunks(h * w * CHANNELS).zip(&self.pictures);
        let data = pictures.flat_map(|(picture, draw)| draw.applied(picture.to_vec(), w, self.flip)).collect();
        Ok(Tensor::new(x.shape, data))
    }
}

impl Draw {
    /// A picture `w` pixels wide, changed.
    fn applied(&self, mut picture: Vec<f32>, w: usize, flip: bool) -> Vec<f32> {
        if flip {
            picture.chunks_mut(w * CHANNELS).for_each(mirror);
        }
        let plus = f64::from(self.brightness) - 0.5;
        picture.iter_mut().for_each(|v| *v = (f64::from(*v) + plus) as f32);
        picture.chunks_mut(CHANNELS).for_each(|pixel| spread(pixel, 2.0 * f64::from(self.saturation)));
        spread(&mut picture, f64::from(self.contrast) + 0.5);
        let mut picture = shifted(&picture, w, self.shift);
        self.cut.iter().for_each(|middle| cut(&mut picture, w, *middle));
        picture
    }
}

/// A row, right to left.
fn mirror(row: &mut [f32]) {
    row.reverse();
    row.chunks_mut(CHANNELS).for_each(<[f32]>::reverse);
}

/// Multiplies the distances from the mean.
fn spread(values: &mut [f32], by: f64) {
    let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / values.len() as f64;
    values.iter_mut().for_each(|v| *v = ((f64::from(*v) - mean) * by + mean) as f32);
}

/// Pixel (i, j) is what was at (i, j) + shift, or zeros.
fn shifted(picture: &[f32], w: usize, [down, right]: [i64; 2]) -> Vec<f32> {
    let rows = picture.len() / (w * CHANNELS);
    let inside = |at: i64, size: usize| usize::try_from(at).ok().filter(|at| *at < size);
    let mut out = vec![0.0; picture.len()];
    for (i, pixel) in out.chunks_mut(CHANNELS).enumerate() {
        let from = inside((i / w) as i64 + down, rows).zip(inside((i % w) as i64 + right, w));
        if let Some(was) = from.and_then(|(row, column)| picture.chunks(CHANNELS).nth(row * w + column)) {
            pixel.copy_from_slice(was);
        }
    }
    out
}

/// Zeros where the window around a middle lies; one that begins or ends outside leaves the nearest row or column zero, as DiffAugment has it.
fn cut(picture: &mut [f32], w: usize, middle: [usize; 2]) {
    let sizes = [picture.len() / (w * CHANNELS), w];
    let place = |axis: usize, i: usize| (i + middle[axis]).saturating_sub(half(sizes[axis]) / 2).min(sizes[axis] - 1);
    for row in (0..half(sizes[0])).map(|i| place(0, i)) {
        for column in (0..half(sizes[1])).map(|j| place(1, j)) {
            picture.chunks_mut(CHANNELS).skip(row * w + column).take(1).for_each(|pixel| pixel.fill(0.0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(draw: Draw, flip: bool, x: &Tensor) -> Vec<f32> {
        Draws { flip, pictures: vec![draw] }.applied(x).unwrap().data
    }

    #[test]
    fn each_change_by_hand() {
        let x = Tensor::new([1, 1, 2, 3], vec![1.0, 2.0, 3.0, 5.0, 6.0, 7.0]);
        assert_eq!(by(Draw::NONE, false, &x), x.data);
        assert_eq!(by(Draw::NONE, true, &x), [5.0, 6.0, 7.0, 1.0, 2.0, 3.0]);
        assert_eq!(by(Draw { brightness: 1.0, ..Draw::NONE }, false, &x), [1.5, 2.5, 3.5, 5.5, 6.5, 7.5]);
        assert_eq!(by(Draw { saturation: 1.0, ..Draw::NONE }, false, &x), [0.0, 2.0, 4.0, 4.0, 6.0, 8.0]);
        assert_eq!(by(Draw { contrast: 0.0, ..Draw::NONE }, false, &x), [2.5, 3.0, 3.5, 4.5, 5.0, 5.5]);
        assert_eq!(by(Draw { shift: [0, 1], ..Draw::NONE }, false, &x), [5.0, 6.0, 7.0, 0.0, 0.0, 0.0]);
        assert_eq!(by(Draw { shift: [-1, 0], ..Draw::NONE }, false, &x), [0.0; 6]);
    }

    #[test]
    fn draws_are_fair_and_the_same_again() {
        let all = |seed: &str| {
            let mut stream = Stream::new(seed);
            (0..2000).map(move |_| Draws::drawn(&mut stream, (2, [16, 24]), USUAL, true)).collect::<Vec<_>>()
        };
        let drawn = all("seed");
        assert!(drawn == all("seed") && drawn != all("other"));
        let changed: Vec<&Draws> = drawn.iter().flatten().collect();
        // 1800 and 900, with deviations of 13 and 21.
        assert!((1740..1860).contains(&changed.len()), "{}", changed.len());
        assert!((800..1000).contains(&changed.iter().filter(|d| d.flip).count()));
        let draws = || changed.iter().flat_map(|d| &d.pictures);
        for axis in 0..2 {
            let most = [2, 3][axis];
            let shifts: Vec<i64> = draws().map(|d| d.shift[axis]).collect();
            assert!((-most..=most).all(|s| shifts.contains(&s)) && shifts.iter().all(|s| s.abs() <= most));
        }
        for share in [|d: &Draw| d.brightness, |d: &Draw| d.saturation, |d: &Draw| d.contrast] {
            let mean = draws().map(|d| f64::from(share(d))).sum::<f64>() / draws().count() as f64;
            assert!((mean - 0.5).abs() < 0.02 && draws().all(|d| (0.0..1.0).contains(&share(d))), "{mean}");
        }
        let middles: Vec<[usize; 2]> = draws().filter_map(|d| d.cut).collect();
        for (axis, most) in [16, 24].into_iter().enumerate() {
            assert!((0..=most).all(|at| middles.iter().any(|m| m[axis] == at)), "{axis}");
            assert!(middles.iter().all(|m| m[axis] <= most) && middles.len() == draws().count());
        }
        let uncut = Draws::drawn(&mut Stream::new("seed"), (2, [16, 24]), 1.0, false).unwrap();
        assert!(uncut.pictures.iter().all(|p| p.cut.is_none()));
        let mut stream = Stream::new("none");
        assert!((0..100).all(|_| Draws::drawn(&mut stream, (1, [8, 8]), 0.0, false).is_none()));
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let draws = Draws { flip: false, pictures: vec![Draw::NONE] };
        for wrong in [vec![2, 4, 4, 3], vec![1, 4, 4, 1], vec![4, 4, 3]] {
            assert!(draws.applied(&Tensor::zeros(wrong.as_slice())).is_err(), "{wrong:?}");
        }
        assert_eq!([15, 16, 24, 224].map(farthest), [2, 2, 3, 28]);
    }
}
