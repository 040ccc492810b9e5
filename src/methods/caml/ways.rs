//! Which classes have which labels, in how many ways, and what the logits of all of them say of a picture.
//!
//! A *question* is asked about groups of classes, one group for each label: the classes themselves, one each, where there are labels
//! enough. An *asking* is a question with certain labels. Labels that no group has are masked: their logits are not looked at.

use super::{Average, Config, Many};
use crate::data::dataset::GOOD;
use crate::error::{Error, Result, plain};

/// Askings of one picture at most: every one of them is a run through the transformer.
const MOST: usize = 2000;

/// A question with the label of each of its groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asking {
    /// Number of its question.
    pub question: usize,
    /// The label of each group.
    pub labels: Vec<usize>,
}

/// Everything that is asked about a picture.
#[derive(Clone, Debug)]
pub struct Ways {
    classes: usize,
    labels: usize,
    many: Option<Many>,
    good: Option<usize>,
    reversed: bool,
    questions: Vec<Vec<Vec<usize>>>,
    askings: Vec<Asking>,
}

impl Ways {
    /// For these classes, with that many labels.
    ///
    /// # Errors
    /// [`Error::Usage`] for more classes than labels without a choice of what to do about it, a choice that does not fit the classes, an
    /// average over more ways than there are, and for too many askings.
    pub fn new(names: &[String], labels: usize, config: &Config) -> Result<Ways> {
        let (classes, many, good) = (names.len(), config.many, names.iter().position(|n| n == GOOD));
        let questions = match many {
            None if classes > labels => return Err(too_many(classes, labels)),
            Some(many) if classes <= labels => {
                let word = many.word();
                return Err(Error::Usage(format!(
                    "--many-classes {word}: {classes} classes have a label each of the {labels}; leave the flag out"
                )));
            }
            None => vec![(0..classes).map(|c| vec![c]).collect()],
            Some(Many::Subsets) => subsets(&(0..classes).collect::<Vec<_>>(), labels)?,
            Some(Many::OneVsRest) => (0..classes).map(|c| vec![vec![c], others(classes, c)]).collect(),
            Some(Many::TwoStage) => two_stage(names, good, labels)?,
        };
        let most = questions.iter().map(|groups| orders(groups.len(), labels)).max().unwrap_or(1);
        let wanted = match config.average {
            Average::First(n) if n > most => {
                return Err(Error::Usage(format!("--average {n}: must be between 1 and {most}, or all")));
            }
            Average::First(n) => n,
            Average::All => most,
        };
        let asking = |(question, groups): (usize, &Vec<Vec<usize>>)| {
            let all = assignments(groups.len(), labels).into_iter().take(wanted);
            all.map(move |labels| Asking { question, labels }).collect::<Vec<_>>()
        };
        let askings: Vec<Asking> = questions.iter().enumerate().flat_map(asking).collect();
        match askings.len() {
            n if n > MOST => Err(Error::Usage(format!(
                "{n} sequences for every picture; at most {MOST} are supported: lower --average, or choose --many-classes {}",
                Many::OneVsRest.word()
            ))),
            _ => Ok(Ways { classes, labels, many, good, reversed: config.reversed, questions, askings }),
        }
    }

    /// Everything that is asked, in order.
    pub fn askings(&self) -> &[Asking] {
        &self.askings
    }

    /// The label of a class in an asking; `None` if it takes no part.
    pub fn label(&self, asking: &Asking, class: usize) -> Option<usize> {
        let group = self.questions.get(asking.question)?.iter().position(|group| group.contains(&class))?;
        asking.labels.get(group).copied()
    }

    /// The logarithm of the probability of each class, from the logits of every asking.
    pub fn log_probabilities(&self, logits: &[&[f32]]) -> Vec<f64> {
        let of_asking = |(asking, logits): (&Asking, &&[f32])| {
            let at = |label: &usize| if self.reversed { self.labels - 1 - label } else { *label };
            let own = |label| logits.get(at(label)).map_or(f64::NAN, |l| f64::from(*l));
            (asking.question, normalised(&asking.labels.iter().map(own).collect::<Vec<_>>()))
        };
        let all: Vec<(usize, Vec<f64>)> = self.askings.iter().zip(logits).map(of_asking).collect();
        let of_question = |question: usize| {
            let own: Vec<&Vec<f64>> = all.iter().filter(|a| a.0 == question).map(|a| &a.1).collect();
            let groups = own.first().map_or(0, |first| first.len());
            let mean = |group: usize| log_mean(own.iter().filter_map(|one| one.get(group).copied()), own.len());
            (0..groups).map(mean).collect::<Vec<f64>>()
        };
        self.combined(&(0..self.questions.len()).map(of_question).collect::<Vec<_>>())
    }

