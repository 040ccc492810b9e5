//! Who is drawn: so many methods that lines can still be told apart, the same ones with the same looks in every plot.

use super::look::Look;
use super::view::View;
use crate::study::analysis::Metric;
use crate::study::{Family, Task, Variant};

/// Learners that are drawn at most; with [`DETECTORS`] as many as there are colours.
const LEARNERS: usize = 4;
/// Detectors that are drawn at most.
const DETECTORS: usize = 4;

/// Who is drawn.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cast {
    /// Learners, best first: a method of each group that is drawn.
    pub learners: Vec<Member>,
    /// Detectors, best first.
    pub detectors: Vec<Member>,
    /// Names of those that are left to tables.
    pub others: Vec<String>,
}

/// A method that is drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Its number.
    pub method: usize,
    /// Its name.
    pub name: String,
    /// How it looks.
    pub look: Look,
    /// What differs from it only in allowing for unequal shots, and looks like it, but hollow.
    pub corrected: Option<(usize, String)>,
}

impl Member {
    /// How its corrected form looks.
    pub fn hollow(&self) -> Look {
        Look { hollow: true, ..self.look }
    }
}

impl Cast {
    /// The best plain method of every family, then others of further groups by their rank.
    pub fn of(view: &View) -> Cast {
        let all: Vec<usize> = (0..view.results.methods.len()).collect();
        let (detectors, learners): (Vec<usize>, Vec<usize>) = all.iter().partition(|&&m| view.detects(m));
        let plain = |m: &usize| view.method(*m).is_some_and(|m| m.variant == Variant::Plain);
        let plains: Vec<usize> = learners.iter().copied().filter(plain).collect();
        let learners = ranked(view, if plains.is_empty() { learners } else { plains });
        let detectors = ranked(view, detectors);
        // Room that the ones do not take, the others have.
        let most = |own: usize, others: &[usize], theirs: usize| own + theirs - groups(view, others).min(theirs);
        let learners_drawn = pick(view, &learners, most(LEARNERS, &detectors, DETECTORS));
        let detectors_drawn = pick(view, &detectors, most(DETECTORS, &learners, LEARNERS));
        let member = |(number, &method): (usize, &usize)| Member {
            method,
            name: view.name(method),
            look: Look::of(number as u8),
            corrected: corrected(view, method),
        };
        let first = learners_drawn.len();
        let learners: Vec<Member> = learners_drawn.iter().enumerate().map(member).collect();
        let later = detectors_drawn.iter().enumerate().map(|(i, m)| (first + i, m));
        let detectors: Vec<Member> = later.map(member).collect();
        let mut cast = Cast { learners, detectors, others: vec![] };
        cast.others = all.into_iter().filter(|m| !cast.draws(*m)).map(|m| view.name(m)).collect();
        cast
    }

    fn draws(&self, method: usize) -> bool {
        let is = |m: &Member| m.method == method || m.corrected.as_ref().is_some_and(|c| c.0 == method);
        self.learners.iter().chain(&self.detectors).any(is)
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Member> {
        self.learners.iter().chain(&self.detectors)
    }
}

/// How many distinct groups there are.
fn groups(view: &View, methods: &[usize]) -> usize {
    let mut names: Vec<&str> = methods.iter().filter_map(|&m| view.method(m)).map(|m| m.group.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names.len()
}

/// Best first; equal ones in the order of the study.
fn ranked(view: &View, mut methods: Vec<usize>) -> Vec<usize> {
    let best_first = |a: &usize, b: &usize| score(view, *b).total_cmp(&score(view, *a));
    methods.sort_by(best_first);
    methods
}

/// A detector's AUROC, a learner's balanced accuracy, in the first task that it has: what methods are ranked by.
fn score(view: &View, method: usize) -> f64 {
    let metric = if view.detects(method) { Metric::Auroc } else { Metric::BalAcc };
    let tasks = [Task::T2, Task::T1, Task::T4, Task::T5, Task::T3];
    tasks.iter().find_map(|&t| view.over_categories(method, t, metric)).map_or(-1.0, |m| m.mean)
}

/// The first of every family, then the first of further groups, `most` at most, in the order in which they come.
fn pick(view: &View, ranked: &[usize], most: usize) -> Vec<usize> {
    let mut picked: Vec<usize> = vec![];
    let facts = |m: usize| view.method(m).map(|m| (m.family, m.group.as_str()));
    let family = |a: Option<(Family, &str)>, b: Option<(Family, &str)>| a.map(|f| f.0) == b.map(|f| f.0);
    let group = |a: Option<(Family, &str)>, b: Option<(Family, &str)>| a == b;
    for same in [&family as &dyn Fn(_, _) -> bool, &group] {
        for &m in ranked {
            let known = picked.iter().any(|&other| same(facts(m), facts(other)));
            if picked.len() < most && !known && !picked.contains(&m) {
                picked.push(m);
            }
        }
    }
    ranked.iter().copied().filter(|m| picked.contains(m)).collect()
}

fn corrected(view: &View, method: usize) -> Option<(usize, String)> {
    let own = view.method(method).filter(|m| m.variant == Variant::Plain)?;
    let found = view.results.methods.iter().position(|m| {
        m.variant == Variant::Corrected && m.group == own.group && m.distance == own.distance && m.family == own.family
    })?;
    Some((found, view.name(found)))
}
