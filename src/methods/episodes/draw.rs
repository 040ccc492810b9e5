//! Which pictures of a folder are the support of an episode and which are asked about: the same on every machine.

use crate::error::{Error, Result, plain};
use crate::random::Stream;

/// How episodes are drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Seed of all draws.
    pub seed: u64,
    /// What the pool is called.
    pub pool: String,
    /// Classes of an episode; `None`: all.
    pub ways: Option<usize>,
    /// Pictures of each class in the support, in ascending order.
    pub shots: Vec<usize>,
    /// Pictures of each class that are asked about; `None`: all others.
    pub queries: Option<usize>,
}

/// One draw: its episodes share their queries, and each support holds those with fewer shots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drawn {
    /// The text whose FNV-1a hash is the seed.
    pub text: String,
    /// The classes that take part, in ascending order.
    pub classes: Vec<usize>,
    /// For each of them the pictures of the largest support, in the order in which they come to smaller ones.
    pub support: Vec<Vec<usize>>,
    /// For each of them the pictures that are asked about.
    pub queries: Vec<Vec<usize>>,
}

impl Rule {
    /// The largest number of shots.
    fn most(&self) -> usize {
        self.shots.iter().copied().max().unwrap_or_default()
    }

    /// Checks that there are enough pictures in all classes, of which name and number are given.
    ///
    /// # Errors
    /// [`Error::Usage`] for no shots, no queries or too many ways; [`Error::Input`] for too few classes, and naming all classes with too
    /// few pictures.
    pub fn check(&self, classes: &[(&str, usize)]) -> Result<()> {
        if self.most() == 0 || self.shots.contains(&0) || self.queries == Some(0) {
            return Err(Error::Usage("--shots and --queries: must be at least 1".into()));
        }
        if classes.len() < 2 {
            let only = classes.first().map_or("none".into(), |(name, _)| format!("{} alone", plain(name)));
            return Err(Error::Input(format!("{}: expected at least two classes, found {only}", plain(&self.pool))));
        }
        if let Some(ways) = self.ways.filter(|ways| !(2..=classes.len()).contains(ways)) {
            return Err(Error::Usage(format!(
                "--ways {ways}: must be between 2 and {}, the number of classes",
                classes.len()
            )));
        }
        let need = self.most() + self.queries.unwrap_or(1);
        let few = classes.iter().filter(|(_, n)| *n < need).map(|(name, n)| format!("{} has {n}", plain(name)));
        let few: Vec<String> = few.collect();
        if few.is_empty() {
            return Ok(());
        }
        let (most, queries) = (self.most(), self.queries.map_or("at least 1 query".into(), |n| format!("{n} queries")));
        Err(Error::Input(format!(
            "{}: {most} shots and {queries} take {need} different pictures of each class, but {}; give smaller --shots or \
             --queries, or name the classes to take with --classes",
            plain(&self.pool),
            few.join(", ")
        )))
    }

    /// Draw number `repeat` from classes of these sizes: classes first, if not all take part, then each class's pictures, in ascending
    /// order of the classes.
    pub fn draw(&self, sizes: &[usize], repeat: usize) -> Drawn {
        let ways = self.ways.unwrap_or(sizes.len());
        let text = format!("{}|{}|{ways}-way|all|{repeat}", self.seed, self.pool);
        let mut stream = Stream::new(text.clone());
        let mut classes: Vec<usize> =
            if ways < sizes.len() { stream.shuffled(sizes.len()) } else { (0..sizes.len()).collect() };
        classes.truncate(ways);
        classes.sort_unstable();
        let lists = classes.iter().map(|c| stream.shuffled(sizes.get(*c).copied().unwrap_or_default()));
        let split = |mut list: Vec<usize>| {
            let mut queries = list.split_off(self.most().min(list.len()));
            queries.truncate(self.queries.unwrap_or(usize::MAX));
            (list, queries)
        };
        let (support, queries) = lists.map(split).unzip();
        Drawn { text, classes, support, queries }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(ways: Option<usize>, shots: &[usize], queries: Option<usize>) -> Rule {
        Rule { seed: 7, pool: "parts".into(), ways, shots: shots.into(), queries }
    }

    /// By the definition, in Python.
    #[test]
    fn draws_are_these() {
        let two = rule(Some(2), &[1, 3], Some(2));
        let text = |repeat: usize| format!("7|parts|2-way|all|{repeat}");
        let lists = |a: [usize; 3], b: [usize; 3]| vec![a.to_vec(), b.to_vec()];
        let first = Drawn {
            text: text(0),
            classes: vec![0, 1],
            support: lists([1, 6, 2], [4, 0, 1]),
            queries: vec![vec![4, 3], vec![5, 2]],
        };
        let second = Drawn {
            text: text(1),
            support: lists([1, 6, 2], [5, 3, 4]),
            queries: vec![vec![0, 4], vec![1, 2]],
            ..first.clone()
        };
        assert_eq!([0, 1].map(|repeat| two.draw(&[7, 6, 9], repeat)), [first, second]);
        let all = Rule { seed: 0, ..rule(None, &[1], None) }.draw(&[7, 6, 9], 0);
        assert_eq!((all.classes, all.support), (vec![0, 1, 2], vec![vec![6], vec![3], vec![4]]));
        assert_eq!(all.queries, [vec![4, 0, 3, 5, 1, 2], vec![5, 1, 0, 4, 2], vec![6, 5, 7, 3, 8, 2, 1, 0]]);
    }

    #[test]
    fn support_and_queries_never_meet_and_queries_do_not_depend_on_shots() {
        let (one, five) = (rule(None, &[1, 5], Some(4)), rule(None, &[5], Some(4)));
        for repeat in 0..50 {
            let drawn = one.draw(&[9, 12, 30], repeat);
            assert_eq!(drawn.queries, five.draw(&[9, 12, 30], repeat).queries);
            for (support, queries) in drawn.support.iter().zip(&drawn.queries) {
                assert!(support.len() == 5 && queries.len() == 4 && !support.iter().any(|s| queries.contains(s)));
            }
        }
    }

    #[test]
    fn what_cannot_be_drawn_is_told() {
        let all = [("cut", 6), ("good", 30), ("ho\u{1b}le", 2)];
        let said = |rule: Rule, classes: &[(&str, usize)]| rule.check(classes).expect_err("refused").to_string();
        let text = said(rule(None, &[1, 5], Some(2)), &all);
        assert!(text.starts_with("parts: 5 shots and 2 queries take 7 different pictures"), "{text}");
        assert!(text.contains("but cut has 6, ho\\u{1b}le has 2; give smaller"), "{text}");
        assert!(said(rule(None, &[2], None), &all).contains("2 shots and at least 1 query take 3"));
        assert!(rule(None, &[1], None).check(&all).is_ok());
        assert!(said(rule(Some(4), &[1], None), &all).contains("--ways 4: must be between 2 and 3"));
        assert!(said(rule(None, &[1], None), &all[..1]).contains("expected at least two classes, found cut alone"));
        assert!(said(rule(None, &[0, 1], None), &all).contains("must be at least 1"));
    }
}