    /// What the answers to all questions say of each class.
    fn combined(&self, answers: &[Vec<f64>]) -> Vec<f64> {
        let [first, rest @ ..] = answers else { return vec![] };
        match (self.many, &first[..]) {
            (None, only) => only.to_vec(),
            (Some(Many::Subsets), _) => (0..self.classes).map(|c| self.mean(answers, 0, c)).collect(),
            (Some(Many::OneVsRest), _) => {
                normalised(&answers.iter().filter_map(|a| a.first().copied()).collect::<Vec<_>>())
            }
            (Some(Many::TwoStage), [good, bad]) => {
                let of = |c| if Some(c) == self.good { *good } else { bad + self.mean(rest, 1, c) };
                (0..self.classes).map(of).collect()
            }
            (Some(Many::TwoStage), _) => vec![],
        }
    }

    /// The mean probability of a class over the questions from number `from` on, those among them in which it takes no part.
    fn mean(&self, answers: &[Vec<f64>], from: usize, class: usize) -> f64 {
        let questions = self.questions.iter().skip(from).zip(answers);
        let own = questions.filter_map(|(groups, answer)| answer.get(groups.iter().position(|g| g.contains(&class))?));
        log_mean(own.copied(), answers.len())
    }
}

fn too_many(classes: usize, labels: usize) -> Error {
    let available = Many::ALL.map(Many::word).join(", ");
    Error::Usage(format!(
        "{classes} classes, and the checkpoint tells {labels} apart; choose with --many-classes what to do: {available}"
    ))
}

fn others(classes: usize, but: usize) -> Vec<usize> {
    (0..classes).filter(|c| *c != but).collect()
}

fn two_stage(names: &[String], good: Option<usize>, labels: usize) -> Result<Vec<Vec<Vec<usize>>>> {
    let Some(good) = good else {
        let names: Vec<String> = names.iter().map(|n| plain(n)).collect();
        return Err(Error::Usage(format!(
            "--many-classes two-stage: tells {GOOD} from all others first, and none of the classes ({}) is called so",
            names.join(", ")
        )));
    };
    let bad = others(names.len(), good);
    let second = subsets(&bad, labels.min(bad.len()))?;
    Ok([vec![vec![vec![good], bad]], second].concat())
}

/// Every choice of `n` of these classes, each with a group of its own.
fn subsets(classes: &[usize], n: usize) -> Result<Vec<Vec<Vec<usize>>>> {
    let count = (0..n).fold(1usize, |all, i| all.saturating_mul(classes.len() - i) / (i + 1));
    if count > MOST {
        return Err(Error::Usage(format!(
            "{} classes have {count} subsets of {n}; at most {MOST} are supported: choose --many-classes {}",
            classes.len(),
            Many::OneVsRest.word()
        )));
    }
    let mut found = vec![vec![]];
    for class in classes {
        let with: Vec<Vec<Vec<usize>>> =
            found.iter().filter(|one| one.len() < n).map(|one| [&one[..], &[vec![*class]]].concat()).collect();
        found.extend(with);
    }
    found.retain(|one| one.len() == n);
    found.sort();
    Ok(found)
}

/// In how many orders `n` of `labels` labels can be given.
fn orders(n: usize, labels: usize) -> usize {
    (0..n).map(|i| labels.saturating_sub(i)).fold(1, usize::saturating_mul)
}

/// The labels of `n` groups in every order: first those that go round, from label 0, 1, … on; then all others, sorted.
fn assignments(n: usize, labels: usize) -> Vec<Vec<usize>> {
    let round: Vec<Vec<usize>> = (0..labels).map(|s| (0..n).map(|i| (s + i) % labels).collect()).collect();
    let longer = |all: Vec<Vec<usize>>| {
        let with = |one: Vec<usize>| {
            let free = (0..labels).filter(|l| !one.contains(l)).collect::<Vec<_>>();
            free.into_iter().map(move |l| [&one[..], &[l]].concat())
        };
        all.into_iter().flat_map(with).collect::<Vec<_>>()
    };
    let sorted = (0..n).fold(vec![vec![]], |all, _| longer(all));
    let rest = sorted.into_iter().filter(|one| !round.contains(one)).collect::<Vec<_>>();
    [round, rest].concat()
}

/// ln Σ exp.
fn log_sum(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let most = values.clone().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = values.map(|v| (v - most).exp()).sum();
    if most == f64::NEG_INFINITY { most } else { most + sum.ln() }
}

/// The logarithm of the mean of `n` probabilities, of which those are 0 whose logarithm is not given.
fn log_mean(values: impl Iterator<Item = f64> + Clone, n: usize) -> f64 {
    log_sum(values) - (n.max(1) as f64).ln()
}

