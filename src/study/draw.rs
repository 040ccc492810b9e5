//! Which pictures are shots and which are asked about: the same on every machine.
//!
//! Every class is shuffled once for each repeat, and a support is the beginning of its classes' lists: so supports are nested, and what is
//! asked about does not change with the number of shots.

use super::pictures::Pictures;
use super::{Draw, Pool, Query, Task};
use crate::data::dataset::GOOD;
use crate::random::Stream;

/// What all defective pictures are called where their kinds are one class.
pub const BAD: &str = "bad";

/// How many pictures are learned from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shots {
    /// Good ones.
    pub good: usize,
    /// Of each other class.
    pub bad: usize,
}

/// What holds for all draws of a study.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The seed.
    pub seed: u64,
    /// Where shots come from, and what is asked about.
    pub pool: Pool,
    /// Whether defective shots of one class are taken in turns from its kinds of defect.
    pub stratified: bool,
}

/// A draw in numbers of pictures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drawn {
    /// The text whose hash is the seed.
    pub text: String,
    /// The classes in bytewise order.
    pub classes: Vec<String>,
    /// The pictures that shots of each class are taken from, in their order.
    pub lists: Vec<Vec<usize>>,
    /// The pictures that are asked about, each with its class, in the order of classes and paths.
    pub queries: Vec<(usize, usize)>,
}

/// The pictures of one class.
struct Class<'p> {
    name: &'p str,
    /// Those that shots are drawn from, by kind.
    kinds: Vec<&'p [usize]>,
    /// How many of them are kept for shots, and asked about never.
    kept: usize,
    /// Those that are asked about besides.
    asked: &'p [usize],
}

impl Pool {
    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            Pool::AdAligned => "ad-aligned",
            Pool::Author => "author",
        }
    }
}

impl Rule {
    /// Draw number `repeat` of a task, of which the largest supports are `most`.
    pub fn draw(&self, pictures: &Pictures, (task, repeat): (Task, usize), most: Shots) -> Drawn {
        let (seed, category, pool) = (self.seed, &pictures.name, self.pool.word());
        let text = format!("{seed}|{category}|{task}|{pool}|{repeat}");
        let author: Vec<usize> = merged(pictures);
        let mut stream = Stream::new(text.clone());
        let classes = self.classes(pictures, task, most, &author);
        let mut drawn = Drawn { text, classes: vec![], lists: vec![], queries: vec![] };
        for (number, class) in classes.into_iter().enumerate() {
            let list = if self.stratified && class.kinds.len() > 1 {
                in_turns(class.kinds.iter().map(|kind| shuffled(kind, &mut stream)).collect())
            } else {
                let mut all = class.kinds.concat();
                sort(&mut all, pictures);
                shuffled(&all, &mut stream)
            };
            // What no training split holds apart is asked about, but for those that are kept for shots.
            let own = if self.apart(class.name) { &[][..] } else { list.get(class.kept..).unwrap_or_default() };
            let mut asked: Vec<usize> = own.iter().chain(class.asked).copied().collect();
            sort(&mut asked, pictures);
            drawn.queries.extend(asked.into_iter().map(|picture| (number, picture)));
            drawn.classes.push(class.name.into());
            drawn.lists.push(list);
        }
        drawn
    }

    /// Whether shots of a class come from a split of their own.
    fn apart(&self, class: &str) -> bool {
        self.pool == Pool::AdAligned && class == GOOD
    }

