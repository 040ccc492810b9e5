//! From distances on the grid of patches to anomaly maps, and from places to a score: on the host, since maps have the size of their
//! picture, which changes from one to the next.
//!
//! Resizing and blurring are linear, one axis at a time. So both together are two matrices whose rows have a few entries: a pixel of a
//! map of 448x448 from 32x32 cells depends on at most 5x5 of them, blurred by 33 taps or not.

use crate::tensor::Tensor;

/// How cells become pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Between {
    /// Linear between the centres of cells, the outermost ones clamped.
    Linear,
    /// Every pixel is its cell.
    Nearest,
}

/// What lies beyond the ends of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Border {
    /// Mirrored, the edge pixel repeated: scipy's `reflect`.
    Symmetric,
    /// Mirrored at the edge pixel: OpenCV's reflect-101, PyTorch's `reflect`.
    Reflect,
}

/// How a map is made of a grid: resized, then blurred with a Gaussian of 4 pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raise {
    /// How it is resized.
    pub between: Between,
    /// Taps of the Gaussian on each side of its centre.
    pub radius: usize,
    /// Its ends.
    pub border: Border,
}

/// Deviation of the Gaussian, in pixels of the map.
const SIGMA: f64 = 4.0;

/// What one pixel of a line is made of: the first cell and the weights from there on.
struct Taps {
    first: usize,
    weights: Vec<f64>,
}

impl Raise {
    /// The grid `[h, w]` as a map of these rows and columns; sums in f64.
    pub fn map(&self, grid: &Tensor, [rows, columns]: [usize; 2]) -> Tensor {
        let (cells, wide) = (grid.shape.dim(0), grid.shape.last());
        let along = self.taps(wide, columns);
        let lines: Vec<Vec<f64>> =
            grid.data.chunks(wide.max(1)).map(|line| along.iter().map(|t| t.of_line(line)).collect()).collect();
        let mut data = Vec::with_capacity(rows * columns);
        for taps in self.taps(cells, rows) {
            let mut sums = vec![0.0f64; columns];
            for (weight, line) in taps.weights.iter().zip(lines.iter().skip(taps.first)) {
                sums.iter_mut().zip(line).for_each(|(sum, v)| *sum += weight * v);
            }
            data.extend(sums.into_iter().map(|v| v as f32));
        }
        Tensor::new([rows, columns], data)
    }

    /// Every pixel of a line of `to`, made of `from` cells.
    fn taps(&self, from: usize, to: usize) -> Vec<Taps> {
        let kernel = gaussian(self.radius);
        let blurred = |o: usize| {
            let mut shares: Vec<(usize, f64)> = vec![];
            for (k, weight) in kernel.iter().enumerate() {
                let pixel = self.border.inside(o as i64 + k as i64 - self.radius as i64, to);
                shares.extend(self.between.shares(pixel, from, to).map(|(cell, share)| (cell, share * weight)));
            }
            Taps::of(&shares)
        };
        (0..to).map(blurred).collect()
    }
}

impl Between {
    /// The cells that a pixel lies between, and their shares of it.
    fn shares(self, pixel: usize, from: usize, to: usize) -> [(usize, f64); 2] {
        let last = from.saturating_sub(1) as f64;
        match self {
            Between::Nearest => [(pixel * from / to.max(1), 1.0), (pixel * from / to.max(1), 0.0)],
            Between::Linear => {
                let at = (pixel as f64 + 0.5) * from as f64 / to as f64 - 0.5;
                let (low, share) = (at.floor(), at - at.floor());
                let cell = |v: f64| v.clamp(0.0, last) as usize;
                [(cell(low), 1.0 - share), (cell(low + 1.0), share)]
            }
        }
    }
}

impl Border {
    /// The pixel of a line of `size` that stands at `at`, inside or beyond its ends, however far.
    fn inside(self, at: i64, size: usize) -> usize {
        let size = size as i64;
        let (period, last) = match self {
            Border::Symmetric => (2 * size, 2 * size - 1),
            Border::Reflect => ((2 * size - 2).max(1), (2 * size - 2).max(1)),
        };
        let at = at.rem_euclid(period.max(1));
        (if at < size { at } else { last - at }) as usize
    }
}

impl Taps {
    fn of(shares: &[(usize, f64)]) -> Taps {
        let first = shares.iter().map(|s| s.0).min().unwrap_or_default();
        let last = shares.iter().map(|s| s.0).max().unwrap_or_default();
        let mut weights = vec![0.0; last - first + 1];
        for (cell, share) in shares {
            weights.iter_mut().skip(cell - first).take(1).for_each(|w| *w += share);
        }
        Taps { first, weights }
    }