fn normalised(logits: &[f64]) -> Vec<f64> {
    let all = log_sum(logits.iter().copied());
    logits.iter().map(|l| l - all).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(average: Average, many: Option<Many>) -> Config {
        Config { place: "cls".into(), size: 224, crop: false, average, many, reversed: false }
    }

    fn names(n: usize) -> Vec<String> {
        (0..n).map(|i| if i == 1 { "good".into() } else { format!("class {i}") }).collect()
    }

    fn near(got: &[f64], want: &[f64]) {
        assert!(got.len() == want.len() && got.iter().zip(want).all(|(g, w)| (g.exp() - w).abs() < 1e-9), "{got:?}");
    }

    #[test]
    fn absent_labels_are_masked_and_present_ones_averaged() {
        let ways = |average| Ways::new(&names(2), 5, &config(average, None)).unwrap();
        let one = ways(Average::First(1));
        assert_eq!(one.askings(), [Asking { question: 0, labels: vec![0, 1] }]);
        let logits = [0.0, 1.0, 99.0, 99.0, 99.0];
        let p = 1.0 / (1.0 + 1f64.exp());
        near(&one.log_probabilities(&[&logits]), &[p, 1.0 - p]);
        let round = ways(Average::First(5));
        let labels: Vec<&[usize]> = round.askings().iter().map(|a| &a.labels[..]).collect();
        assert_eq!(labels, [[0, 1], [1, 2], [2, 3], [3, 4], [4, 0]]);
        let all = ways(Average::All);
        assert_eq!(all.askings().len(), 20);
        assert_eq!((all.label(&all.askings()[4], 0), all.label(&all.askings()[4], 1)), (Some(4), Some(0)));
        // Every label of the first class has the logit 0, every other one the logit of its distance.
        let told = |a: &Asking| (0..5).map(|l| if l == a.labels[0] { 0.0 } else { 1.0 }).collect::<Vec<f32>>();
        let told: Vec<Vec<f32>> = all.askings().iter().map(told).collect();
        near(&all.log_probabilities(&told.iter().map(Vec::as_slice).collect::<Vec<_>>()), &[p, 1.0 - p]);
        let reversed = Ways { reversed: true, ..one };
        near(&reversed.log_probabilities(&[&[9.0, 9.0, 9.0, 1.0, 0.0]]), &[p, 1.0 - p]);
    }

    #[test]
    fn more_classes_than_labels() {
        let of = |many| Ways::new(&names(7), 5, &config(Average::First(1), Some(many))).unwrap();
        let ask = |ways: &Ways, strong: usize| {
            let told = |a: &Asking| (0..5).map(|l| if ways.label(a, strong) == Some(l) { 60.0 } else { 0.0 }).collect();
            let told: Vec<Vec<f32>> = ways.askings().iter().map(told).collect();
            ways.log_probabilities(&told.iter().map(Vec::as_slice).collect::<Vec<_>>())
        };
        let subsets = of(Many::Subsets);
        assert_eq!(subsets.askings().len(), 21);
        // Class 3 takes part in 15 of 21; in the other 6, five of six classes share what is left.
        let p = ask(&subsets, 3);
        near(&p, &(0..7).map(|c| if c == 3 { 15.0 / 21.0 } else { 1.0 / 21.0 }).collect::<Vec<_>>());
        let rest = of(Many::OneVsRest);
        assert_eq!((rest.askings().len(), rest.label(&rest.askings()[2], 2)), (7, Some(0)));
        assert_eq!(rest.label(&rest.askings()[2], 6), Some(1));
        near(&ask(&rest, 3), &(0..7).map(|c| f64::from(c == 3)).collect::<Vec<_>>());
        let stages = of(Many::TwoStage);
        assert_eq!(stages.askings().len(), 1 + 6);
        near(&ask(&stages, 1), &(0..7).map(|c| f64::from(c == 1)).collect::<Vec<_>>());
        let p = ask(&stages, 3);
        assert!((p.iter().map(|p| p.exp()).sum::<f64>() - 1.0).abs() < 1e-9 && p[1].exp() < 1e-9, "{p:?}");
    }

    #[test]
    fn what_does_not_go_is_told() {
        let said = |n, average, many| Ways::new(&names(n), 5, &config(average, many)).unwrap_err().to_string();
        let few = Average::First(1);
        assert!(said(6, few, None).ends_with("choose with --many-classes what to do: subsets, one-vs-rest, two-stage"));
        assert!(said(3, few, Some(Many::Subsets)).contains("leave the flag out"));
        assert!(said(3, Average::First(61), None).contains("must be between 1 and 60"));
        assert!(said(20, few, Some(Many::Subsets)).contains("15504 subsets of 5"));
        assert!(said(9, Average::All, Some(Many::Subsets)).contains("15120 sequences for every picture"));
        let bad: Vec<String> = (0..7).map(|i| format!("{i}")).collect();
        let told = Ways::new(&bad, 5, &config(few, Some(Many::TwoStage))).unwrap_err().to_string();
        assert!(told.contains("none of the classes (0, 1, 2"), "{told}");
    }
}
