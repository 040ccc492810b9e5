//! From values to pixels: libjpeg-turbo's accurate integer transform, its smooth upsampling and its colours, bit for bit.

use super::frame::{Block, Component, Frame};
use super::tables::ZIGZAG;
use image::{DynamicImage, GrayImage, RgbImage};
use std::ops::{Add, Mul, Shl, Shr, Sub};

/// Eight numbers at once: a compiler makes few instructions of them.
#[derive(Clone, Copy, Default)]
struct Eight([i32; 8]);

impl Eight {
    #[inline(always)]
    fn each(self, other: Eight, f: impl Fn(i32, i32) -> i32) -> Eight {
        let Eight(mut all) = self;
        all.iter_mut().zip(other.0).for_each(|(a, b)| *a = f(*a, b));
        Eight(all)
    }
}

macro_rules! operator {
    ($name:ident, $function:ident, $wrapping:ident) => {
        impl $name for Eight {
            type Output = Eight;
            #[inline(always)]
            fn $function(self, other: Eight) -> Eight {
                self.each(other, i32::$wrapping)
            }
        }
    };
}

operator!(Add, add, wrapping_add);
operator!(Sub, sub, wrapping_sub);

impl Mul<i32> for Eight {
    type Output = Eight;
    #[inline(always)]
    fn mul(self, factor: i32) -> Eight {
        self.each(self, |a, _| a.wrapping_mul(factor))
    }
}

impl Shl<u32> for Eight {
    type Output = Eight;
    #[inline(always)]
    fn shl(self, bits: u32) -> Eight {
        self.each(self, |a, _| a << bits)
    }
}

impl Shr<u32> for Eight {
    type Output = Eight;
    /// Rounded to the nearest.
    #[inline(always)]
    fn shr(self, bits: u32) -> Eight {
        self.each(self, |a, _| a.wrapping_add(1 << (bits - 1)) >> bits)
    }
}

/// Bits behind the point of the factors, and of the values between the two passes.
const BITS: u32 = 13;
const BETWEEN: u32 = 2;

/// The transform along columns of the eight rows; the method of Loeffler, Ligtenberg and Moschytz as libjpeg has it.
#[inline(always)]
fn pass([v0, v1, v2, v3, v4, v5, v6, v7]: [Eight; 8], shift: u32) -> [Eight; 8] {
    let z1 = (v2 + v6) * 4433;
    let (t2, t3) = (z1 + v6 * -15137, z1 + v2 * 6270);
    let (t0, t1) = ((v0 + v4) << BITS, (v0 - v4) << BITS);
    let (e0, e1, e2, e3) = (t0 + t3, t1 + t2, t1 - t2, t0 - t3);
    let (z1, z2, z3, z4) = (v7 + v1, v5 + v3, v7 + v3, v5 + v1);
    let z5 = (z3 + z4) * 9633;
    let (z1, z2, z3, z4) = (z1 * -7373, z2 * -20995, z3 * -16069 + z5, z4 * -3196 + z5);
    let (o0, o1) = (v7 * 2446 + z1 + z3, v5 * 16819 + z2 + z4);
    let (o2, o3) = (v3 * 25172 + z2 + z3, v1 * 12299 + z1 + z4);
    [e0 + o3, e1 + o2, e2 + o1, e3 + o0, e3 - o0, e2 - o1, e1 - o2, e0 - o3].map(|sum| sum >> shift)
}

#[inline(always)]
fn transposed(rows: [Eight; 8]) -> [Eight; 8] {
    let mut all = [Eight::default(); 8];
    for (i, row) in rows.iter().enumerate() {
        for (to, &value) in all.iter_mut().zip(&row.0) {
            if let Some(slot) = to.0.get_mut(i) {
                *slot = value;
            }
        }
    }
    all
}

/// The samples of a block whose last value, in the file's order, has the place `reach`.
pub(super) fn samples(block: &Block, steps: &[u16; 64], reach: usize) -> [[u8; 8]; 8] {
    match reach {
        0 => {
            let value = i32::from(block[0]).wrapping_mul(i32::from(steps[0])).wrapping_mul(1 << BETWEEN);
            let value = value.wrapping_add(1 << (BETWEEN + 2)) >> (BETWEEN + 3);
            [[value.wrapping_add(128).clamp(0, 255) as u8; 8]; 8]
        }
        // These lie in four columns and four rows: the compiler leaves out what is multiplied by nothing.
        1..=9 => transformed(block, steps, |[a, b, c, d, ..]| {
            let none = Eight::default();
            [a, b, c, d, none, none, none, none]
        }),
        _ => transformed(block, steps, |rows| rows),
    }
}

#[inline(always)]
fn transformed(block: &Block, steps: &[u16; 64], some: impl Fn([Eight; 8]) -> [Eight; 8]) -> [[u8; 8]; 8] {
    let mut rows = [Eight::default(); 8];
    let values = block.as_chunks::<8>().0.iter().zip(steps.as_chunks::<8>().0);
    for (row, (values, steps)) in rows.iter_mut().zip(values) {
        let numbers = values.iter().zip(steps).map(|(v, s)| i32::from(*v).wrapping_mul(i32::from(*s)));
        row.0.iter_mut().zip(numbers).for_each(|(to, number)| *to = number);
    }
    let columns = transposed(pass(some(rows), BITS - BETWEEN));
    let rows = transposed(pass(some(columns), BITS + BETWEEN + 3));
    rows.map(|row| row.0.map(|v| v.wrapping_add(128).clamp(0, 255) as u8))
}

