//! Mean and deviation of every channel of what a teacher says of good pictures.

use crate::engine::Var;
use crate::error::{Error, Result};
use crate::tensor::Tensor;
use std::sync::Arc;

/// Mean and deviation of each channel over all places of all pictures.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Statistics {
    /// The means.
    pub mean: Vec<f64>,
    /// The deviations, of the population.
    pub std: Vec<f64>,
}

impl Statistics {
    /// A map `[n, h, w, c]` with mean 0 and deviation 1 in every channel.
    pub fn scaled<'g>(&self, map: Var<'g>) -> Var<'g> {
        let row = |name: &str, values: Vec<f64>| {
            let values = values.into_iter().map(|v| v as f32).collect::<Vec<_>>();
            map.graph().weight(name, Arc::new(Tensor::new([values.len()], values)))
        };
        let mean = row("statistics.mean", self.mean.clone());
        (map - mean) * row("statistics.scale", self.std.iter().map(|s| 1.0 / s).collect())
    }
}

/// Sums over places, in f64: the mean of each channel, and the squares of what deviates from it.
#[derive(Clone, Debug, Default)]
pub struct Sums {
    places: f64,
    mean: Vec<f64>,
    squares: Vec<f64>,
}

impl Sums {
    /// Counts the places of a map `[.., c]` in: its own mean first, then what deviates from it, then both are joined with what was counted
    /// so far (Chan, Golub and LeVeque 1979), so that no large numbers cancel.
    pub fn add(&mut self, map: &Tensor) {
        let (places, c) = map.shape.rows();
        let (n, rows) = (places as f64, || map.data.chunks_exact(c.max(1)));
        let (mut mean, mut squares) = (vec![0f64; c], vec![0f64; c]);
        rows().for_each(|row| mean.iter_mut().zip(row).for_each(|(m, &v)| *m += f64::from(v)));
        mean.iter_mut().for_each(|m| *m /= n.max(1.0));
        for row in rows() {
            let deviation = row.iter().zip(&mean).map(|(&v, m)| (f64::from(v) - m).powi(2));
            squares.iter_mut().zip(deviation).for_each(|(s, d)| *s += d);
        }
        if self.mean.is_empty() {
            (self.mean, self.squares) = (vec![0.0; c], vec![0.0; c]);
        }
        let all = self.places + n;
        let known = self.mean.iter_mut().zip(&mut self.squares);
        for ((known, known_squares), (own, own_squares)) in known.zip(mean.iter().zip(&squares)) {
            let apart = own - *known;
            *known += apart * n / all;
            *known_squares += own_squares + apart * apart * self.places * n / all;
        }
        self.places = all;
    }

    /// Mean and deviation of all that was counted.
    ///
    /// # Errors
    /// [`Error::Numeric`] for a channel that is the same everywhere, or not finite: nothing can be brought to its scale.
    pub fn statistics(self) -> Result<Statistics> {
        let std: Vec<f64> = self.squares.iter().map(|s| (s / self.places).sqrt()).collect();
        let usable = |(m, s): (&f64, &f64)| m.is_finite() && s.is_finite() && *s > 0.0;
        match self.mean.iter().zip(&std).position(|pair| !usable(pair)) {
            Some(c) => Err(Error::Numeric(format!(
                "the teacher's output {c} is the same at all places of the good pictures, or not finite; are these the right pictures and \
                 weights?"
            ))),
            None => Ok(Statistics { mean: self.mean, std }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_two_passes_over_all() {
        let map = |n: usize, shift: f32| Tensor::from_fn([1, n, 2], |i| shift + ((i * 37) % 17) as f32 * 0.25);
        let maps = [map(5, 1e4), map(9, 1e4 + 3.0), map(1, 1e4 - 2.0)];
        let mut sums = Sums::default();
        maps.iter().for_each(|m| sums.add(m));
        let got = sums.statistics().unwrap();
        for c in 0..2 {
            let all: Vec<f64> =
                maps.iter().flat_map(|m| m.data.iter().skip(c).step_by(2)).map(|&v| f64::from(v)).collect();
            let mean = all.iter().sum::<f64>() / all.len() as f64;
            let std = (all.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / all.len() as f64).sqrt();
            assert!((got.mean[c] - mean).abs() < 1e-9 && (got.std[c] - std).abs() < 1e-12 * std, "{got:?}");
        }
        let mut flat = Sums::default();
        flat.add(&Tensor::new([2, 2], vec![1.0, 2.0, 3.0, 2.0]));
        assert!(flat.statistics().unwrap_err().to_string().contains("output 1 is the same"));
        assert_eq!(Sums::default().statistics().unwrap(), Statistics::default());
    }
}
