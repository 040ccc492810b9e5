//! A heat map over its picture, with its colour scale.

use super::color::color;
use super::font::{self, text_width};
use super::map::taps;
use super::{Canvas, text};

/// Behind the scale.
const BACK: [u8; 3] = [24; 3];
/// Around the area of the map.
const FRAME: [u8; 3] = [255; 3];
/// Opacity of the colour where the map is highest; the picture stays visible everywhere.
const OPACITY: f64 = 0.75;

/// The picture with its heat map, and the scale in columns added on the right.
///
/// `map` has a value for each of the picture's pixels, as [`full_map`](super::full_map) makes it, and covers `at`: x, y, width, height in
/// pixels. What lies outside was not looked at: it is dark and gray, with a thin frame around the area. `scale` are the values of the
/// first and the last colour, the same for all pictures of a run so that they compare; the higher a value, the less transparent. `limit`
/// is marked on the scale.
pub fn overlay(picture: &Canvas, map: &[f32], at: [f64; 4], scale: [f32; 2], limit: Option<f32>) -> Canvas {
    let legend = Legend { unit: picture.unit(), left: picture.width, scale, limit };
    let mut out = Canvas::new(picture.width + legend.width(), picture.height, BACK);
    out.paste(picture, 0, 0);
    let inside =
        |pixels, start, length| taps(pixels, start, length, 1).iter().map(Option::is_some).collect::<Vec<bool>>();
    let (columns, rows) = (inside(picture.width, at[0], at[2]), inside(picture.height, at[1], at[3]));
    let thick = picture.unit().div_ceil(2);
    let (near_columns, near_rows) = (near(&columns, thick), near(&rows, thick));
    let (stride, heat) = (out.width * 3, Heat::new(scale));
    let lines = out.rgb.chunks_exact_mut(stride).zip(map.chunks_exact(picture.width.max(1)));
    for ((line, values), (row, near_row)) in lines.zip(rows.into_iter().zip(near_rows)) {
        let across = columns.iter().zip(&near_columns);
        for ((pixel, &value), (&column, &near_column)) in line.as_chunks_mut().0.iter_mut().zip(values).zip(across) {
            *pixel = match row && column {
                true => heat.over(*pixel, value),
                false if near_row && near_column => FRAME,
                false => unseen(*pixel),
            };
        }
    }
    legend.draw(&mut out);
    out
}

/// The colours of a scale in so many steps that none is seen, each with its opacity: a pixel takes a few integers instead of a dozen
/// floats, and large heat maps a fraction of the time.
struct Heat {
    first: f32,
    steps: f32,
    /// What is kept of the picture and what is added, with 16 bits behind the point.
    table: Vec<(u32, [u32; 3])>,
}

impl Heat {
    const STEPS: usize = 4096;

    fn new([lo, hi]: [f32; 2]) -> Heat {
        let step = |i: usize| {
            let heat = i as f64 / Self::STEPS as f64;
            let part = (OPACITY * heat * 65536.0).round() as u32;
            (65536 - part, color(heat).map(|c| u32::from(c) * part + 32768))
        };
        Heat { first: lo, steps: Self::STEPS as f32 / (hi - lo), table: (0..=Self::STEPS).map(step).collect() }
    }

    /// A pixel under a value; one that is no number lies at the beginning of the scale.
    fn over(&self, pixel: [u8; 3], value: f32) -> [u8; 3] {
        let at = ((value - self.first) * self.steps + 0.5).max(0.0) as usize;
        let Some((keep, [r, g, b])) = self.table.get(at.min(Self::STEPS)) else { return pixel };
        let [x, y, z] = pixel.map(|v| u32::from(v) * keep);
        [x + r, y + g, z + b].map(|v| (v >> 16) as u8)
    }
}

/// Which pixels of an axis are in the area or at most `thick` from it.
fn near(inside: &[bool], thick: usize) -> Vec<bool> {
    let Some((first, last)) = inside.iter().position(|i| *i).zip(inside.iter().rposition(|i| *i)) else {
        return vec![false; inside.len()];
    };
    (0..inside.len()).map(|i| i + thick >= first && i <= last + thick).collect()
}

/// Half the luma (Rec. 601): for a part of the picture that was not looked at.
fn unseen([r, g, b]: [u8; 3]) -> [u8; 3] {
    let luma = (u32::from(r) * 299 + u32::from(g) * 587 + u32::from(b) * 114) / 1000;
    [(luma / 2) as u8; 3]
}

/// Where a value lies on the scale, 0 to 1; NaN is at 0.
fn share(v: f32, [lo, hi]: [f32; 2]) -> f64 {
    let at = (f64::from(v) - f64::from(lo)) / (f64::from(hi) - f64::from(lo));
    if at > 0.0 { at.min(1.0) } else { 0.0 }
}

/// The bar of colours with its numbers, to the right of column `left`.
struct Legend {
    /// Pixels of a font's dot, of which all other lengths are multiples.
    unit: usize,
    left: usize,
    scale: [f32; 2],
    limit: Option<f32>,
}

impl Legend {
    /// Left of the bar, width of the bar, left of the numbers: in dots.
    const BAR: [usize; 3] = [4, 10, 18];

    /// Pixels in width.
    fn width(&self) -> usize {
        let values = self.scale.into_iter().chain(self.limit);
        let widest = values.map(|v| text_width(&number(v), self.unit)).max().unwrap_or(0);
        (Self::BAR[2] + 4) * self.unit + widest
    }

