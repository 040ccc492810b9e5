//! The bootstrap: what a value might have been on other pictures of the same kind (Efron 1979), as a percentile interval.

use crate::random::Stream;

/// Samples drawn from items with replacement, each as how often every item was drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Resamples(Vec<Vec<f64>>);

impl Resamples {
    /// So many samples of items, of which the group of each is given: every group keeps its size, as items are drawn from their group.
    pub fn new(groups: &[usize], times: usize, stream: &mut Stream) -> Resamples {
        let most = groups.iter().copied().max().map_or(0, |most| most + 1);
        let of = |group: usize| groups.iter().enumerate().filter(move |g| *g.1 == group).map(|g| g.0).collect();
        let members: Vec<Vec<usize>> = (0..most).map(of).collect();
        let mut one = || {
            let mut counts = vec![0.0; groups.len()];
            for members in &members {
                for _ in 0..members.len() {
                    let drawn = members.get(stream.below(members.len())).and_then(|i| counts.get_mut(*i));
                    drawn.into_iter().for_each(|count| *count += 1.0);
                }
            }
            counts
        };
        Resamples((0..times).map(|_| one()).collect())
    }

    /// For each sample how often it holds every item.
    pub fn counts(&self) -> &[Vec<f64>] {
        &self.0
    }

    /// The 95 % percentile interval of a statistic of how often each item counts; samples for which it is undefined are left out. `None` if
    /// it is for all.
    pub fn interval(&self, statistic: &mut dyn FnMut(&[f64]) -> Option<f64>) -> Option<[f64; 2]> {
        percentiles(self.0.iter().filter_map(|counts| statistic(counts)).collect())
    }
}

/// The 2.5 % and the 97.5 % quantile of values, between the two next to it by linear interpolation; `None` without values.
pub fn percentiles(mut values: Vec<f64>) -> Option<[f64; 2]> {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let place = share * (values.len().checked_sub(1)? as f64);
        let below = *values.get(place as usize)?;
        let above = values.get(place as usize + 1).copied().unwrap_or(below);
        Some(below + (above - below) * place.fract())
    };
    Some([at(0.025)?, at(0.975)?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::methods::metrics::{Spread, student};

    #[test]
    fn groups_keep_their_size_and_draws_repeat() {
        let groups = [0, 1, 1, 0, 1, 3];
        let draw = || Resamples::new(&groups, 50, &mut Stream::new("bootstrap"));
        let resamples = draw();
        assert_eq!(resamples, draw());
        assert_ne!(resamples, Resamples::new(&groups, 50, &mut Stream::new("another")));
        for counts in resamples.counts() {
            let of = |group: usize| groups.iter().zip(counts).filter(|g| *g.0 == group).map(|g| g.1).sum::<f64>();
            assert_eq!([0, 1, 2, 3].map(of), [2.0, 3.0, 0.0, 1.0]);
        }
        assert_eq!(resamples.counts().len(), 50);
        assert_eq!(resamples.interval(&mut |counts| counts.get(5).copied()), Some([1.0, 1.0]));
        assert_eq!(resamples.interval(&mut |_| None), None);
    }

    /// As numpy's `percentile([1, 2, 4, 8], [2.5, 97.5])`.
    #[test]
    fn percentiles_lie_between_values() {
        let [low, high] = percentiles(vec![4.0, 1.0, 8.0, 2.0]).unwrap();
        assert!((low - 1.075).abs() < 1e-12 && (high - 7.7).abs() < 1e-12, "{low} {high}");
        assert_eq!((percentiles(vec![3.0]), percentiles(vec![])), (Some([3.0, 3.0]), None));
    }

    /// Of a mean it is the interval that theory gives, and it holds the true mean about as often as it says.
    #[test]
    fn intervals_of_means() {
        let mut stream = Stream::new("values");
        let (mut held, mut widths) = (0, 0.0);
        for trial in 0..200 {
            let values: Vec<f64> = (0..60).map(|_| stream.uniform()).collect();
            let resamples = Resamples::new(&[0; 60], 400, &mut Stream::new(format!("trial {trial}")));
            let mut mean = |counts: &[f64]| Some(counts.iter().zip(&values).map(|(c, v)| c * v).sum::<f64>() / 60.0);
            let [low, high] = resamples.interval(&mut mean).unwrap();
            held += usize::from((low..high).contains(&0.5));
            // The bootstrap's deviation is that of n, and its quantiles are the normal ones.
            let normal =
                1.96 * Spread::of(&values).unwrap().deviation.unwrap() * (59.0f64 / 60.0).sqrt() / 60f64.sqrt();
            widths += (high - low) / (2.0 * normal) / 200.0;
        }
        assert!((0.97..1.03).contains(&widths), "{widths} of the normal interval, {} for t", student(59.0) / 1.96);
        // 95 % of 200, with a deviation of 3.1; a percentile interval holds a little less.
        assert!((178..=198).contains(&held), "{held} of 200 intervals hold the mean");
    }
}
