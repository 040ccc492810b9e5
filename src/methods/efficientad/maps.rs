//! From the two raw maps of a picture to one on the scale of good pictures: quantiles, borders and sizes, in the order of each preset. On
//! the host, since maps may have the size of their picture, which changes from one to the next.

use super::config::{Border, Config, Preset};
use crate::error::{Error, Result};
use crate::methods::dino::raise::{self, Between, Raise};
use crate::tensor::Tensor;
use serde::Serialize;

/// Which share of the pixels of good pictures is below what becomes 0, and which below what becomes a tenth.
pub const QUANTILES: [f64; 2] = [0.9, 0.995];

/// Places that a map has less on every side where networks are not padded.
pub const MISSING: usize = 4;

/// What becomes 0 and a tenth in a kind of maps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Scale {
    /// What becomes 0.
    pub low: f64,
    /// What becomes a tenth.
    pub high: f64,
}

/// The scales of both kinds of maps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Scales {
    /// Of teacher against student.
    pub student: Scale,
    /// Of autoencoder against student.
    pub autoencoder: Scale,
}

impl Scales {
    /// As a file has them.
    pub fn of(numbers: &[f64]) -> Option<Scales> {
        let &[low, high, other_low, other_high] = numbers else { return None };
        let [student, autoencoder] = [[low, high], [other_low, other_high]].map(|[low, high]| Scale { low, high });
        Some(Scales { student, autoencoder })
    }

    /// What becomes 0 and a tenth in maps of teacher against student, then in those of autoencoder against student.
    pub fn numbers(&self) -> [f64; 4] {
        [self.student.low, self.student.high, self.autoencoder.low, self.autoencoder.high]
    }
}

impl Scale {
    /// That of all values of these maps.
    ///
    /// # Errors
    /// [`Error::Numeric`] for a value that is not finite, and where both quantiles are the same.
    pub fn of(maps: impl IntoIterator<Item = Tensor>) -> Result<Scale> {
        let mut all: Vec<f32> = maps.into_iter().flat_map(|m| m.data).collect();
        let [low, high] = QUANTILES.map(|q| quantile(&mut all, q));
        let scale = Scale { low: low.unwrap_or(f64::NAN), high: high.unwrap_or(f64::NAN) };
        match scale.usable() {
            true => Ok(scale),
            false => Err(Error::Numeric(
                "the maps of the good pictures kept for validation are the same everywhere, or not finite".into(),
            )),
        }
    }

    /// Whether values can be brought to it.
    pub fn usable(&self) -> bool {
        self.low.is_finite() && self.high.is_finite() && self.high > self.low
    }

    fn value(&self, v: f32) -> f64 {
        0.1 * (f64::from(v) - self.low) / (self.high - self.low)
    }
}

/// The `q`-quantile of values, between the two next to rank `q (n - 1)` by linear interpolation; `None` of no values, or of one that is
/// not a number. The values are put into another order.
pub fn quantile(values: &mut [f32], q: f64) -> Option<f64> {
    if values.is_empty() || values.iter().any(|v| v.is_nan()) {
        return None;
    }
    let rank = q.clamp(0.0, 1.0) * (values.len() - 1) as f64;
    let (_, low, above) = values.select_nth_unstable_by(rank as usize, f32::total_cmp);
    let low = f64::from(*low);
    let high = above.iter().copied().min_by(f32::total_cmp).map_or(low, f64::from);
    Some(low + rank.fract() * (high - low))
}

impl Config {
    /// A raw map `[h, w]` as its quantiles are taken, and as it is brought to scale.
    pub fn raised(&self, map: &Tensor) -> Tensor {
        let size = [self.image_size; 2];
        match self.preset {
            Preset::Nelson => map.clone(),
            Preset::Anomalib => resized(&self.bordered(map), size),
            Preset::Paper => resized(map, size),
        }
    }

    /// The scales of both kinds of raw maps of good pictures.
    ///
    /// # Errors
    /// As [`Scale::of`].
    pub fn scales(&self, student: &[Tensor], autoencoder: &[Tensor]) -> Result<Scales> {
        let of = |maps: &[Tensor]| Scale::of(maps.iter().map(|m| self.raised(m)));
        Ok(Scales { student: of(student)?, autoencoder: of(autoencoder)? })
    }

