//! The limit between accepted and rejected: how it follows from the scores of good training pictures, and which of these stand apart.

use super::fitted::Fitted;
use crate::error::{Error, Result, plain};
use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

/// How the limits for pictures and for pixels follow from the training pictures: from their scores the one, from the largest values of
/// their anomaly maps the other. Scores that are not finite do not count.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum LimitRule {
    /// The largest.
    #[default]
    Max,
    /// The second largest: one contaminated training picture does not raise it.
    Second,
    /// The smallest value that at least this share of the training pictures does not exceed; above 0 and at most 1.
    Quantile(f64),
    /// Stated by hand; without a value for pixels that limit stays as [`LimitRule::Max`] has it.
    Fixed {
        /// For pictures.
        score: f64,
        /// For pixels.
        pixel: Option<f64>,
    },
}

const RULES: &str = "expected max, second, quantile=Q with Q above 0 and at most 1, fixed=SCORE or fixed=SCORE,PIXEL";

impl FromStr for LimitRule {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<LimitRule, String> {
        let wrong = || format!("unknown rule `{}`; {RULES}", plain(text));
        let number = |text: &str| text.parse::<f64>().ok().filter(|v| v.is_finite()).ok_or_else(wrong);
        match text.split_once('=') {
            None if text == "max" => Ok(LimitRule::Max),
            None if text == "second" => Ok(LimitRule::Second),
            Some(("quantile", q)) => {
                let q = number(q)?;
                if q > 0.0 && q <= 1.0 { Ok(LimitRule::Quantile(q)) } else { Err(wrong()) }
            }
            Some(("fixed", values)) => {
                let (score, pixel) = values.split_once(',').map_or((values, None), |(s, p)| (s, Some(p)));
                Ok(LimitRule::Fixed { score: number(score)?, pixel: pixel.map(number).transpose()? })
            }
            _ => Err(wrong()),
        }
    }
}

impl Display for LimitRule {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            LimitRule::Max => f.write_str("max"),
            LimitRule::Second => f.write_str("second"),
            LimitRule::Quantile(q) => write!(f, "quantile={q}"),
            LimitRule::Fixed { score, pixel: None } => write!(f, "fixed={}", exact(*score)),
            LimitRule::Fixed { score, pixel: Some(pixel) } => write!(f, "fixed={},{}", exact(*score), exact(*pixel)),
        }
    }
}

/// A number in as many digits as tell it from all others, and not in hundreds of zeros.
fn exact(v: f64) -> String {
    if v == 0.0 || (1e-5..1e15).contains(&v.abs()) { v.to_string() } else { format!("{v:e}") }
}

impl LimitRule {
    /// The limit for pictures; `None` if the rule needs more training scores than there are.
    pub fn of_scores(&self, scores: &[f64]) -> Option<f64> {
        match self {
            LimitRule::Fixed { score, .. } => Some(*score),
            rule => rule.ranked(&finite(scores)),
        }
    }

    /// The limit for pixels, from the largest value of each training picture's map.
    pub fn of_peaks(&self, peaks: &[f64]) -> Option<f64> {
        match self {
            LimitRule::Fixed { pixel, .. } => pixel.or_else(|| LimitRule::Max.ranked(&finite(peaks))),
            rule => rule.ranked(&finite(peaks)),
        }
    }

    fn ranked(&self, ascending: &[f64]) -> Option<f64> {
        ascending.get(self.rank(ascending.len())?.checked_sub(1)?).copied()
    }

    /// Which of `n` values in ascending order the limit is, counted from 1; `None` if it is none of them.
    fn rank(&self, n: usize) -> Option<usize> {
        match self {
            LimitRule::Max => Some(n),
            LimitRule::Second => n.checked_sub(1),
            // A product such as 0.95 * 60 may come out a little above the whole number that is meant.
            LimitRule::Quantile(q) => Some(((q * n as f64 - 1e-9).ceil() as usize).clamp(1, n.max(1))),
            LimitRule::Fixed { .. } => None,
        }
    }

