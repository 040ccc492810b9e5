//! From numbers to words: what may be said of a mean or a difference with its interval.

use crate::methods::metrics::Spread;

/// Differences that lie within so much of 0 are called practically the same: two points.
const SAME: f64 = 0.02;

/// What a difference and its interval carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The interval lies above 0.
    Higher,
    /// It lies below 0.
    Lower,
    /// It holds 0 and lies within two points of it.
    Same,
    /// It holds 0 and reaches farther.
    Open,
    /// There is none: a single repeat.
    Single,
}

impl Verdict {
    /// Of a difference, as far as its ends are written: what is written as 0.0 is 0.
    pub fn of(difference: &Spread) -> Verdict {
        match written(difference) {
            None => Verdict::Single,
            Some([low, _]) if low > 0.0 => Verdict::Higher,
            Some([_, high]) if high < 0.0 => Verdict::Lower,
            Some([low, high]) if low >= -SAME && high <= SAME => Verdict::Same,
            Some(_) => Verdict::Open,
        }
    }
}

/// The ends of an interval to a tenth of a point.
fn written(difference: &Spread) -> Option<[f64; 2]> {
    difference.ends().map(|ends| ends.map(|end| (1000.0 * end).round() / 1000.0))
}

/// Whether a difference is within two points of 0 with all of its interval.
pub(super) fn within_two_points(difference: &Spread) -> bool {
    written(difference).is_some_and(|[low, high]| low >= -SAME && high <= SAME)
}

/// A share in percent.
pub(super) fn percent(share: f64) -> String {
    format!("{} %", tenths(share))
}

/// Hundred times a share, with one decimal and without a sign where that is 0.0.
pub(super) fn tenths(share: f64) -> String {
    let text = format!("{:.1}", 100.0 * share);
    if text == "-0.0" { "0.0".into() } else { text }
}

/// A mean and its interval: `91.2 % (95 % 90.1 to 92.3)`.
pub(super) fn mean(spread: &Spread) -> String {
    format!("{} ({})", percent(spread.mean), range(spread.ends()))
}

/// A mean with both of its intervals: by repeats and, where there is one, by pictures.
pub(super) fn mean_both(spread: &Spread, by_pictures: Option<&[f64; 2]>) -> String {
    match by_pictures {
        None => mean(spread),
        Some([low, high]) => {
            let by_repeats = match spread.ends() {
                Some(ends) => format!("{} by draws", range(Some(ends))),
                None => ONE.into(),
            };
            format!("{} ({by_repeats}; 95 % {} to {} by pictures)", percent(spread.mean), tenths(*low), tenths(*high))
        }
    }
}

const ONE: &str = "one repeat, so no interval by draws";

fn range(ends: Option<[f64; 2]>) -> String {
    match ends {
        Some([low, high]) => format!("95 % {} to {}", tenths(low), tenths(high)),
        None => ONE.into(),
    }
}

/// By how much, without its sign: `6.1 points (95 % 4.0 to 8.2)`.
pub(super) fn size(difference: &Spread) -> String {
    let turned = difference.mean < 0.0;
    let ends = difference.ends().map(|[low, high]| if turned { [-high, -low] } else { [low, high] });
    format!("{} points ({})", tenths(difference.mean.abs()), range(ends))
}

/// By how much, with its sign.
fn signed(difference: &Spread) -> String {
    let mean = tenths(difference.mean);
    let plus = if mean.starts_with('-') || mean == "0.0" { "" } else { "+" };
    format!("{plus}{mean} points ({})", range(difference.ends()))
}

/// What something did to a metric: a verb and what follows, such as `lowered accuracy by 6.1 points (95 % 4.0 to 8.2)`.
pub(super) fn did(difference: &Spread, metric: &str) -> String {
    let size = size(difference);
    match Verdict::of(difference) {
        Verdict::Higher => format!("raised {metric} by {size}"),
        Verdict::Lower => format!("lowered {metric} by {size}"),
        Verdict::Same => format!("left {metric} practically the same: {}", signed(difference)),
        Verdict::Open => format!("showed no effect on {metric}: {}", signed(difference)),
        Verdict::Single => format!("changed {metric} by {}", signed(difference)),
    }
}