    /// One map of both raw ones `[h, w]`: over the networks' input or, where it is to have the picture's own size, still on the grid of
    /// places, with its border.
    pub fn combined(&self, student: &Tensor, autoencoder: &Tensor, scales: &Scales) -> Tensor {
        let [one, other] = [self.raised(student), self.raised(autoencoder)];
        let pairs = one.data.iter().zip(&other.data);
        let mean = |(s, a): (&f32, &f32)| (0.5 * (scales.student.value(*s) + scales.autoencoder.value(*a))) as f32;
        let both = Tensor::new(one.shape, pairs.map(mean).collect());
        if self.whole_maps() { self.bordered(&both) } else { both }
    }

    /// A map that is still on the grid at the picture's own size, rows and columns.
    pub fn whole(&self, map: &Tensor, size: [usize; 2]) -> Tensor {
        resized(map, size)
    }

    /// A map `[h, w]` with its border.
    fn bordered(&self, map: &Tensor) -> Tensor {
        let [h, w] = [map.shape.dim(0), map.shape.dim(1)];
        let wide = w + 2 * MISSING;
        let at = |i: usize, size: usize| match i.checked_sub(MISSING) {
            Some(inside) if inside < size => (inside, true),
            Some(_) => (size.saturating_sub(1), false),
            None => (0, false),
        };
        match self.border {
            Border::None => map.clone(),
            border => Tensor::from_fn([h + 2 * MISSING, wide], |i| {
                let ((row, inside), (column, within)) = (at(i / wide, h), at(i % wide, w));
                let here = (inside && within) || border == Border::Replicate;
                if here { map.data.get(row * w + column).copied().unwrap_or_default() } else { 0.0 }
            }),
        }
    }
}

/// Bilinear, pixel centres at halves, without antialiasing.
fn resized(map: &Tensor, size: [usize; 2]) -> Tensor {
    Raise { between: Between::Linear, radius: 0, border: raise::Border::Symmetric }.map(map, size)
}

/// The largest value of a map; NaN if one is not a number.
pub fn largest(map: &Tensor) -> f64 {
    let keep = |m: f64, &v: &f32| if m.is_nan() || v.is_nan() { f64::NAN } else { m.max(f64::from(v)) };
    map.data.iter().fold(f64::NEG_INFINITY, keep)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::pdn::Size;

    #[test]
    fn quantiles_by_hand() {
        let of = |values: &[f32], q| quantile(&mut values.to_vec(), q);
        assert_eq!(of(&[4.0, 1.0, 3.0, 2.0], 0.5), Some(2.5));
        assert_eq!(of(&[4.0, 1.0, 3.0, 2.0], 1.0), Some(4.0));
        assert_eq!(of(&[4.0, 1.0, 3.0, 2.0], 0.0), Some(1.0));
        assert_eq!(of(&[1.0, 1.0, 1.0, 5.0], 0.75), Some(2.0));
        assert_eq!((of(&[], 0.5), of(&[1.0, f32::NAN], 0.5), of(&[0.7], 0.3)), (None, None, Some(f64::from(0.7f32))));
    }

    #[test]
    fn borders_by_hand() {
        let map = Tensor::new([1, 2], vec![3.0, 5.0]);
        let with = |border| Config { border, ..Config::new(Size::Small, 1, Preset::Nelson) }.bordered(&map);
        let (zero, replicate) = (with(Border::Zero), with(Border::Replicate));
        assert_eq!((zero.shape, zero.data.iter().sum::<f32>()), ([9, 10].into(), 8.0));
        assert_eq!(zero.data[4 * 10 + 4..4 * 10 + 6], [3.0, 5.0]);
        assert_eq!(replicate.data[..10], [3.0, 3.0, 3.0, 3.0, 3.0, 5.0, 5.0, 5.0, 5.0, 5.0]);
        assert_eq!(with(Border::None), map);
    }

    #[test]
    fn a_scale_needs_two_values() {
        let flat = || [Tensor::new([2], vec![1.0, 1.0])];
        assert!(Scale::of(flat()).unwrap_err().to_string().contains("the same everywhere"));
        assert!(Scale::of([Tensor::new([2], vec![1.0, f32::NAN])]).is_err());
        let scale = Scale::of([Tensor::from_fn([1001], |i| i as f32)]).unwrap();
        assert_eq!([scale.low, scale.high], [900.0, 995.0]);
        assert!((scale.value(995.0) - 0.1).abs() < 1e-12 && scale.value(900.0) == 0.0);
    }
}