    fn draw(&self, out: &mut Canvas) {
        let (unit, height) = (self.unit as i64, out.height as i64);
        let [bar, width, numbers] = Self::BAR.map(|v| v as i64 * unit);
        let (bar, numbers) = (self.left as i64 + bar, self.left as i64 + numbers);
        let (top, bottom) = (4 * unit, height - 4 * unit);
        let last = (bottom - top - 1).max(1);
        for y in top..bottom {
            out.fill([bar, y, width, 1], color((bottom - 1 - y) as f64 / last as f64));
        }
        let letters = font::ROWS as i64 * unit;
        let [lo, hi] = self.scale.map(number);
        text(out, numbers, top, self.unit, [190; 3], &hi);
        text(out, numbers, bottom - letters, self.unit, [190; 3], &lo);
        if let Some(limit) = self.limit {
            let y = bottom - 1 - (share(limit, self.scale) * last as f64).round() as i64;
            out.fill([bar - 2 * unit, y - unit, width + 4 * unit, 3 * unit], [0; 3]);
            out.fill([bar - 2 * unit, y, width + 4 * unit, unit], [255; 3]);
            // Beside its mark, but not over the numbers at the ends.
            let apart = letters + 2 * unit;
            let label = (y - letters / 2).max(top + apart).min(bottom - letters - apart);
            text(out, numbers, label, self.unit, [255; 3], &number(limit));
        }
    }
}

/// A value in four digits, or in three with an exponent.
fn number(v: f32) -> String {
    let size = v.abs();
    if v == 0.0 {
        "0".into()
    } else if !(1e-3..1e5).contains(&size) {
        format!("{v:.2e}")
    } else {
        let digits = (3 - size.log10().floor() as i32).clamp(0, 6) as usize;
        let text = format!("{v:.digits$}");
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').into() } else { text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::color::mix;

    fn pixel(c: &Canvas, x: usize, y: usize) -> [u8; 3] {
        let at = (y * c.width + x) * 3;
        [c.rgb[at], c.rgb[at + 1], c.rgb[at + 2]]
    }

    #[test]
    fn numbers_are_short() {
        let got = [0.0, 0.5, 12.3456, 1234.56, 0.00012, -3.0, 99999.0, 1e6, f32::NAN].map(number);
        assert_eq!(got, ["0", "0.5", "12.35", "1235", "1.20e-4", "-3", "99999", "1.00e6", "NaN"]);
    }

    #[test]
    fn one_pixel_is_enough() {
        let one = Canvas::new(1, 1, [100; 3]);
        let got = overlay(&one, &[1.0], [0.0, 0.0, 1.0, 1.0], [0.0, 1.0], Some(0.5));
        assert_eq!((got.height, pixel(&got, 0, 0)), (1, mix([100; 3], color(1.0), OPACITY)));
        assert!(got.width > 1 && got.rgb.len() == got.width * 3);
        for odd in [[f32::NAN; 2], [1.0, 1.0], [f32::NEG_INFINITY, f32::INFINITY]] {
            overlay(&one, &[], [f64::NAN; 4], odd, Some(f32::NAN));
        }
        overlay(&Canvas::new(0, 0, [0; 3]), &[], [0.0; 4], [0.0, 1.0], None);
    }

    #[test]
    fn steps_are_not_seen() {
        let heat = Heat::new([1.0, 3.0]);
        for i in 0..10_000 {
            let v = 0.9 + i as f32 * 0.00022;
            let at = share(v, [1.0, 3.0]);
            let (got, want) = (heat.over([200, 90, 0], v), mix([200, 90, 0], color(at), OPACITY * at));
            assert!(got.iter().zip(want).all(|(a, b)| a.abs_diff(b) <= 1), "{v}: {got:?}, {want:?}");
        }
    }

    #[test]
    fn what_was_not_looked_at_is_gray_and_framed() {
        let red = Canvas::new(8, 5, [200, 0, 0]);
        let got = overlay(&red, &[0.0; 40], [3.0, 2.0, 2.0, 2.0], [0.0, 1.0], None);
        assert_eq!(pixel(&got, 3, 2), [200, 0, 0], "a low value leaves the picture as it is");
        assert_eq!(pixel(&got, 0, 0), [29; 3]);
        for (x, y) in [(2, 1), (5, 4), (2, 3), (4, 1)] {
            assert_eq!(pixel(&got, x, y), FRAME, "{x}, {y}");
        }
        assert_eq!((pixel(&got, 1, 1), pixel(&got, 6, 4)), ([29; 3], [29; 3]));
        let whole = overlay(&red, &[0.0; 40], [0.0, 0.0, 8.0, 5.0], [0.0, 1.0], None);
        assert!((0..8).all(|x| pixel(&whole, x, 0) == [200, 0, 0]), "no frame over what was looked at");
    }

    #[test]
    fn the_scale_stands_beside_and_grows_with_the_picture() {
        let small = Canvas::new(100, 100, [0; 3]);
        let large = Canvas::new(1000, 1000, [0; 3]);
        let draw =
            |c: &Canvas| overlay(c, &vec![0.0; c.width * c.height], [0.0, 0.0, 1.0, 1.0], [0.0, 1.0], Some(0.25));
        let (a, b) = (draw(&small), draw(&large));
        assert_eq!((b.width - 1000, a.height), (5 * (a.width - 100), 100));
        assert_eq!((pixel(&a, 106, 4), pixel(&a, 106, 95)), (color(1.0), color(0.0)));
        assert_eq!(pixel(&a, 106, 95 - 23), [255; 3], "the limit's mark");
    }
}