    /// The rule in words, for training pictures with these scores.
    pub fn words(&self, scores: &[f64]) -> String {
        let n = finite(scores).len();
        match self {
            LimitRule::Max => format!("the largest of {n} training scores"),
            LimitRule::Second => format!("the second largest of {n} training scores"),
            LimitRule::Quantile(q) => {
                let rank = self.rank(n).unwrap_or_default();
                format!("the {q} quantile of {n} training scores, the {rank}{} in ascending order", ordinal(rank))
            }
            LimitRule::Fixed { .. } => "stated by hand".into(),
        }
    }
}

fn ordinal(n: usize) -> &'static str {
    match (n % 10, n % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    }
}

/// The finite values, ascending.
fn finite(values: &[f64]) -> Vec<f64> {
    let mut finite: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    finite.sort_unstable_by(f64::total_cmp);
    finite
}

/// Fewer scores have no quartiles worth speaking of.
pub(super) const ENOUGH: usize = 8;

/// The training pictures whose scores stand apart from the others', as numbers into `scores`, the highest first.
///
/// They lie above Tukey's fence, the third quartile and 1.5 times the interquartile range, and above a gap that
/// separates them from all others: at least half that range, and a tenth of the score below it. Fewer than eight scores tell nothing.
///
/// On 28 pictures of hazelnuts this names none (centre) or one (whole pictures); with one more that is defective that one and none or two
/// others; with three more all of them and another, or the worst alone.
pub fn apart(scores: &[f64]) -> Vec<usize> {
    let ascending = finite(scores);
    if ascending.len() < ENOUGH {
        return vec![];
    }
    let at = |q: f64| {
        let place = q * (ascending.len() - 1) as f64;
        let value = |i: usize| ascending.get(i).copied().unwrap_or_default();
        let (low, high) = (value(place as usize), value(place.ceil() as usize));
        low + (high - low) * place.fract()
    };
    let (upper, range) = (at(0.75), at(0.75) - at(0.25));
    let (fence, gap) = (upper + 1.5 * range, 0.5 * range);
    let above_gap = |pair: &[f64]| {
        let [low, high] = pair else { return None };
        (*high > fence && high - low > 0.0 && high - low >= gap.max(0.1 * low)).then_some(*high)
    };
    let Some(first) = ascending.windows(2).find_map(above_gap) else { return vec![] };
    let mut numbers: Vec<usize> =
        (0..scores.len()).filter(|&i| scores.get(i).is_some_and(|s| *s >= first && s.is_finite())).collect();
    let score = |i: &usize| scores.get(*i).copied().unwrap_or_default();
    numbers.sort_by(|a, b| score(b).total_cmp(&score(a)));
    numbers
}

/// The training pictures that stand apart in words: their scores and paths, and how high the others reach. `None` if there are none.
pub fn apart_words(trained: &[Trained]) -> Option<String> {
    const NAMED: usize = 5;
    let scores: Vec<f64> = trained.iter().map(|t| t.score).collect();
    let numbers = apart(&scores);
    let named: Vec<String> = numbers
        .iter()
        .filter_map(|&i| trained.get(i))
        .take(NAMED)
        .map(|t| format!("{} ({})", plain(t.name), number(t.score)))
        .collect();
    let rest = (0..scores.len()).filter(|i| !numbers.contains(i)).filter_map(|i| scores.get(i));
    let highest = rest.copied().filter(|s| s.is_finite()).fold(f64::NEG_INFINITY, f64::max);
    let more = numbers.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let (count, others) = (numbers.len(), scores.len() - numbers.len());
    let stand = if count == 1 { "picture stands apart" } else { "pictures stand apart" };
    (count > 0).then(|| {
        format!(
            "{count} training {stand}: {}{more}; the others ({others}) reach {}. Is there a defect?",
            named.join(", "),
            number(highest)
        )
    })
}

/// A value in four decimals, or with an exponent where these would say too little or too much.
pub fn number(v: f64) -> String {
    if v != 0.0 && !(1e-3..1e9).contains(&v.abs()) { format!("{v:.4e}") } else { format!("{v:.4}") }
}

