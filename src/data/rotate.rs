//! Turned pictures, on the same canvas about its centre, in the fixed-point arithmetic of the libraries that published methods turn them
//! with: bytes are the same.

use super::Picture;

/// Turned counter-clockwise by `degrees` as OpenCV 4 does it (`warpAffine`, bilinear, `BORDER_REFLECT_101`): about (w/2, h/2), so that 90°
/// is off by a pixel from a turned array; coordinates in 1/32 of a pixel. A picture of 16 bits is converted to 8 first.
pub fn rotate_bilinear(picture: &Picture, degrees: f64) -> Picture {
    let (rgb, w, h) = (picture.rgb8(), picture.width, picture.height);
    let (sin, cos) = degrees.to_radians().sin_cos();
    let (cx, cy) = (w as f64 / 2.0, h as f64 / 2.0);
    let forth = [[cos, sin, (1.0 - cos) * cx - sin * cy], [-sin, cos, sin * cx + (1.0 - cos) * cy]];
    let det = 1.0 / (forth[0][0] * forth[1][1] - forth[0][1] * forth[1][0]);
    let back = [[forth[1][1] * det, -forth[0][1] * det], [-forth[1][0] * det, forth[0][0] * det]];
    // For each source axis: what a column and a row of the target move it by, and where it begins.
    let axes = back.map(|[x, y]| (x, y, -x * forth[0][2] - y * forth[1][2]));
    // 1/1024 of a pixel, halves to even, then 1/32.
    let fine = |v: f64| (v * 1024.0).round_ties_even() as i64;
    let mut turned = Vec::with_capacity(3 * w * h);
    for y in 0..h {
        let line = axes.map(|(along, down, shift)| (along, fine(down * y as f64 + shift) + 16));
        for x in 0..w {
            let place = line.map(|(along, start)| (start + fine(along * x as f64)) >> 5);
            turned.extend(between(&rgb, [w, h], place));
        }
    }
    Picture::new(w, h, turned)
}

/// The colour at a place given in 1/32 of a pixel; what lies outside is mirrored at the edge pixels.
fn between(rgb: &[u8], [w, h]: [usize; 2], [px, py]: [i64; 2]) -> [u8; 3] {
    let (columns, rows) = ([0, 1].map(|d| mirrored((px >> 5) + d, w)), [0, 1].map(|d| mirrored((py >> 5) + d, h)));
    let share = |p: i64| [32 - (p & 31), p & 31];
    let mut sums = [0i64; 3];
    for (row, down) in rows.into_iter().zip(share(py)) {
        for (column, along) in columns.into_iter().zip(share(px)) {
            let pixel = rgb.iter().skip(3 * (row * w + column));
            sums.iter_mut().zip(pixel).for_each(|(sum, &v)| *sum += i64::from(v) * down * along);
        }
    }
    sums.map(|sum| ((sum + 512) >> 10) as u8)
}

/// A place on a line of `size` that is mirrored at its end pixels.
fn mirrored(at: i64, size: usize) -> usize {
    let period = (2 * size as i64 - 2).max(1);
    let at = at.rem_euclid(period);
    at.min(period - at) as usize
}

/// Turned counter-clockwise by `degrees` as Pillow does it (`rotate`, `NEAREST`), black outside: in 1/65536 of a pixel. A picture of 16
/// bits is converted to 8 first.
pub fn rotate_nearest(picture: &Picture, degrees: f64) -> Picture {
    let (rgb, w, h) = (picture.rgb8(), picture.width, picture.height);
    let angle = -degrees.rem_euclid(360.0).to_radians();
    let fifteen = |v: f64| (v * 1e15).round_ties_even() / 1e15; // digits
    let (cos, sin) = (fifteen(angle.cos()), fifteen(angle.sin()));
    let (cx, cy) = (w as f64 / 2.0, h as f64 / 2.0);
    let fixed = |v: f64| (v * 65536.0 + 0.5).floor() as i64;
    let (tx, ty) = (cx - (cos * cx + sin * cy), cy - (-sin * cx + cos * cy));
    let axes = [
        (fixed(tx + 0.5 * cos + 0.5 * sin), fixed(cos), fixed(sin)),
        (fixed(ty - 0.5 * sin + 0.5 * cos), fixed(-sin), fixed(cos)),
    ];
    let mut turned = vec![0; 3 * w * h];
    for (i, pixel) in turned.chunks_exact_mut(3).enumerate() {
        let (x, y) = ((i % w) as i64, (i / w) as i64);
        let [sx, sy] = axes.map(|(first, along, down)| (first + x * along + y * down) >> 16);
        if (0..w as i64).contains(&sx) && (0..h as i64).contains(&sy) {
            let at = 3 * (sy as usize * w + sx as usize);
            pixel.iter_mut().zip(rgb.iter().skip(at)).for_each(|(to, &from)| *to = from);
        }
    }
    Picture::new(w, h, turned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gray(width: usize, height: usize, values: &[u8]) -> Picture {
        Picture::new(width, height, values.iter().flat_map(|&v| [v; 3]).collect())
    }

    fn values(picture: &Picture) -> Vec<u8> {
        picture.rgb8().chunks(3).map(|p| p[0]).collect()
    }

    #[test]
    fn a_quarter_turn_about_the_corner_of_pixels_by_hand() {
        let p = gray(3, 3, &[1, 2, 3, 4, 5, 6, 7, 8, 9]);
        // About (1.5, 1.5), where pixel centres are whole numbers: (x, y) shows (3 - y, x), and column 3 is column 1 mirrored.
        assert_eq!(values(&rotate_bilinear(&p, 90.0)), [2, 5, 8, 3, 6, 9, 2, 5, 8]);
        assert_eq!(values(&rotate_bilinear(&p, 0.0)), values(&p));
        // Pillow turns about the corner as well, but samples pixel centres at halves: exactly a turned array.
        assert_eq!(values(&rotate_nearest(&p, 90.0)), [3, 6, 9, 2, 5, 8, 1, 4, 7]);
        assert_eq!(values(&rotate_nearest(&p, 0.0)), values(&p));
        assert_eq!(values(&rotate_nearest(&gray(7, 7, &[9; 49]), 45.0))[0], 0, "corners are black");
    }

    #[test]
    fn one_pixel_and_one_row() {
        for degrees in [0.0, 45.0, 90.0, 300.0] {
            assert_eq!(values(&rotate_bilinear(&gray(1, 1, &[7]), degrees)), [7]);
            assert_eq!(rotate_nearest(&gray(5, 1, &[1, 2, 3, 4, 5]), degrees).rgb8().len(), 15);
        }
    }

    #[test]
    fn lines_are_mirrored_at_their_end_pixels() {
        assert_eq!((-4..6).map(|i| mirrored(i, 3)).collect::<Vec<_>>(), [0, 1, 2, 1, 0, 1, 2, 1, 0, 1]);
    }
}