    fn classes<'p>(&self, pictures: &'p Pictures, task: Task, most: Shots, author: &'p [usize]) -> Vec<Class<'p>> {
        let mut classes: Vec<Class> = match task.pools_defects() {
            true => {
                let kinds = pictures.defects.iter().map(|d| d.1.as_slice()).collect();
                vec![Class { name: BAD, kinds, kept: most.bad, asked: &[] }]
            }
            false => {
                let of = |(name, list): &'p (String, Vec<usize>)| Class {
                    name,
                    kinds: vec![list],
                    kept: most.bad,
                    asked: &[],
                };
                pictures.defects.iter().map(of).collect()
            }
        };
        if task.has_good() {
            let (list, asked) = match self.pool {
                Pool::AdAligned => (&pictures.train[..], &pictures.good[..]),
                Pool::Author => (author, &[][..]),
            };
            classes.push(Class { name: GOOD, kinds: vec![list], kept: most.good, asked });
        }
        classes.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
        classes
    }

    /// The good pictures of a data set in the order in which detectors that learn from all of them have them: those that are kept apart for
    /// a limit come last.
    pub fn all_good(&self, pictures: &Pictures) -> Vec<usize> {
        let text = format!("{}|{}|all|{}", self.seed, pictures.name, self.pool.word());
        shuffled(&pictures.train, &mut Stream::new(text))
    }
}

/// All good pictures, in the order of their paths.
fn merged(pictures: &Pictures) -> Vec<usize> {
    let mut all: Vec<usize> = pictures.train.iter().chain(&pictures.good).copied().collect();
    sort(&mut all, pictures);
    all
}

fn sort(list: &mut [usize], pictures: &Pictures) {
    list.sort_by(|a, b| pictures.path(*a).as_bytes().cmp(pictures.path(*b).as_bytes()));
}

fn shuffled(list: &[usize], stream: &mut Stream) -> Vec<usize> {
    stream.shuffled(list.len()).into_iter().filter_map(|i| list.get(i).copied()).collect()
}

/// The first of each list, then the second of each, and so on.
fn in_turns(lists: Vec<Vec<usize>>) -> Vec<usize> {
    let longest = lists.iter().map(Vec::len).max().unwrap_or_default();
    (0..longest).flat_map(|i| lists.iter().filter_map(move |list| list.get(i).copied())).collect()
}