/// A training picture as its model remembers it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trained<'m> {
    /// Path relative to the data set's folder.
    pub name: &'m str,
    /// Its score without its own part of the model.
    pub score: f64,
    /// The largest value of its anomaly map, likewise.
    pub peak: f64,
}

/// The limits of a model in words: `24.0731 for pictures, the largest of 60 training scores; 3.1000 for pixels`; `None` without one.
pub fn words(fitted: &dyn Fitted) -> Option<String> {
    let limit = fitted.limit()?;
    let scores = scores(fitted);
    let rule = fitted.limit_rule().map_or(String::new(), |rule| format!(", {}", rule.words(&scores)));
    let pixels = fitted.map_limit().map_or(String::new(), |l| format!("; {} for pixels", number(l)));
    Some(format!("{} for pictures{rule}{pixels}", number(limit)))
}

/// The training scores of a model drawn, its limit marked; `None` if it remembers none.
pub fn drawn(fitted: &dyn Fitted) -> Option<String> {
    let marks: Vec<(f64, &str)> = fitted.limit().map(|l| (l, "limit")).into_iter().collect();
    Some(chart(&scores(fitted), &marks)).filter(|text| !text.is_empty())
}

/// The names of the training pictures that stand apart.
pub fn apart_names<'m>(trained: &[Trained<'m>]) -> Vec<&'m str> {
    let scores: Vec<f64> = trained.iter().map(|t| t.score).collect();
    apart(&scores).into_iter().filter_map(|i| Some(trained.get(i)?.name)).collect()
}

/// The scores of a model's training pictures.
pub fn scores(fitted: &dyn Fitted) -> Vec<f64> {
    fitted.training().iter().map(|t| t.score).collect()
}

/// The training scores drawn in text, one line for each of up to ten intervals; `marks` are values and what they are called.
pub fn chart(scores: &[f64], marks: &[(f64, &str)]) -> String {
    const LINES: usize = 10;
    const WIDE: usize = 50;
    let ascending = finite(scores);
    let (Some(first), Some(last)) = (ascending.first(), ascending.last()) else { return String::new() };
    let lines = if last > first { LINES } else { 1 };
    let step = (last - first) / lines as f64;
    let line = |v: f64| if step > 0.0 { (((v - first) / step) as usize).min(lines - 1) } else { 0 };
    let mut counts = vec![0usize; lines];
    ascending.iter().for_each(|&v| counts.iter_mut().skip(line(v)).take(1).for_each(|c| *c += 1));
    let most = counts.iter().copied().max().unwrap_or(1);
    let scale = most.div_ceil(WIDE).max(1);
    let one = |(i, count): (usize, &usize)| {
        let (low, high) = (first + step * i as f64, first + step * (i + 1) as f64);
        let here = |v: f64| line(v) == i && v >= *first && v <= *last;
        let marked: Vec<String> =
            marks.iter().filter(|m| here(m.0)).map(|m| format!("{} {}", m.1, number(m.0))).collect();
        let marked = if marked.is_empty() { String::new() } else { format!("  <- {}", marked.join(", ")) };
        format!("  {low:>9.3} to {high:>9.3} {:>4} {}{marked}\n", count, "#".repeat(count.div_ceil(scale)))
    };
    let head = if scale == 1 { String::new() } else { format!("; each # is up to {scale}") };
    let body: String = counts.iter().enumerate().map(one).collect();
    format!("training scores, {} pictures{head}\n{}", ascending.len(), body.trim_end())
}

/// Whether `rule` gives a limit for pictures with these training scores.
///
/// # Errors
/// [`Error::Usage`] saying why not, and what would.
pub fn check(rule: &LimitRule, scores: &[f64]) -> Result<()> {
    if rule.of_scores(scores).is_some() {
        return Ok(());
    }
    let n = finite(scores).len();
    Err(Error::Usage(format!(
        "rule {rule}: there are {n} training scores, which is too few; state a limit with fixed=SCORE,PIXEL"
    )))
}

