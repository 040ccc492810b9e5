//! The colours of a heat map.

/// Dark blue over cyan, green and yellow to red: 9 knots, evenly apart, close to Google's "turbo" (A. Mikhailov, 2019).
///
/// Chosen because neighbouring values differ in hue as well as lightness, evenly along the whole range, and because
/// no part of it vanishes on a white or a black part. The red end is lighter than turbo's, which is nearly black.
const KNOTS: [[u8; 3]; 9] = [
    [48, 18, 59],
    [70, 107, 227],
    [40, 187, 236],
    [49, 242, 153],
    [162, 252, 60],
    [237, 208, 58],
    [251, 128, 34],
    [218, 54, 6],
    [178, 8, 8],
];

/// The colour (red, green, blue) of a value from 0 to 1; values beyond are clamped, NaN counts as 0.
pub fn color(v: f64) -> [u8; 3] {
    let at = if v > 0.0 { v.min(1.0) * (KNOTS.len() - 1) as f64 } else { 0.0 };
    let knot = (at as usize).min(KNOTS.len() - 2);
    match KNOTS.get(knot..knot + 2) {
        Some(&[from, to]) => mix(from, to, at - knot as f64),
        _ => [0; 3],
    }
}

/// `share` of `b` and the rest of `a`, to the nearest level: what is never negative is rounded by adding a half, since `round` is a call
/// that takes most of a heat map's time.
pub(super) fn mix(a: [u8; 3], b: [u8; 3], share: f64) -> [u8; 3] {
    let [a, b] = [a, b].map(|c| c.map(f64::from));
    std::array::from_fn(|i| a.get(i).zip(b.get(i)).map_or(0, |(a, b)| (a + (b - a) * share + 0.5) as u8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_meet_the_knots_and_never_fail() {
        assert_eq!((color(0.0), color(0.5), color(1.0)), (KNOTS[0], KNOTS[4], KNOTS[8]));
        assert_eq!(color(1.0 / 16.0), [59, 63, 143]);
        assert_eq!((color(-3.0), color(f64::NAN), color(f64::NEG_INFINITY)), (KNOTS[0], KNOTS[0], KNOTS[0]));
        assert_eq!((color(7.0), color(f64::INFINITY)), (KNOTS[8], KNOTS[8]));
    }
}
