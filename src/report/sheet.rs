//! Contact sheets: many pictures in one, each with its caption.

use super::draw::caption;
use super::{Canvas, font};

/// Behind the pictures.
const BACK: [u8; 3] = [24; 3];

/// Pictures with their captions in rows of `columns`; each is scaled to fit a square of `tile` pixels.
///
/// Rows are as high as the highest picture then is; captions that are wider than the square are cut.
pub fn sheet(tiles: &[(Canvas, String)], columns: usize, tile: usize) -> Canvas {
    let (columns, tile) = (columns.min(tiles.len()).max(1), tile.max(1));
    let unit = (tile / 200).max(1);
    let gap = 4 * unit;
    let fitted: Vec<Canvas> = tiles.iter().map(|t| fit(&t.0, tile)).collect();
    let high = fitted.iter().map(|f| f.height).max().unwrap_or(0);
    let [across, down] = [tile + gap, high + gap + (font::ROWS + 4) * unit];
    let mut out = Canvas::new(columns * across + gap, tiles.len().div_ceil(columns) * down + gap, BACK);
    for (i, (picture, (_, name))) in fitted.iter().zip(tiles).enumerate() {
        let [x, y] = [gap + i % columns * across, gap + i / columns * down];
        out.paste(picture, x + (tile - picture.width) / 2, y + (high - picture.height) / 2);
        caption(&mut out, [x, y + high + 2 * unit], unit, tile, name);
    }
    out
}

/// The picture as large as fits a square of `tile` pixels; each pixel is the mean of the area that it covers.
fn fit(picture: &Canvas, tile: usize) -> Canvas {
    if picture.width == 0 || picture.height == 0 {
        return Canvas::new(0, 0, BACK);
    }
    let scale = tile as f64 / picture.width.max(picture.height) as f64;
    let size = |from: usize| ((from as f64 * scale).round() as usize).clamp(1, tile);
    let (width, height) = (size(picture.width), size(picture.height));
    let (columns, rows) = (covered(picture.width, width), covered(picture.height, height));
    let mut rgb = Vec::with_capacity(width * height * 3);
    for row in rows {
        let mut line = vec![0f32; picture.width * 3];
        for (y, part) in row {
            for (sum, &v) in line.iter_mut().zip(picture.rgb.iter().skip(y * picture.width * 3)) {
                *sum += part * f32::from(v);
            }
        }
        for column in &columns {
            let mut sum = [0f32; 3];
            for &(x, part) in column {
                sum.iter_mut().zip(line.iter().skip(x * 3)).for_each(|(sum, v)| *sum += part * v);
            }
            rgb.extend(sum.map(|v| v.round() as u8));
        }
    }
    Canvas { width, height, rgb }
}

/// For each of `to` pixels, those of `from` that it covers, with their shares.
fn covered(from: usize, to: usize) -> Vec<Vec<(usize, f32)>> {
    let step = from as f64 / to as f64;
    let one = |i: usize| {
        let (start, end) = (i as f64 * step, (i + 1) as f64 * step);
        let share = |at: usize| ((end.min(at as f64 + 1.0) - start.max(at as f64)) / step).max(0.0) as f32;
        (start as usize..(end.ceil() as usize).min(from)).map(|at| (at, share(at))).collect()
    };
    (0..to).map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_are_means_of_what_they_cover() {
        let four = Canvas { width: 4, height: 1, rgb: [0, 10, 20, 40].iter().flat_map(|&v| [v; 3]).collect() };
        assert_eq!(fit(&four, 2).rgb, [5, 5, 5, 30, 30, 30]);
        assert_eq!(fit(&four, 4), four);
        let large = fit(&four, 8);
        assert_eq!((large.width, large.height, large.rgb[..6].to_vec()), (8, 2, vec![0; 6]));
        let three = Canvas { width: 3, height: 3, rgb: [0, 90, 30].repeat(3).iter().flat_map(|&v| [v; 3]).collect() };
        assert_eq!(fit(&three, 2).rgb[..6], [30, 30, 30, 50, 50, 50], "the middle one belongs half to each");
    }

    #[test]
    fn tiles_stand_in_rows() {
        let tile = |v: u8| (Canvas::new(10, 5, [v; 3]), format!("part_{v:09}.png"));
        let got = sheet(&[tile(50), tile(100), tile(150)], 2, 20);
        assert_eq!((got.width, got.height), (2 * 24 + 4, 2 * (14 + 11) + 4));
        let at = |x: usize, y: usize| got.rgb[(y * got.width + x) * 3];
        assert_eq!([at(14, 9), at(38, 9), at(14, 34), at(38, 34)], [50, 100, 150, BACK[0]]);
        assert!((0..got.width).any(|x| at(x, 19) == 255), "captions");
        assert_eq!(sheet(&[], 0, 0).height, 4);
        sheet(&[(Canvas::new(0, 0, [0; 3]), "empty".into()), (Canvas::new(1, 1, [0; 3]), String::new())], 9, 1);
    }
}
