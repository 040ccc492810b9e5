//! Few-shot episodes on a folder of classes: a support is drawn, a learner learns it, and says the classes of other pictures.

mod draw;
mod kept;
mod records;
mod summary;

pub use super::kept::Kept;
pub use draw::{Drawn, Rule};
pub use kept::Found;
pub use records::Episode;
pub use summary::{Recall, Summary};

use crate::data::dataset::GOOD;
use crate::error::{Error, Result, plain};
use crate::methods::labelled::{best, log_odds_against};
use crate::methods::metrics::{Confusion, ranking};
use crate::methods::prototype::head::{Head, Prototypes};
use crate::watch::Watch;
use std::collections::BTreeMap;
use std::rc::Rc;

/// What learns the classes of an episode: prototypes are one, and any other method plugs in here.
pub trait Learner {
    /// For each query the logit of each class, after learning the support: the vectors of each class, one or more.
    ///
    /// # Errors
    /// Those of the method.
    fn logits(&mut self, support: &[Vec<&[f32]>], queries: &[&[f32]]) -> Result<Vec<Vec<f64>>>;
}

impl Learner for Head {
    fn logits(&mut self, support: &[Vec<&[f32]>], queries: &[&[f32]]) -> Result<Vec<Vec<f64>>> {
        let prototypes = Prototypes::new(self, support)?;
        Ok(queries.iter().map(|query| prototypes.logits(query)).collect())
    }
}

/// One class of a pool.
#[derive(Clone, Debug, Default)]
pub struct Class {
    /// Its name.
    pub name: String,
    /// Its pictures in bytewise order of their names, each with its vector.
    pub pictures: Vec<(String, Vec<f32>)>,
}

/// A picture with its class, name, vector and the hash of its file.
pub struct Member<'m> {
    /// The class.
    pub class: &'m str,
    /// The name.
    pub name: &'m str,
    /// The vector.
    pub vector: Vec<f32>,
    /// The hash.
    pub sha256: String,
}

/// The classes of these pictures, in their order, and the names of those that are left out because an earlier one of the class is the same
/// file: a copy of a support picture must not be a query.
///
/// # Errors
/// [`Error::Input`] for one file in two classes.
pub fn pool<'m>(members: impl IntoIterator<Item = Member<'m>>) -> Result<(Vec<Class>, Vec<&'m str>)> {
    let (mut classes, mut copies, mut seen) = (Vec::<Class>::new(), vec![], BTreeMap::<String, (&str, &str)>::new());
    for Member { class, name, vector, sha256 } in members {
        match seen.insert(sha256, (class, name)) {
            Some((other, first)) if other != class => {
                let [first, name] = [first, name].map(plain);
                return Err(Error::Input(format!(
                    "{name}: is the same file as {first}, of another class; remove one of them"
                )));
            }
            Some(_) => copies.push(name),
            None => {
                if classes.last().is_none_or(|last| last.name != class) {
                    classes.push(Class { name: class.into(), pictures: vec![] });
                }
                if let Some(last) = classes.last_mut() {
                    last.pictures.push((name.into(), vector));
                }
            }
        }
    }
    Ok((classes, copies))
}

/// Draws so many times and lets `learner` learn each number of shots; hands every episode to `take`, and returns for each number of shots
/// what all of them say together. Everything is done on the processor: an episode is some thousand products of vectors beside the
/// network's hundreds of millions for each of its pictures.
///
/// # Errors
/// As [`Rule::check`] and [`Learner::logits`]; [`Error::Numeric`] for logits that are no numbers; the watcher's interrupt.
pub fn run(
    classes: &[Class],
    rule: &Rule,
    repeats: usize,
    learner: &mut dyn Learner,
    watch: &dyn Watch,
    take: &mut dyn FnMut(Episode),
) -> Result<Vec<Summary>> {
    let named: Vec<(&str, usize)> = classes.iter().map(|c| (c.name.as_str(), c.pictures.len())).collect();
    rule.check(&named)?;
    let sizes: Vec<usize> = named.iter().map(|n| n.1).collect();
    let mut measured = vec![vec![]; rule.shots.len()];
    for repeat in 0..repeats {
        watch.go_on()?;
        watch.progress("episodes", repeat, repeats);
        let drawn = Rc::new(rule.draw(&sizes, repeat));
        for (shots, measured) in rule.shots.iter().zip(&mut measured) {
            let logits = learned(classes, &drawn, *shots, learner)?;
            measured.push(measure(classes, &drawn, &logits)?);
            take(Episode::new(repeat, *shots, drawn.clone(), &logits));
        }
    }
    watch.progress("episodes", repeats, repeats);
    let summary = |(shots, measured): (&usize, Vec<Measured>)| Summary::of(*shots, classes.len(), &measured);
    Ok(rule.shots.iter().zip(measured).map(summary).collect())
}

/// The logits of an episode's queries, class by class.
fn learned(classes: &[Class], drawn: &Drawn, shots: usize, learner: &mut dyn Learner) -> Result<Vec<Vec<Vec<f64>>>> {
    let vectors = |lists: &[Vec<usize>], most: usize| -> Vec<Vec<&[f32]>> {
        let of = |class: usize, picture: usize| Some(classes.get(class)?.pictures.get(picture)?.1.as_slice());
        let list =
            |(class, list): (&usize, &Vec<usize>)| list.iter().take(most).filter_map(|p| of(*class, *p)).collect();
        drawn.classes.iter().zip(lists).map(list).collect()
    };
    let queries = vectors(&drawn.queries, usize::MAX);
    let mut logits = learner.logits(&vectors(&drawn.support, shots), &queries.concat())?.into_iter();
    if logits.as_slice().iter().flatten().any(|l| l.is_nan()) {
        return Err(Error::Numeric("a logit of an episode is not a number".into()));
    }
    Ok(queries.iter().map(|list| logits.by_ref().take(list.len()).collect()).collect())
}

/// What one episode says of a learner.
#[derive(Clone, Debug)]
struct Measured {
    /// The classes that take part, as numbers in the pool.
    classes: Vec<usize>,
    confusion: Confusion,
    /// Area under the ROC curve of the odds against the class `good`, where it takes part.
    auroc: Option<f64>,
}

fn measure(classes: &[Class], drawn: &Drawn, logits: &[Vec<Vec<f64>>]) -> Result<Measured> {
    let mut confusion = Confusion::new(drawn.classes.len());
    for (class, queries) in logits.iter().enumerate() {
        queries.iter().filter_map(|l| best(l)).for_each(|(said, _)| confusion.add(class, said));
    }
    let is_good = |c: &usize| classes.get(*c).is_some_and(|c| c.name == GOOD);
    let classes = drawn.classes.clone();
    let Some(good) = drawn.classes.iter().position(is_good) else {
        return Ok(Measured { classes, confusion, auroc: None });
    };
    let scores = logits.iter().enumerate().flat_map(|(class, queries)| {
        queries.iter().filter_map(move |l| Some((log_odds_against(l, good)?, class != good)))
    });
    Ok(Measured { classes, confusion, auroc: ranking(&scores.collect::<Vec<(f64, bool)>>())?.auroc.ok() })
}
