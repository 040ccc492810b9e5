//! Maps brought to a picture's pixels, bilinearly with half-pixel centres and clamped edges.

/// Which of the map's cells a pixel of one axis reads: `lo` and `hi`, and the share of `hi`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Tap {
    lo: usize,
    hi: usize,
    share: f64,
}

/// For each pixel of an axis, where it lies in a map of `cells` that covers `start..start + length` in pixels; `None`
/// where its centre is outside.
pub(super) fn taps(pixels: usize, start: f64, length: f64, cells: usize) -> Vec<Option<Tap>> {
    let step = cells as f64 / length;
    let tap = |pixel: usize| {
        let centre = pixel as f64 + 0.5 - start;
        let last = cells.checked_sub(1).filter(|_| (0.0..length).contains(&centre))?;
        let at = (centre * step - 0.5).clamp(0.0, last as f64);
        let lo = at as usize;
        Some(Tap { lo, hi: (lo + 1).min(last), share: at - lo as f64 })
    };
    (0..pixels).map(tap).collect()
}

/// A map's rows brought to a picture's columns, each made when it is first read: neighbouring rows of pixels read the same ones.
struct Widened<'m> {
    map: &'m [f32],
    width: usize,
    columns: &'m [Option<Tap>],
    rows: Vec<Option<Vec<f64>>>,
}

impl Widened<'_> {
    fn make(&mut self, row: usize) {
        let (map, width) = (self.map, self.width);
        let at = |x: usize| map.get(row * width + x).map_or(f64::NEG_INFINITY, |&v| f64::from(v));
        let value = |tap: &Option<Tap>| tap.map_or(f64::NEG_INFINITY, |t| between(at(t.lo), at(t.hi), t.share));
        if let Some(made) = self.rows.get_mut(row).filter(|r| r.is_none()) {
            *made = Some(self.columns.iter().map(value).collect());
        }
    }

    fn get(&self, row: usize) -> &[f64] {
        self.rows.get(row).and_then(Option::as_deref).unwrap_or_default()
    }
}

/// A value with no share is not read: 0 times infinity is NaN.
fn between(a: f64, b: f64, share: f64) -> f64 {
    if share == 0.0 || a == b { a } else { a * (1.0 - share) + b * share }
}

/// A map of `map_w` x `map_h` cells as one value for each pixel of a picture of `width` x `height`.
///
/// `at` is the area that the map covers: x, y, width, height in the picture's pixels. Pixels whose centre lies outside
/// of it were not looked at; they are negative infinity, which ranks below every score.
pub fn full_map(map: &[f32], map_w: usize, map_h: usize, at: [f64; 4], width: usize, height: usize) -> Vec<f32> {
    let [x, y, w, h] = at;
    let (columns, rows) = (taps(width, x, w, map_w), taps(height, y, h, map_h));
    let mut widened = Widened { map, width: map_w, columns: &columns, rows: vec![None; map_h] };
    let mut full = Vec::with_capacity(width * height);
    for row in rows {
        let Some(row) = row else {
            full.resize(full.len() + width, f32::NEG_INFINITY);
            continue;
        };
        widened.make(row.lo);
        widened.make(row.hi);
        let pairs = widened.get(row.lo).iter().zip(widened.get(row.hi));
        full.extend(pairs.map(|(&a, &b)| between(a, b, row.share) as f32));
    }
    full
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUT: f32 = f32::NEG_INFINITY;

    #[test]
    fn an_area_of_the_maps_size_is_the_map() {
        let map: Vec<f32> = (0..12).map(|v| (v as f32).sin()).collect();
        assert_eq!(full_map(&map, 4, 3, [0.0, 0.0, 4.0, 3.0], 4, 3), map);
        let with = [1.0, OUT, f32::NAN, 2.0];
        let same = full_map(&with, 4, 1, [0.0, 0.0, 4.0, 1.0], 4, 1);
        assert_eq!((same[0], same[1], same[3]), (1.0, OUT, 2.0), "neighbours do not leak");
        let got = full_map(&[1.0, 2.0], 2, 1, [1.0, 1.0, 2.0, 1.0], 4, 3);
        assert_eq!(got, [OUT, OUT, OUT, OUT, OUT, 1.0, 2.0, OUT, OUT, OUT, OUT, OUT]);
    }

    #[test]
    fn twice_as_large_by_hand() {
        let got = full_map(&[0.0, 4.0, 8.0, 12.0], 2, 2, [0.0, 0.0, 4.0, 4.0], 4, 4);
        let want = [0.0, 1.0, 3.0, 4.0, 2.0, 3.0, 5.0, 6.0, 6.0, 7.0, 9.0, 10.0, 8.0, 9.0, 11.0, 12.0];
        assert_eq!(got, want);
    }

    #[test]
    fn a_pixel_counts_where_its_centre_lies() {
        let got = full_map(&[5.0], 1, 1, [0.5, 0.0, 2.0, 1.0], 4, 1);
        assert_eq!(got, [5.0, 5.0, OUT, OUT], "from 0.5 inclusive to 2.5 exclusive");
        assert_eq!(full_map(&[5.0], 1, 1, [-9.0, -9.0, 99.0, 99.0], 2, 1), [5.0, 5.0], "larger than the picture");
    }

    #[test]
    fn nothing_panics() {
        for at in [[0.0; 4], [f64::NAN; 4], [0.0, 0.0, f64::INFINITY, 1.0], [0.0, 0.0, -1.0, 1.0]] {
            assert_eq!(full_map(&[1.0], 1, 1, at, 1, 1).len(), 1);
        }
        assert_eq!(full_map(&[], 0, 0, [0.0, 0.0, 1.0, 1.0], 1, 1), [OUT]);
        assert_eq!(full_map(&[], 2, 2, [0.0, 0.0, 1.0, 1.0], 1, 1), [OUT], "a map that is too short");
    }
}
