//! A canvas: a picture to draw on. What falls outside it is not drawn.

use super::font;

/// An 8-bit RGB picture to draw on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canvas {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Red, green, blue of each pixel, row by row: 3 x width x height values.
    pub rgb: Vec<u8>,
}

impl Canvas {
    /// A canvas of one colour.
    pub fn new(width: usize, height: usize, color: [u8; 3]) -> Canvas {
        Canvas { width, height, rgb: color.repeat(width * height) }
    }

    /// Fills the rectangle x, y, width, height in pixels, as far as it is on the canvas.
    pub fn fill(&mut self, [x, y, w, h]: [i64; 4], color: [u8; 3]) {
        let columns = clipped(x, w, self.width);
        for row in clipped(y, h, self.height) {
            let from = (row * self.width + columns.start) * 3;
            for pixel in self.rgb.iter_mut().skip(from).take(columns.len() * 3).zip(color.iter().cycle()) {
                *pixel.0 = *pixel.1;
            }
        }
    }

    /// Copies a picture onto the canvas with its first pixel at (x, y); what does not fit is cut off.
    pub fn paste(&mut self, picture: &Canvas, x: usize, y: usize) {
        let columns = picture.width.min(self.width.saturating_sub(x)) * 3;
        for row in 0..picture.height.min(self.height.saturating_sub(y)) {
            let (from, to) = (row * picture.width * 3, ((y + row) * self.width + x) * 3);
            if let Some((from, to)) = picture.rgb.get(from..from + columns).zip(self.rgb.get_mut(to..to + columns)) {
                to.copy_from_slice(from);
            }
        }
    }

    /// Size of a font's dot and of lines, in pixels, that suits the picture: 1 below 400 pixels, 15 at 3000.
    pub(super) fn unit(&self) -> usize {
        (self.width.min(self.height) / 200).max(1)
    }
}

fn clipped(start: i64, length: i64, size: usize) -> std::ops::Range<usize> {
    let inside = |v: i64| usize::try_from(v).unwrap_or(0).min(size);
    inside(start)..inside(start.saturating_add(length)).max(inside(start))
}

/// Draws the border of a mask that covers the pixels `x, y, width, height` of the canvas, inside of the mask.
///
/// A pixel belongs to the border if one of its four neighbours is not in the mask or lies beyond its area.
pub fn contour(canvas: &mut Canvas, mask: &[bool], [x, y, w, h]: [usize; 4], color: [u8; 3]) {
    let set = |column: usize, row: usize| column < w && row < h && mask.get(row * w + column) == Some(&true);
    let thick = (canvas.unit() as i64 + 1) / 2;
    for (row, line) in mask.chunks(w.max(1)).take(h).enumerate().filter(|(_, line)| line.contains(&true)) {
        for (column, _) in line.iter().enumerate().filter(|(_, set)| **set) {
            let (left, up) = (column.wrapping_sub(1), row.wrapping_sub(1));
            if !(set(left, row) && set(column + 1, row) && set(column, up) && set(column, row + 1)) {
                let at = [x + column, y + row].map(|v| v as i64 - (thick - 1) / 2);
                canvas.fill([at[0], at[1], thick, thick], color);
            }
        }
    }
}

/// Draws text as [`font::text`] does, cut so that it takes at most `width` pixels.
pub(super) fn caption(canvas: &mut Canvas, [x, y]: [usize; 2], unit: usize, width: usize, text: &str) {
    let fits = (width + unit) / (font::ADVANCE * unit.max(1));
    let cut: String = if text.chars().count() <= fits {
        text.into()
    } else {
        text.chars().take(fits.saturating_sub(2)).chain("..".chars()).take(fits).collect()
    };
    font::text(canvas, x as i64, y as i64, unit, [255; 3], &cut);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The canvas as rows of `#` where it is not black.
    fn rows(c: &Canvas) -> Vec<String> {
        let dot = |p: &[u8]| if p == [0; 3] { '.' } else { '#' };
        c.rgb.chunks(c.width * 3).map(|r| r.chunks(3).map(dot).collect()).collect()
    }

    #[test]
    fn rectangles_are_clipped() {
        let mut c = Canvas::new(4, 3, [0; 3]);
        c.fill([-5, -5, 7, 6], [1, 2, 3]);
        c.fill([3, 2, 9, 9], [9; 3]);
        c.fill([0, 1, -3, 1], [9; 3]);
        c.fill([i64::MAX, 0, i64::MAX, 1], [9; 3]);
        assert_eq!(rows(&c), ["##..", "....", "...#"]);
        assert_eq!(c.rgb[..3], [1, 2, 3]);
    }

    #[test]
    fn pasting_cuts_off() {
        let mut c = Canvas::new(3, 2, [0; 3]);
        c.paste(&Canvas::new(5, 5, [7; 3]), 1, 1);
        c.paste(&Canvas::new(1, 1, [7; 3]), 9, 9);
        assert_eq!(rows(&c), ["...", ".##"]);
    }

    #[test]
    fn a_contour_is_the_border_of_the_mask() {
        let mut c = Canvas::new(6, 6, [0; 3]);
        let mask: Vec<bool> = "####.####.####.####......".bytes().map(|b| b == b'#').collect();
        contour(&mut c, &mask, [1, 0, 5, 5], [255, 0, 0]);
        assert_eq!(rows(&c), [".####.", ".#..#.", ".#..#.", ".####.", "......", "......"]);
        contour(&mut c, &[true; 3], [5, 5, 40, 40], [255; 3]);
        contour(&mut c, &[], [9, 9, 1, 1], [255; 3]);
        assert_eq!(rows(&c)[5], ".....#", "what lies outside is left out");
    }
}
