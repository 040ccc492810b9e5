//! What methods that classify have in common: from the logits of a picture to what is said of it, in f64, and the limit that somebody states.

use super::fitted::Finding;
use super::limit::LimitRule;
use crate::data::dataset::GOOD;
use crate::error::{Error, Result, plain};

/// What is said of a picture whose logits of the classes `names` are these and whose probabilities are `likely`. The score is the logarithm of
/// the odds against the class `good` or, where there is none, against the label itself.
pub fn finding(names: &[String], logits: &[f64], likely: Vec<f64>) -> Finding {
    let (label, margin) = best(logits).unwrap_or_default();
    let against = names.iter().position(|n| n == GOOD).unwrap_or(label);
    Finding {
        score: log_odds_against(logits, against).unwrap_or_default(),
        label: names.get(label).cloned(),
        probabilities: names.iter().cloned().zip(likely).collect(),
        margin: Some(margin),
        map: None,
        whole: false,
    }
}

/// The rule of a limit that was stated.
pub fn rule(limit: Option<f64>) -> Option<LimitRule> {
    limit.map(|score| LimitRule::Fixed { score, pixel: None })
}

/// The limit that a rule states for `model`, such as `a model of CAML`, with these classes: it has no training scores to follow from.
///
/// # Errors
/// [`Error::Usage`] for any other rule, for a limit of pixels, and where no class is `good`.
pub fn stated(rule: LimitRule, model: &str, names: &[String]) -> Result<f64> {
    let refused = |what: String| Err(Error::Usage(format!("rule {rule}: {what}")));
    match rule {
        _ if !names.iter().any(|n| n == GOOD) => {
            let names = plain(&names.join(", "));
            refused(format!(
                "none of the classes ({names}) is called {GOOD}, so no score says how defective a picture is"
            ))
        }
        LimitRule::Fixed { score, pixel: None } => Ok(score),
        LimitRule::Fixed { .. } => refused(format!("{model} has no pixels; expected fixed=SCORE")),
        _ => refused(format!(
            "{model} has no training scores; state a limit: fixed=0 rejects what is likelier not good than good"
        )),
    }
}

/// Probabilities of these logits.
pub fn softmax(logits: &[f64]) -> Vec<f64> {
    let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = logits.iter().map(|l| (l - most).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|p| p / sum).collect()
}

/// The class with the largest logit, the first of several, and by how much it is larger than the next: the logarithm of how many times
/// likelier it is. `None` for fewer than two classes.
pub fn best(logits: &[f64]) -> Option<(usize, f64)> {
    let largest = |but: Option<usize>| {
        let all = logits.iter().enumerate().filter(|(i, _)| Some(*i) != but);
        all.reduce(|best, one| if one.1 > best.1 { one } else { best })
    };
    let (class, most) = largest(None)?;
    Some((class, most - largest(Some(class))?.1))
}

/// The logarithm of the odds against a class, `ln((1 - p) / p)`, from logits: finite where p itself is 0 or 1 in f64.
pub fn log_odds_against(logits: &[f64], class: usize) -> Option<f64> {
    let others = || logits.iter().enumerate().filter(|(i, _)| *i != class).map(|(_, l)| *l);
    let most = others().reduce(f64::max)?;
    let all = most + others().map(|l| (l - most).exp()).sum::<f64>().ln();
    Some(all - logits.get(class)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odds_stay_finite_where_probabilities_are_used_up() {
        let logits = [-3.0, -2500.0, -2501.0];
        assert_eq!(softmax(&logits), [1.0, 0.0, 0.0]);
        assert_eq!(best(&logits), Some((0, 2497.0)));
        let against = log_odds_against(&logits, 0).expect("two others");
        assert!((against - (-2497.0 + (1.0 + (-1f64).exp()).ln())).abs() < 1e-9, "{against}");
        let even = [1.0, 1.0];
        assert_eq!((best(&even), log_odds_against(&even, 1), best(&even[..1])), (Some((0, 0.0)), Some(0.0), None));
        for logits in [[0.3, -1.2, 2.0], [5.0, 5.1, -40.0]] {
            let p = softmax(&logits)[1];
            let odds = log_odds_against(&logits, 1).expect("two others");
            assert!((odds - ((1.0 - p) / p).ln()).abs() < 1e-9, "{odds}");
        }
    }
}