/// As [`check`], where nothing but a rule that was asked for is refused: a single picture has no scores, and then there is no limit.
///
/// # Errors
/// As [`check`].
pub fn check_asked(rule: &LimitRule, scores: &[f64]) -> Result<()> {
    if *rule == LimitRule::Max { Ok(()) } else { check(rule, scores) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_there_and_back() {
        for text in [
            "max",
            "second",
            "quantile=0.99",
            "quantile=1",
            "fixed=31.1",
            "fixed=31.1,2.5",
            "fixed=-1,0",
            "fixed=1e-300,1e308",
        ] {
            assert_eq!(text.parse::<LimitRule>().expect(text).to_string(), text);
        }
        for text in [
            "",
            "Max",
            "quantile",
            "quantile=0",
            "quantile=1.01",
            "quantile=NaN",
            "fixed=",
            "fixed=inf",
            "fixed=1,",
            "fixed=1,2,3",
        ] {
            let error = text.parse::<LimitRule>().expect_err(text);
            assert!(error.contains("quantile=Q") && error.contains("fixed=SCORE,PIXEL"), "{error}");
        }
    }

    #[test]
    fn limits_are_order_statistics_of_finite_scores() {
        let scores: Vec<f64> = (1..=60).rev().map(f64::from).chain([f64::INFINITY]).collect();
        let of = |text: &str| text.parse::<LimitRule>().expect(text).of_scores(&scores);
        assert_eq!(
            [of("max"), of("second"), of("quantile=0.95"), of("quantile=0.99")].map(Option::unwrap),
            [60.0, 59.0, 57.0, 60.0]
        );
        assert_eq!([of("quantile=0.001"), of("quantile=1"), of("fixed=7.5")].map(Option::unwrap), [1.0, 60.0, 7.5]);
        let fixed = LimitRule::Fixed { score: 1.0, pixel: None };
        assert_eq!((fixed.of_peaks(&scores), fixed.of_peaks(&[])), (Some(60.0), None));
        assert_eq!(LimitRule::Second.of_scores(&[3.0]), None);
        assert_eq!(LimitRule::Max.of_scores(&[f64::INFINITY]), None);
        assert_eq!(
            LimitRule::Quantile(0.99).words(&scores),
            "the 0.99 quantile of 60 training scores, the 60th in ascending order"
        );
        assert!(LimitRule::Max.words(&scores).contains("of 60 "), "an infinite score is not counted");
    }

    #[test]
    fn what_stands_apart_is_found() {
        let even: Vec<f64> = (0..20).map(|i| 10.0 + f64::from(i) * 0.5).collect();
        assert!(apart(&even).is_empty());
        let with = |more: &[f64]| apart(&even.iter().copied().chain(more.iter().copied()).collect::<Vec<_>>());
        assert_eq!(with(&[40.0]), [20]);
        assert_eq!(with(&[35.0, 40.0, f64::INFINITY]), [21, 20]);
        assert!(with(&[22.0]).is_empty(), "inside the fence");
        assert!(apart(&(0..20).map(|i| 100.0 + f64::from(i / 19)).collect::<Vec<_>>()).is_empty(), "hardly higher");
        assert!(apart(&[1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 9.0]).is_empty(), "too few");
        assert_eq!(apart(&[1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 9.0]), [7], "also where all others are equal");
    }

    #[test]
    fn a_chart_has_every_score_and_its_marks() {
        let scores: Vec<f64> = (0..120).map(|i| if i == 119 { 20.0 } else { f64::from(i % 5) }).collect();
        let text = chart(&scores, &[(20.0, "max"), (4.0, "second"), (99.0, "outside")]);
        assert!(
            text.contains("120 pictures") && text.contains("<- max 20.0000") && !text.contains("outside"),
            "{text}"
        );
        let counts: usize =
            text.lines().skip(1).filter_map(|l| l.split_whitespace().nth(3)?.parse::<usize>().ok()).sum();
        assert_eq!(counts, 120, "{text}");
        assert_eq!([4.25, 0.0, 1e308, 2e-7].map(number), ["4.2500", "0.0000", "1.0000e308", "2.0000e-7"]);
        assert_eq!(chart(&[], &[]), "");
        assert!(chart(&[3.0, 3.0], &[(3.0, "max")]).contains("<- max"), "equal scores");
    }
}