impl Drawn {
    /// The first pictures of each class: a support.
    pub fn support(&self, shots: Shots) -> Vec<&[usize]> {
        let of =
            |(name, list): (&String, &'_ Vec<usize>)| if name == GOOD { shots.good } else { shots.bad }.min(list.len());
        self.classes
            .iter()
            .zip(&self.lists)
            .map(|(name, list)| list.get(..of((name, list))).unwrap_or_default())
            .collect()
    }

    /// The number of the class `good`, if it is one.
    pub fn good(&self) -> Option<usize> {
        self.classes.iter().position(|c| c == GOOD)
    }

    /// As it is written, with supports of `most`.
    pub fn record(&self, pictures: &Pictures, (task, repeat): (Task, usize), pool: Pool, most: Shots) -> Draw {
        let paths = |list: &[usize]| list.iter().map(|p| pictures.path(*p).to_string()).collect();
        let query = |(class, picture): &(usize, usize)| Query {
            path: pictures.path(*picture).into(),
            label: pictures.samples.get(*picture).map_or(String::new(), |s| s.label.clone()),
            class: *class,
        };
        Draw {
            category: pictures.name.clone(),
            task,
            pool,
            repeat,
            seed: self.text.clone(),
            classes: self.classes.clone(),
            support: self.support(most).into_iter().map(paths).collect(),
            queries: self.queries.iter().map(query).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::dataset::{Census, Sample};
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    /// Six good pictures to learn from, three to test with, four cut and three with a hole; numbers are in the order of paths.
    fn parts() -> Pictures {
        let label = |n: usize| match n {
            0..9 => GOOD,
            9..13 => "cut",
            _ => "hole",
        };
        let sample =
            |n| Sample { path: PathBuf::new(), name: format!("{n:02}.png"), label: label(n).into(), mask: None };
        Pictures {
            root: PathBuf::new(),
            name: "parts".into(),
            painted: false,
            samples: (0..16).map(sample).collect(),
            hashes: (0..16).map(|n| n.to_string()).collect(),
            train: (0..6).collect(),
            good: (6..9).collect(),
            defects: vec![("cut".into(), (9..13).collect()), ("hole".into(), (13..16).collect())],
            excluded: BTreeSet::new(),
            counted: Census::of(16).ended(16, 0, 0),
            notes: vec![],
        }
    }

    fn rule(pool: Pool, stratified: bool) -> Rule {
        Rule { seed: 7, pool, stratified }
    }

    /// By the definition, in Python: FNV-1a, splitmix64, rejection, Fisher-Yates from the end.
    #[test]
    fn draws_are_these_on_every_machine() {
        let (parts, most) = (parts(), Shots { good: 2, bad: 2 });
        let lists = |task, repeat| rule(Pool::AdAligned, false).draw(&parts, (task, repeat), most).lists;
        assert_eq!(lists(Task::T1, 0), [vec![12, 11, 9, 10], vec![2, 3, 1, 5, 0, 4], vec![15, 13, 14]]);
        assert_eq!(lists(Task::T1, 1), [vec![11, 9, 10, 12], vec![3, 1, 5, 4, 2, 0], vec![15, 14, 13]]);
        assert_eq!(lists(Task::T2, 0), [vec![11, 9, 12, 13, 14, 15, 10], vec![3, 1, 2, 0, 5, 4]]);
        assert_eq!(lists(Task::T3, 0), [vec![11, 12, 10, 9], vec![14, 13, 15]]);
        let author = rule(Pool::Author, false).draw(&parts, (Task::T4, 3), most);
        assert_eq!(author.lists, [vec![12, 15, 9, 14, 13, 11, 10], vec![2, 0, 5, 1, 3, 4, 6, 7, 8]]);
        assert_eq!(
            (author.text.as_str(), &author.classes[..]),
            ("7|parts|T4|author|3", &[BAD.into(), GOOD.into()][..])
        );
        let turns = rule(Pool::AdAligned, true).draw(&parts, (Task::T2, 0), most);
        assert_eq!(turns.lists, [vec![11, 14, 9, 13, 10, 15, 12], vec![2, 1, 5, 3, 0, 4]], "in turns from both kinds");
        assert_eq!(rule(Pool::AdAligned, false).all_good(&parts), [0, 1, 4, 2, 3, 5]);
    }

    #[test]
    fn supports_are_nested_and_no_shot_is_asked_about() {
        let parts = parts();
        for (pool, stratified) in [(Pool::AdAligned, false), (Pool::AdAligned, true), (Pool::Author, false)] {
            for (task, repeat) in Task::ALL.into_iter().flat_map(|task| (0..20).map(move |r| (task, r))) {
                let most = Shots { good: 3, bad: 2 };
                let drawn = rule(pool, stratified).draw(&parts, (task, repeat), most);
                let asked: BTreeSet<usize> = drawn.queries.iter().map(|q| q.1).collect();
                assert_eq!(asked.len(), drawn.queries.len(), "none twice");
                for (small, large) in [(1, 2), (2, 3)] {
                    let shots = |n: usize| Shots { good: n, bad: n.min(2) };
                    let (small, large) = (drawn.support(shots(small)), drawn.support(shots(large)));
                    assert!(small.iter().zip(&large).all(|(s, l)| l.starts_with(s)), "{task} {repeat}");
                    assert!(large.iter().flat_map(|l| l.iter()).all(|p| !asked.contains(p)), "{task} {repeat}");
                }
                if pool == Pool::AdAligned && task.has_good() {
                    assert!((6..9).all(|good| asked.contains(&good)), "the good queries are always the same");
                }
                let good = drawn.queries.iter().filter(|q| Some(q.0) == drawn.good()).count();
                let all = if pool == Pool::Author { 6 } else { 3 };
                assert_eq!(good, if task.has_good() { all } else { 0 });
                assert!(drawn.queries.is_sorted_by_key(|q| (q.0, q.1)), "in the order of classes and paths");
            }
        }
    }

    #[test]
    fn what_is_asked_about_does_not_depend_on_the_shots_that_are_used() {
        let parts = parts();
        let record = |most| rule(Pool::AdAligned, false).draw(&parts, (Task::T5, 0), most).queries;
        assert_eq!(record(Shots { good: 6, bad: 2 }), record(Shots { good: 1, bad: 2 }));
        assert_eq!(record(Shots { good: 6, bad: 2 }).len(), 3 + 2 + 1);
    }
}
