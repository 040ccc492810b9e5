//! Whether one series of times is faster than another, or only noise.

use super::stats::median;
use serde::Serialize;

/// A median that moved by less is not worth reporting, however certain it is.
pub const SMALLEST: f64 = 0.02;
/// An interval no wider than this to either side of 1 rules a real change out.
pub const SURE: f64 = 0.10;

/// Fewer runs on either side say nothing: their interval does not contain the median with 95 %.
pub const ENOUGH: usize = 6;

/// Why nothing can be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Doubt {
    /// One side has fewer than [`ENOUGH`] runs.
    FewRuns,
    /// The machine had other work before one of the sides was measured.
    Busy,
    /// The times scatter too much.
    Scatter,
}

/// How the new series compares with the old one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The new one is.
    Faster,
    /// The new one is.
    Slower,
    /// A change of more than [`SURE`] can be ruled out, and none of [`SMALLEST`] was seen.
    Same,
    /// Nothing can be told.
    Unclear,
}

impl Verdict {
    /// As shown in a table.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Faster => "faster",
            Verdict::Slower => "slower",
            Verdict::Same => "same",
            Verdict::Unclear => "unclear",
        }
    }
}

/// The ratio of two medians with its interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Judged {
    /// Median of the new times as a multiple of the old ones'.
    pub ratio: f64,
    /// The interval's lower end.
    pub low: f64,
    /// The interval's upper end.
    pub high: f64,
    /// What that means.
    pub verdict: Verdict,
    /// Why it is unclear, if it is.
    pub doubt: Option<Doubt>,
}

impl Judged {
    /// Whether the new times are certainly longer, and their median by more than `share` of the old ones'.
    pub fn regressed(&self, share: f64) -> bool {
        self.verdict != Verdict::Unclear && self.low > 1.0 && self.ratio > 1.0 + share
    }

    /// The same where other work took a part of the machine: nothing can be told.
    pub fn under_load(self) -> Judged {
        Judged { verdict: Verdict::Unclear, doubt: self.doubt.or(Some(Doubt::Busy)), ..self }
    }
}

/// Compares `new` times with `base`. The interval is that of the two medians' order statistics (binomial, at least 95 % each; with
/// fewer than [`ENOUGH`] runs it is that of all runs and there is no verdict), the worst of one against the best of the other: two series of one and the same program
/// are told apart in about one of two hundred comparisons, as far as runs are independent.
pub fn judge(base: &[f64], new: &[f64]) -> Judged {
    let (a, b) = (interval(base), interval(new));
    let (ratio, low, high) = (median(new) / median(base), b.0 / a.1, b.1 / a.0);
    let moved = (ratio - 1.0).abs() >= SMALLEST;
    let few = base.len().min(new.len()) < ENOUGH;
    let verdict = match () {
        _ if few => Verdict::Unclear,
        _ if ![ratio, low, high].iter().all(|v| v.is_finite()) => Verdict::Unclear,
        _ if moved && low > 1.0 => Verdict::Slower,
        _ if moved && high < 1.0 => Verdict::Faster,
        _ if low >= 1.0 - SURE && high <= 1.0 + SURE => Verdict::Same,
        _ => Verdict::Unclear,
    };
    let why = if few { Doubt::FewRuns } else { Doubt::Scatter };
    Judged { ratio, low, high, verdict, doubt: (verdict == Verdict::Unclear).then_some(why) }
}

/// The interval that contains the median of the distribution.
fn interval(values: &[f64]) -> (f64, f64) {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let (n, skip) = (sorted.len(), outside(sorted.len()));
    let at = |i: usize| sorted.get(i).copied().unwrap_or(f64::NAN);
    (at(skip), at(n.wrapping_sub(1 + skip)))
}

/// How many of `n` sorted values may be left out at either end: so many that at most 2.5 % of all fair throws of `n` coins show
/// no more heads.
fn outside(n: usize) -> usize {
    let (mut heads, mut chance, mut below) = (0, 0.5f64.powi(n.min(1000) as i32), 0.0);
    loop {
        below += chance;
        if below > 0.025 || heads >= n {
            return heads.saturating_sub(1);
        }
        chance *= (n - heads) as f64 / (heads + 1) as f64;
        heads += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(middle: f64, half: f64, n: usize) -> Vec<f64> {
        (0..n).map(|i| middle + half * (2.0 * i as f64 / (n - 1) as f64 - 1.0)).collect()
    }

    /// Tables of the sign test: the interval of the median is from the 6th to the 15th of 20 values, 1st to 6th of 6, 40th to 61st of 100.
    #[test]
    fn order_statistics_by_the_table() {
        assert_eq!((outside(20), outside(6), outside(100), outside(5), outside(1), outside(0)), (5, 0, 39, 0, 0, 0));
        let values: Vec<f64> = (1..=20).map(f64::from).collect();
        assert_eq!(interval(&values), (6.0, 15.0));
        assert_eq!(interval(&[3.0, 1.0]), (1.0, 3.0));
    }

    #[test]
    fn verdicts() {
        let base = series(100.0, 4.0, 21);
        let verdict = |new: &[f64]| judge(&base, new).verdict;
        assert_eq!(verdict(&base), Verdict::Same);
        assert_eq!(verdict(&series(110.0, 4.0, 21)), Verdict::Slower);
        assert_eq!(verdict(&series(90.0, 4.0, 21)), Verdict::Faster);
        assert_eq!(verdict(&series(110.0, 40.0, 21)), Verdict::Unclear);
        assert_eq!(verdict(&series(101.0, 0.1, 21)), Verdict::Same);
        assert_eq!(judge(&[], &base).verdict, Verdict::Unclear);
        assert_eq!(judge(&[0.0], &[0.0]).verdict, Verdict::Unclear);
    }

    #[test]
    fn fault_07_few_runs_and_a_busy_machine_give_no_verdict() {
        let (base, slow) = (series(100.0, 1.0, 21), series(200.0, 1.0, 21));
        for (a, b) in [(1, 21), (21, 5), (5, 5)] {
            let judged = judge(&base[..a], &slow[..b]);
            assert_eq!((judged.verdict, judged.doubt), (Verdict::Unclear, Some(Doubt::FewRuns)), "{a}, {b}");
            assert!(!judged.regressed(0.05));
        }
        let enough = judge(&base[..6], &slow[..6]);
        assert_eq!((enough.verdict, enough.doubt, enough.regressed(0.05)), (Verdict::Slower, None, true));
        let busy = enough.under_load();
        assert_eq!((busy.verdict, busy.doubt, busy.regressed(0.05)), (Verdict::Unclear, Some(Doubt::Busy), false));
    }

    /// One slow run of a machine that was busy for a moment changes nothing.
    #[test]
    fn an_outlier_is_no_regression() {
        let (base, mut new) = (series(100.0, 4.0, 21), series(100.0, 4.0, 21));
        new[20] = 9000.0;
        assert_eq!(judge(&base, &new).verdict, Verdict::Same);
    }

    #[test]
    fn a_regression_is_sure_and_large() {
        let (base, by) =
            (series(100.0, 4.0, 21), |new: &[f64], share| judge(&series(100.0, 4.0, 21), new).regressed(share));
        assert!(by(&series(110.0, 4.0, 21), 0.05) && !by(&series(110.0, 4.0, 21), 0.15));
        assert!(!by(&series(110.0, 60.0, 21), 0.05), "too noisy to be sure");
        assert!(!by(&base, 0.0));
    }
}
