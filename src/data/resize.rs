//! Resizing in two passes, rows first, with the weights of Pillow: to 8 bits bit for bit as Pillow does (weights as integers of 22 bits,
//! the result of each pass rounded to u8), or in floats as PyTorch's antialiased interpolation does.

use super::Picture;
use std::borrow::Cow;
use std::marker::PhantomData;
use std::ops::AddAssign;

/// Which kernel weighs the neighbours; both widen when shrinking (antialiasing), as Pillow's do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// A triangle of support 1.
    Bilinear,
    /// Cubic convolution with a = -0.5, support 2.
    Bicubic,
}

impl Filter {
    /// Its name in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Filter::Bilinear => "bilinear",
            Filter::Bicubic => "bicubic",
        }
    }

    fn support(self) -> f64 {
        match self {
            Filter::Bilinear => 1.0,
            Filter::Bicubic => 2.0,
        }
    }

    fn weight(self, u: f64) -> f64 {
        const A: f64 = -0.5;
        let u = u.abs();
        match self {
            Filter::Bilinear => (1.0 - u).max(0.0),
            Filter::Bicubic if u < 1.0 => ((A + 2.0) * u - (A + 3.0)) * u * u + 1.0,
            Filter::Bicubic if u < 2.0 => (((u - 5.0) * u + 8.0) * u - 4.0) * A,
            Filter::Bicubic => 0.0,
        }
    }
}

/// The arithmetic of weighted sums.
trait Sums {
    type From: Copy;
    type To;
    type Weight: Copy;
    type Sum: Copy + Default + AddAssign;
    /// A weight from its share of 1.
    fn weight(share: f64) -> Self::Weight;
    fn product(weight: Self::Weight, value: Self::From) -> Self::Sum;
    fn value(sum: Self::Sum) -> Self::To;
}

/// Pillow's, in integers.
struct Fixed;

const BITS: u32 = 22;

impl Sums for Fixed {
    type From = u8;
    type To = u8;
    type Weight = i32;
    type Sum = i64;

    fn weight(share: f64) -> i32 {
        let scaled = share * f64::from(1 << BITS);
        (scaled + if scaled < 0.0 { -0.5 } else { 0.5 }) as i32
    }

    fn product(weight: i32, value: u8) -> i64 {
        i64::from(weight) * i64::from(value)
    }

    fn value(sum: i64) -> u8 {
        ((sum + (1 << (BITS - 1))) >> BITS).clamp(0, 255) as u8
    }
}

/// In floats, of values of any kind.
struct Float<T>(PhantomData<T>);

impl<T: Copy + Into<f32>> Sums for Float<T> {
    type From = T;
    type To = f32;
    type Weight = f32;
    type Sum = f32;

    fn weight(share: f64) -> f32 {
        share as f32
    }

    fn product(weight: f32, value: T) -> f32 {
        weight * value.into()
    }

    fn value(sum: f32) -> f32 {
        sum
    }
}

/// First source index and weights of one output index.
struct Taps<W> {
    first: usize,
    weights: Vec<W>,
}

fn taps<S: Sums>(from: usize, to: usize, filter: Filter) -> Vec<Taps<S::Weight>> {
    let scale = from as f64 / to as f64;
    let stretch = scale.max(1.0);
    let support = filter.support() * stretch;
    let one = |o: usize| {
        let centre = (o as f64 + 0.5) * scale;
        let lo = ((centre - support + 0.5) as i64).max(0) as usize;
        let hi = ((centre + support + 0.5) as usize).min(from);
        let raw: Vec<f64> = (lo..hi).map(|i| filter.weight((i as f64 - centre + 0.5) / stretch)).collect();
        let total: f64 = raw.iter().sum();
        Taps { first: lo, weights: raw.into_iter().map(|w| S::weight(w / total)).collect() }
    };
    (0..to).map(one).collect()
}

/// The picture at another size, as `Image.resize` of Pillow gives it: in 8 bits; 16-bit pictures are converted first.
pub fn resize(picture: &Picture, width: usize, height: usize, filter: Filter) -> Picture {
    let mut now = picture.rgb8();
    if width != picture.width {
        now = Cow::Owned(horizontal::<Fixed>(&now, picture.width, width, filter));
    }
    if height != picture.height {
        now = Cow::Owned(vertical::<Fixed>(&now, [picture.height, height], width, filter));
    }
    Picture::new(width, height, now.into_owned())
}

/// RGB values of `from` columns and rows at the size `to`, neither rounded nor clamped: the bicubic filter may overshoot.
pub(super) fn resize_floats<T: Copy + Into<f32>>(
    rgb: &[T],
    from: [usize; 2],
    to: [usize; 2],
    filter: Filter,
) -> Vec<f32> {
    let rows = [from[1], to[1]];
    match (from[0] == to[0], from[1] == to[1]) {
        (true, true) => rgb.iter().map(|&v| v.into()).collect(),
        (true, false) => vertical::<Float<T>>(rgb, rows, to[0], filter),
        (false, true) => horizontal::<Float<T>>(rgb, from[0], to[0], filter),
        (false, false) => {
            vertical::<Float<f32>>(&horizontal::<Float<T>>(rgb, from[0], to[0], filter), rows, to[0], filter)
        }
    }
}

/// RGB rows of `from` columns, of `to` columns.
fn horizontal<S: Sums>(rgb: &[S::From], from: usize, to: usize, filter: Filter) -> Vec<S::To> {
    let taps = taps::<S>(from, to, filter);
    let rows = rgb.chunks_exact(from * 3);
    let mut out = Vec::with_capacity(to * rows.len() * 3);
    for row in rows {
        for tap in &taps {
            let pixels = row.chunks_exact(3).skip(tap.first);
            let mut sums = [S::Sum::default(); 3];
            for (pixel, &w) in pixels.zip(&tap.weights) {
                sums.iter_mut().zip(pixel).for_each(|(s, &v)| *s += S::product(w, v));
            }
            out.extend(sums.map(S::value));
        }
    }
    out
}

/// RGB rows of `width` columns, `to` instead of `from` of them.
fn vertical<S: Sums>(rgb: &[S::From], [from, to]: [usize; 2], width: usize, filter: Filter) -> Vec<S::To> {
    let stride = width * 3;
    let mut out = Vec::with_capacity(stride * to);
    let mut sums = vec![S::Sum::default(); stride];
    for tap in taps::<S>(from, to, filter) {
        sums.fill(S::Sum::default());
        for (row, &w) in rgb.chunks_exact(stride).skip(tap.first).zip(&tap.weights) {
            sums.iter_mut().zip(row).for_each(|(s, &v)| *s += S::product(w, v));
        }
        out.extend(sums.iter().map(|&s| S::value(s)));
    }
    out
}