/// Makes samples of a progressive component's values.
pub(super) fn transform(component: &mut Component) {
    let Some(quantization) = component.quantization.as_ref().filter(|_| component.samples.is_empty()) else { return };
    let (values, steps) = (std::mem::take(&mut component.values), quantization.steps);
    component.samples = vec![0; values.len()];
    let stride = component.stride.max(1);
    for (number, block) in values.as_chunks::<64>().0.iter().enumerate() {
        let reach = ZIGZAG.iter().rposition(|&place| block.get(usize::from(place)).is_some_and(|v| *v != 0));
        component.put(number % stride, number / stride, &samples(block, &steps, reach.unwrap_or(0)));
    }
}

/// The picture: gray, or red, green and blue, for which `luma` says whether the components are luma and two differences.
pub(super) fn image(frame: &Frame, luma: bool) -> Option<DynamicImage> {
    let [width, height] = frame.size;
    let [w, h] = frame.size.map(|s| s as u32);
    let channels = frame.components.len();
    let mut all = vec![0; width * height * channels];
    let mut lines = vec![vec![0; width + 8]; channels];
    let mut scratch = vec![];
    for (y, row) in all.chunks_exact_mut((width * channels).max(1)).enumerate() {
        for (component, line) in frame.components.iter().zip(&mut lines) {
            upsample(component, frame.most, y, &mut scratch, line);
        }
        match lines.as_slice() {
            [gray] => row.iter_mut().zip(gray).for_each(|(to, v)| *to = *v),
            [a, b, c] => {
                let pixels = row.as_chunks_mut().0.iter_mut().zip(a.iter().zip(b).zip(c));
                pixels.for_each(|(to, ((&a, &b), &c))| *to = if luma { color([a, b, c]) } else { [a, b, c] });
            }
            _ => return None,
        }
    }
    match channels {
        1 => GrayImage::from_raw(w, h, all).map(DynamicImage::ImageLuma8),
        _ => RgbImage::from_raw(w, h, all).map(DynamicImage::ImageRgb8),
    }
}

/// Red, green and blue of luma and two differences, with 16 bits behind the point.
#[inline(always)]
fn color([y, blue, red]: [u8; 3]) -> [u8; 3] {
    const HALF: i32 = 1 << 15;
    let (y, blue, red) = (i32::from(y), i32::from(blue) - 128, i32::from(red) - 128);
    let r = y + ((91_881 * red + HALF) >> 16);
    let g = y + ((-22_554 * blue - 46_802 * red + HALF) >> 16);
    let b = y + ((116_130 * blue + HALF) >> 16);
    [r, g, b].map(|v| v.clamp(0, 255) as u8)
}

/// Row `y` of the picture in a component.
fn upsample(component: &Component, most: [usize; 2], y: usize, scratch: &mut Vec<u16>, line: &mut [u8]) {
    let [wide, high] = component.size;
    let [across, down] = [most[0] / component.sampling[0], most[1] / component.sampling[1]];
    let row = |y: usize| {
        component
            .samples
            .chunks_exact(8 * component.stride.max(1))
            .nth(y)
            .and_then(|r| r.get(..wide))
            .unwrap_or_default()
    };
    let near = row(y / down);
    // The neighbour on the other side, where rows are doubled; the last row is its own.
    let far = if y.is_multiple_of(2) { (y / 2).saturating_sub(1) } else { (y / 2 + 1).min(high.saturating_sub(1)) };
    match (across, down) {
        (1, 1) => line.iter_mut().zip(near).for_each(|(to, v)| *to = *v),
        (2, 1) if wide > 2 => smooth(near.iter().map(|v| u16::from(*v)), [1, 2, 2], scratch, line),
        (1, 2) => {
            let bias = if y.is_multiple_of(2) { 1 } else { 2 };
            let pairs = near.iter().zip(row(far)).map(|(n, f)| ((3 * u16::from(*n) + u16::from(*f) + bias) >> 2) as u8);
            line.iter_mut().zip(pairs).for_each(|(to, v)| *to = v);
        }
        (2, 2) if wide > 2 => {
            smooth(near.iter().zip(row(far)).map(|(n, f)| 3 * u16::from(*n) + u16::from(*f)), [8, 7, 4], scratch, line);
        }
        _ => line.iter_mut().zip(near.iter().flat_map(|v| std::iter::repeat_n(*v, across))).for_each(|(to, v)| *to = v),
    }
}

/// Doubles a row: three quarters of the nearer value and a quarter of the other one. `left` and `right` are added before the sum is cut by
/// `bits`.
fn smooth(values: impl Iterator<Item = u16>, [left, right, bits]: [u16; 3], scratch: &mut Vec<u16>, line: &mut [u8]) {
    scratch.clear();
    scratch.extend(values);
    let whole = |v: u16, add: u16| ((4 * v + add) >> bits) as u8;
    let (pairs, _) = line.as_chunks_mut::<2>();
    for (pair, w) in pairs.iter_mut().skip(1).zip(scratch.windows(3)) {
        if let &[before, this, after] = w {
            *pair = [((3 * this + before + left) >> bits) as u8, ((3 * this + after + right) >> bits) as u8];
        }
    }
    if let (Some(pair), [first, second, ..]) = (pairs.first_mut(), scratch.as_slice()) {
        *pair = [whole(*first, left), ((3 * first + second + right) >> bits) as u8];
    }
    if let (Some(pair), [.., before, last]) =
        (scratch.len().checked_sub(1).and_then(|i| pairs.get_mut(i)), scratch.as_slice())
    {
        *pair = [((3 * last + before + left) >> bits) as u8, whole(*last, right)];
    }
}