/// How one mean lies to another: a verb and what follows, such as `is lower by 7.5 points (95 % 6.1 to 8.9)`.
pub(super) fn lies(difference: &Spread) -> String {
    match Verdict::of(difference) {
        Verdict::Higher => format!("is higher by {}", size(difference)),
        Verdict::Lower => format!("is lower by {}", size(difference)),
        Verdict::Same => format!("is practically the same: {}", signed(difference)),
        Verdict::Open => format!("could not be shown to differ: {}", signed(difference)),
        Verdict::Single => format!("differs by {}", signed(difference)),
    }
}

/// `a`, `a and b`, `a, b and c`.
pub(super) fn list<S: AsRef<str>>(items: &[S]) -> String {
    match items {
        [] => String::new(),
        [one] => one.as_ref().into(),
        [first @ .., last] => {
            let first: Vec<&str> = first.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", first.join(", "), last.as_ref())
        }
    }
}

/// `1 data set`, `3 data sets`.
pub(super) fn count(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

/// With a capital letter and a full stop.
pub(super) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|c| c.to_uppercase().collect::<String>()).unwrap_or_default();
    let stop = if text.ends_with(['.', '?']) { "" } else { "." };
    format!("{first}{}{stop}", letters.as_str())
}

/// What differences say over data sets: of one in words, of two or three by what they say, otherwise how many say what. `of` makes a verb and
/// what follows of a difference, as [`lies`] and [`did`] do, for one data set; `subject` stands before it.
pub(super) fn over(found: &[(String, Spread)], subject: &str, of: &dyn Fn(&Spread) -> String) -> String {
    match found {
        [(place, difference)] => return format!("on {place} {subject} {}", of(difference)),
        [_, _] | [_, _, _] => return grouped(found, subject),
        _ => {}
    }
    let how_many = |verdict: Verdict| found.iter().filter(|f| Verdict::of(&f.1) == verdict).count();
    let said = [
        (Verdict::Lower, "lower on"),
        (Verdict::Higher, "higher on"),
        (Verdict::Same, "practically the same on"),
        (Verdict::Open, "not shown to differ on"),
        (Verdict::Single, "without an interval, from one repeat, on"),
    ];
    let said = said.into_iter().map(|(verdict, words)| (how_many(verdict), words)).filter(|(n, _)| *n > 0);
    let said: Vec<String> = said.map(|(n, words)| format!("{words} {n}")).collect();
    let means = || found.iter().map(|f| f.1.mean);
    let (low, high) = (means().fold(f64::INFINITY, f64::min), means().fold(f64::NEG_INFINITY, f64::max));
    let all = count(found.len(), "data set");
    format!("of {all} {subject} is {}; mean differences from {} to {} points", list(&said), tenths(low), tenths(high))
}

