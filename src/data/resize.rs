//! Pillow's 8-bit resize, bit for bit: two passes, weights as integers of 22 bits, the result of each pass rounded to u8.

use super::Picture;

/// Which kernel weighs the neighbours; both widen when shrinking (antialiasing), as Pillow's do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// A triangle of support 1.
    Bilinear,
    /// Cubic convolution with a = -0.5, support 2.
    Bicubic,
}

impl Filter {
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

const BITS: u32 = 22;

/// First source index and weights of one output index.
struct Taps {
    first: usize,
    weights: Vec<i32>,
}

fn taps(from: usize, to: usize, filter: Filter) -> Vec<Taps> {
    let scale = from as f64 / to as f64;
    let stretch = scale.max(1.0);
    let support = filter.support() * stretch;
    let one = |o: usize| {
        let centre = (o as f64 + 0.5) * scale;
        let lo = ((centre - support + 0.5) as i64).max(0) as usize;
        let hi = ((centre + support + 0.5) as usize).min(from);
        let raw: Vec<f64> = (lo..hi).map(|i| filter.weight((i as f64 - centre + 0.5) / stretch)).collect();
        let total: f64 = raw.iter().sum();
        let fixed = |w: f64| {
            let scaled = w / total * f64::from(1 << BITS);
            (scaled + if scaled < 0.0 { -0.5 } else { 0.5 }) as i32
        };
        Taps { first: lo, weights: raw.into_iter().map(fixed).collect() }
    };
    (0..to).map(one).collect()
}

fn rounded(sum: i64) -> u8 {
    ((sum + (1 << (BITS - 1))) >> BITS).clamp(0, 255) as u8
}

/// The picture at another size, as `Image.resize` of Pillow gives it.
pub fn resize(picture: &Picture, width: usize, height: usize, filter: Filter) -> Picture {
    let mut now = picture.clone();
    if width != now.width {
        now = horizontal(&now, &taps(now.width, width, filter));
    }
    if height != now.height {
        now = vertical(&now, &taps(now.height, height, filter));
    }
    now
}

fn horizontal(p: &Picture, taps: &[Taps]) -> Picture {
    let mut rgb = Vec::with_capacity(taps.len() * p.height * 3);
    for row in p.rgb.chunks_exact(p.width * 3) {
        for tap in taps {
            let pixels = row.chunks_exact(3).skip(tap.first);
            let mut sum = [0i64; 3];
            for (pixel, &w) in pixels.zip(&tap.weights) {
                for (s, &v) in sum.iter_mut().zip(pixel) {
                    *s += i64::from(w) * i64::from(v);
                }
            }
            rgb.extend(sum.map(rounded));
        }
    }
    Picture { width: taps.len(), height: p.height, rgb }
}

fn vertical(p: &Picture, taps: &[Taps]) -> Picture {
    let stride = p.width * 3;
    let mut rgb = Vec::with_capacity(stride * taps.len());
    let mut sums = vec![0i64; stride];
    for tap in taps {
        sums.fill(0);
        for (row, &w) in p.rgb.chunks_exact(stride).skip(tap.first).zip(&tap.weights) {
            for (s, &v) in sums.iter_mut().zip(row) {
                *s += i64::from(w) * i64::from(v);
            }
        }
        rgb.extend(sums.iter().map(|&s| rounded(s)));
    }
    Picture { width: p.width, height: taps.len(), rgb }
}