    fn of_line(&self, line: &[f32]) -> f64 {
        self.weights.iter().zip(line.iter().skip(self.first)).map(|(w, &v)| w * f64::from(v)).sum()
    }
}

/// Normalised taps of a Gaussian, `2 radius + 1` of them.
fn gaussian(radius: usize) -> Vec<f64> {
    let raw: Vec<f64> =
        (0..=2 * radius).map(|i| (-(i as f64 - radius as f64).powi(2) / (2.0 * SIGMA * SIGMA)).exp()).collect();
    let total: f64 = raw.iter().sum();
    raw.into_iter().map(|v| v / total).collect()
}

/// The mean of the largest hundredth of the values, of the largest one where there are fewer than two hundred.
pub fn highest_percent(values: &[f32]) -> f64 {
    let count = (values.len() / 100).max(1);
    let mut values = values.to_vec();
    if values.len() > count {
        values.select_nth_unstable_by(count - 1, |a, b| b.total_cmp(a));
        values.truncate(count);
    }
    values.sort_unstable_by(|a, b| b.total_cmp(a));
    values.iter().map(|&v| f64::from(v)).sum::<f64>() / count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Raise = Raise { between: Between::Linear, radius: 0, border: Border::Symmetric };

    #[test]
    fn linear_and_nearest_by_hand() {
        let grid = Tensor::new([1, 2], vec![0.0, 4.0]);
        assert_eq!(PLAIN.map(&grid, [1, 4]).data, [0.0, 1.0, 3.0, 4.0]);
        assert_eq!(
            Raise { between: Between::Nearest, ..PLAIN }.map(&grid, [2, 4]).data,
            [0., 0., 4., 4., 0., 0., 4., 4.]
        );
        let square = Tensor::new([2, 2], vec![1.0, 2.0, 3.0, 4.0]);
        assert_eq!(PLAIN.map(&square, [2, 2]), square, "its own size");
        assert_eq!(PLAIN.map(&square, [1, 1]).data, [2.5], "a picture smaller than the grid");
    }

    #[test]
    fn blurred_as_two_steps_would() {
        let grid = Tensor::new([3, 5], (0..15).map(|i| (i * 7 % 11) as f32).collect());
        for (border, between) in [(Border::Symmetric, Between::Linear), (Border::Reflect, Between::Nearest)] {
            let (rows, columns) = (21, 40);
            let plain = Raise { between, radius: 0, border }.map(&grid, [rows, columns]);
            let (kernel, got) = (gaussian(16), Raise { between, radius: 16, border }.map(&grid, [rows, columns]));
            for (y, x) in [(0, 0), (10, 20), (20, 39), (3, 38)] {
                let mut want = 0.0;
                for (i, a) in kernel.iter().enumerate() {
                    for (j, b) in kernel.iter().enumerate() {
                        let row = border.inside(y + i as i64 - 16, rows);
                        let column = border.inside(x + j as i64 - 16, columns);
                        want += a * b * f64::from(plain.data[row * columns + column]);
                    }
                }
                let off = f64::from(got.data[y as usize * columns + x as usize]) - want;
                assert!(off.abs() < 1e-6, "{border:?} {y} {x}: {off}");
            }
        }
        let flat = Raise { between: Between::Linear, radius: 16, border: Border::Reflect }
            .map(&Tensor::new([1, 1], vec![3.0]), [2, 1]);
        assert!(flat.data.iter().all(|v| (v - 3.0).abs() < 1e-6), "{flat:?}");
    }

    #[test]
    fn borders_by_hand() {
        let line = |border: Border| (-4..7).map(|at| border.inside(at, 3)).collect::<Vec<_>>();
        assert_eq!(line(Border::Symmetric), [2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0]);
        assert_eq!(line(Border::Reflect), [0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2]);
        assert_eq!(Border::Reflect.inside(-3, 1), 0);
        let taps = gaussian(1);
        assert!((taps[0] - 0.33).abs() < 1e-3 && (taps[1] - 0.34).abs() < 1e-3, "{taps:?}");
    }

    #[test]
    fn the_highest_percent_counts_whole_values() {
        let values: Vec<f32> = (0..300).map(|i| i as f32).collect();
        assert_eq!(highest_percent(&values), 298.0);
        assert_eq!(highest_percent(&values[..199]), 198.0);
        assert_eq!(highest_percent(&[5.0]), 5.0);
    }
}