/// Data sets by what their differences say, with sizes where there is something to say.
fn grouped(found: &[(String, Spread)], subject: &str) -> String {
    let group = |verdict: Verdict, words: &str, sized: bool| {
        let place = |(place, d): &(String, Spread)| match (sized, d.ends()) {
            (false, _) => place.clone(),
            (true, None) => format!("{place} ({})", signed(d)),
            (true, Some(_)) => format!("{place} (by {})", size(d).replace(" (", ", ").replace(')', "")),
        };
        let places: Vec<String> = found.iter().filter(|f| Verdict::of(&f.1) == verdict).map(place).collect();
        (!places.is_empty()).then(|| format!("{words} on {}", list(&places)))
    };
    let groups = [
        group(Verdict::Lower, "lower", true),
        group(Verdict::Higher, "higher", true),
        group(Verdict::Same, "practically the same", false),
        group(Verdict::Open, "not shown to differ", false),
        group(Verdict::Single, "another", true),
    ];
    format!("{subject} is {}", groups.into_iter().flatten().collect::<Vec<_>>().join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(mean: f64, interval: Option<f64>) -> Spread {
        Spread { count: if interval.is_some() { 10 } else { 1 }, mean, deviation: None, interval }
    }

    #[test]
    fn words_follow_intervals() {
        let said = |mean, interval| {
            let d = spread(mean, interval);
            (Verdict::of(&d), did(&d, "accuracy"), lies(&d))
        };
        let (lower, did, is) = said(-0.061, Some(0.021));
        assert_eq!(lower, Verdict::Lower);
        assert_eq!(did, "lowered accuracy by 6.1 points (95 % 4.0 to 8.2)");
        assert_eq!(is, "is lower by 6.1 points (95 % 4.0 to 8.2)");
        let (higher, did, is) = said(0.013, Some(0.01));
        assert_eq!((higher, did.as_str()), (Verdict::Higher, "raised accuracy by 1.3 points (95 % 0.3 to 2.3)"));
        assert_eq!(is, "is higher by 1.3 points (95 % 0.3 to 2.3)");
        let (same, did, is) = said(-0.003, Some(0.01));
        assert_eq!(same, Verdict::Same);
        assert_eq!(did, "left accuracy practically the same: -0.3 points (95 % -1.3 to 0.7)");
        assert_eq!(is, "is practically the same: -0.3 points (95 % -1.3 to 0.7)");
        let (open, did, is) = said(0.003, Some(0.03));
        assert_eq!(open, Verdict::Open);
        assert_eq!(did, "showed no effect on accuracy: +0.3 points (95 % -2.7 to 3.3)");
        assert_eq!(is, "could not be shown to differ: +0.3 points (95 % -2.7 to 3.3)");
        let (single, did, is) = said(-0.1, None);
        assert_eq!(single, Verdict::Single);
        assert_eq!(did, "changed accuracy by -10.0 points (one repeat, so no interval by draws)");
        assert_eq!(is, "differs by -10.0 points (one repeat, so no interval by draws)");
        assert_eq!(said(0.0, Some(0.0)).0, Verdict::Same, "no difference at all is the same, not higher");
        assert_eq!(said(0.0199, Some(0.0)).0, Verdict::Higher);
        let (verdict, _, is) = said(0.0104, Some(0.01));
        assert_eq!((verdict, is.as_str()), (Verdict::Same, "is practically the same: +1.0 points (95 % 0.0 to 2.0)"));
        assert!(!within_two_points(&spread(0.0, None)), "one repeat shows nothing to be the same");
        assert_eq!(signed(&spread(-0.0004, Some(0.0))), "0.0 points (95 % 0.0 to 0.0)");
    }

    #[test]
    fn means_and_lists() {
        assert_eq!(mean(&spread(0.912, Some(0.011))), "91.2 % (95 % 90.1 to 92.3)");
        let both = mean_both(&spread(0.912, Some(0.011)), Some(&[0.85, 0.96]));
        assert_eq!(both, "91.2 % (95 % 90.1 to 92.3 by draws; 95 % 85.0 to 96.0 by pictures)");
        let one = mean_both(&spread(0.912, None), Some(&[0.85, 0.96]));
        assert_eq!(one, "91.2 % (one repeat, so no interval by draws; 95 % 85.0 to 96.0 by pictures)");
        assert_eq!(
            [list::<&str>(&[]), list(&["a"]), list(&["a", "b"]), list(&["a", "b", "c"])],
            ["", "a", "a and b", "a, b and c"]
        );
        assert_eq!((sentence("not run"), sentence("Why?")), ("Not run.".into(), "Why?".into()));
        let found: Vec<(String, Spread)> = [-0.1, 0.1, 0.0, 0.0]
            .iter()
            .zip("abcd".chars())
            .map(|(m, c)| (c.to_string(), spread(*m, Some(0.01))))
            .collect();
        assert_eq!(over(&found[..1], "its AUROC", &lies), "on a its AUROC is lower by 10.0 points (95 % 9.0 to 11.0)");
        assert_eq!(
            over(&found[..3], "its AUROC", &lies),
            "its AUROC is lower on a (by 10.0 points, 95 % 9.0 to 11.0); higher on b (by 10.0 points, 95 % 9.0 to 11.0); practically the same on c"
        );
        assert_eq!(
            over(&found, "its AUROC", &lies),
            "of 4 data sets its AUROC is lower on 1, higher on 1 and practically the same on 2; mean differences from -10.0 to 10.0 points"
        );
    }
}
