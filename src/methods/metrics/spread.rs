//! Mean, deviation and confidence interval of one value of many episodes.

use serde::Serialize;

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
        let interval = deviation.map(|s| student(count - 1) * s / n.sqrt());
        (count > 0).then_some(Spread { count, mean, deviation, interval })
    }
}

/// The value that Student's t of so many degrees of freedom, at least 1, stays below with a probability of 97.5 %.
pub fn student(degrees: usize) -> f64 {
    let (mut low, mut high) = (1.9, 13.0);
    // The interval halves each time: 60 of them are more than f64 resolves.
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if within(middle, degrees) < 0.95 { low = middle } else { high = middle }
    }
    high
}

/// The probability that |t| is below a value: the finite sums of Abramowitz and Stegun, 26.7.3 and 26.7.4.
fn within(t: f64, degrees: usize) -> f64 {
    let angle = (t / (degrees as f64).sqrt()).atan();
    let (sin, cos) = angle.sin_cos();
    let odd = degrees % 2;
    // 1 + 1/2 cos² + 1·3/(2·4) cos⁴ …, or cos + 2/3 cos³ + 2·4/(3·5) cos⁵ …, up to the power degrees - 2.
    let first = if odd == 1 { cos } else { 1.0 };
    let ratios = (odd + 1..degrees.saturating_sub(1)).step_by(2).map(|k| k as f64 / (k + 1) as f64);
    let terms = ratios.scan(first, |term, ratio| {
        *term *= ratio * cos * cos;
        Some(*term)
    });
    let sum = if degrees < 2 { 0.0 } else { first + terms.sum::<f64>() };
    if odd == 1 { (angle + sin * sum) * std::f64::consts::FRAC_2_PI } else { sin * sum }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn students_t_is_that_of_the_tables() {
        let table = [
            (1, 12.706205),
            (2, 4.302653),
            (3, 3.182446),
            (4, 2.776445),
            (29, 2.045230),
            (39, 2.022691),
            (99, 1.984217),
            (599, 1.963932),
        ];
        for (degrees, t) in table {
            assert!((student(degrees) - t).abs() < 2e-6, "{degrees}: {} instead of {t}", student(degrees));
        }
    }

    #[test]
    fn few_values_have_no_interval() {
        assert_eq!(Spread::of(&[]), None);
        assert_eq!(Spread::of(&[0.5]), Some(Spread { count: 1, mean: 0.5, deviation: None, interval: None }));
        let three = Spread::of(&[0.0, 0.5, 1.0]).unwrap();
        assert_eq!((three.mean, three.deviation), (0.5, Some(0.5)));
        assert!((three.interval.unwrap() - 4.302653 * 0.5 / 3f64.sqrt()).abs() < 1e-6);
    }
}
