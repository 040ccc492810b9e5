//! Mean, deviation and confidence interval of one value of many episodes, and of the difference of two that were not paired.

use serde::Serialize;
use statrs::distribution::{ContinuousCDF, StudentsT};

/// What a value is on the average, and how well that is known.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// Of how many.
    pub count: usize,
    /// Their mean.
    pub mean: f64,
    /// Their sample deviation, of n - 1; `None` for a single one.
    pub deviation: Option<f64>,
    /// Half the width of the mean's 95 % interval, by Student's t: it tells the noise of drawing supports from this pool of pictures,
    /// nothing of new pictures. `None` for a single one.
    pub interval: Option<f64>,
}

impl Spread {
    /// Of these values; `None` if there are none.
    pub fn of(values: &[f64]) -> Option<Spread> {
        let (count, n) = (values.len(), values.len() as f64);
        let mean = values.iter().sum::<f64>() / n;
        let deviation =
            (count > 1).then(|| (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt());
        let interval = deviation.map(|s| student(n - 1.0) * s / n.sqrt());
        (count > 0).then_some(Spread { count, mean, deviation, interval })
    }

    /// The ends of the interval.
    pub fn ends(&self) -> Option<[f64; 2]> {
        self.interval.map(|half| [self.mean - half, self.mean + half])
    }
}

/// The difference of two means whose values belong to different draws (Welch 1947): `one - other`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Welch {
    /// The difference.
    pub mean: f64,
    /// Half the width of its 95 % interval; `None` where either has a single value.
    pub interval: Option<f64>,
    /// Two-sided p of no difference; `None` also where neither has any deviation.
    pub p: Option<f64>,
}

impl Welch {
    /// Of two series; `None` if either has no values.
    pub fn of(one: &[f64], other: &[f64]) -> Option<Welch> {
        let (one, other) = (Spread::of(one)?, Spread::of(other)?);
        let mean = one.mean - other.mean;
        let none = Some(Welch { mean, interval: None, p: None });
        let (Some(s1), Some(s2)) = (one.deviation, other.deviation) else { return none };
        let share = |s: f64, of: Spread| s * s / of.count as f64;
        let (v1, v2) = (share(s1, one), share(s2, other));
        let degrees = (v1 + v2).powi(2) / (v1 * v1 / (one.count as f64 - 1.0) + v2 * v2 / (other.count as f64 - 1.0));
        if degrees.is_nan() {
            return Some(Welch { mean, interval: Some(0.0), p: None });
        }
        let error = (v1 + v2).sqrt();
        let p = StudentsT::new(0.0, 1.0, degrees).ok().map(|t| 2.0 * t.sf((mean / error).abs()));
        Some(Welch { mean, interval: Some(student(degrees) * error), p })
    }
}

/// The value that Student's t of so many degrees of freedom, more than 0, stays below with a probability of 97.5 %; infinite for any other
/// number.
pub fn student(degrees: f64) -> f64 {
    StudentsT::new(0.0, 1.0, degrees).map_or(f64::INFINITY, |t| t.inverse_cdf(0.975))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_values_have_no_interval() {
        assert_eq!(Spread::of(&[]), None);
        assert_eq!(Spread::of(&[0.5]), Some(Spread { count: 1, mean: 0.5, deviation: None, interval: None }));
        let three = Spread::of(&[0.0, 0.5, 1.0]).unwrap();
        assert_eq!((three.mean, three.deviation), (0.5, Some(0.5)));
        let half = three.interval.unwrap();
        assert!((half - 4.302653 * 0.5 / 3f64.sqrt()).abs() < 1e-6);
        assert_eq!(three.ends(), Some([0.5 - half, 0.5 + half]));
        assert_eq!(student(0.0), f64::INFINITY);
    }

    #[test]
    fn a_difference_of_single_or_equal_values() {
        assert_eq!(Welch::of(&[], &[1.0]), None);
        assert_eq!(Welch::of(&[0.5], &[0.25, 0.5]), Some(Welch { mean: 0.125, interval: None, p: None }));
        assert_eq!(Welch::of(&[0.5, 0.5], &[0.25, 0.25]), Some(Welch { mean: 0.25, interval: Some(0.0), p: None }));
    }
}
