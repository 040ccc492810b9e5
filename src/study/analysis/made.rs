//! Made-up results for tests: who says how many of 20 good and 20 defective pictures right, and how they rank them.

use super::{Analysis, analyse};
use crate::study::{
    Answer, Category, Draw, Facts, Family, LeftOut, Limit, Method, Outcome, Pool, Query, Results, Task, Variant,
};

/// Good pictures that every draw asks about, and as many defective ones, half of each kind.
pub(super) const EACH: usize = 20;

/// What is said of the queries of one draw.
#[derive(Clone, Copy)]
pub(super) struct Says {
    /// Good pictures that are called good.
    pub kept: usize,
    /// Defective ones that are called defective.
    pub found: usize,
    /// Of these those that are called their kind, where kinds are classes.
    pub named: usize,
    /// Defective pictures that score above all good ones, which score above the others: AUROC is `above / EACH`.
    pub above: usize,
}

/// Everything said right.
pub(super) const RIGHT: Says = Says { kept: EACH, found: EACH, named: EACH, above: EACH };

pub(super) struct Made(pub Results);

impl Made {
    /// No method, and one data set, `bolt`.
    pub fn new() -> Made {
        let facts = Facts {
            name: "made up".into(),
            seed: 0,
            pool: Pool::AdAligned,
            stratified_bad: false,
            fixed_queries: true,
            excluded: vec![],
            version: "0".into(),
            plan: "0".into(),
        };
        let none = Results {
            facts,
            categories: vec![],
            methods: vec![],
            left_out: vec![],
            draws: vec![],
            outcomes: vec![],
            timing: vec![],
        };
        Made(none).with("bolt", false)
    }

    /// Another data set.
    pub fn with(mut self, name: &str, painted: bool) -> Made {
        let defects = vec![("crack".into(), 25), ("cut".into(), 25)];
        self.0.categories.push(Category { name: name.into(), train: 100, good: EACH, defects, painted });
        self
    }

    /// Something that was asked for in vain.
    pub fn without(&mut self, what: &str) {
        self.0.left_out.push(LeftOut { what: what.into(), why: "no weights".into(), command: None });
    }

    /// Another method: its name, family, distance and variant; those of a group begin with the same word.
    pub fn method(&mut self, name: &str, family: Family, distance: Option<&str>, variant: Variant) -> usize {
        self.0.methods.push(Method {
            name: name.into(),
            family,
            backbone: "resnet18".into(),
            distance: distance.map(String::from),
            variant,
            group: name.split(' ').next().unwrap_or_default().into(),
            note: String::new(),
            settings: name.into(),
        });
        self.0.methods.len() - 1
    }

    /// A prototype learner as published, with squared distances.
    pub fn learner(&mut self, name: &str) -> usize {
        self.method(name, Family::Prototype, Some("squared"), Variant::Plain)
    }

    /// The number of a draw, made if it is new.
    pub fn draw(&mut self, category: &str, task: Task, repeat: usize) -> usize {
        let known = |d: &Draw| (d.category.as_str(), d.task, d.repeat) == (category, task, repeat);
        if let Some(at) = self.0.draws.iter().position(known) {
            return at;
        }
        let classes: &[&str] = match task {
            Task::T2 | Task::T4 => &["bad", "good"],
            Task::T3 => &["crack", "cut"],
            _ => &["crack", "cut", "good"],
        };
        let class_of = |kind: &str| classes.iter().position(|c| *c == kind || (*c == "bad" && kind != "good"));
        let of = |kind: &'static str, n: usize| {
            let class = class_of(kind);
            (0..n).filter_map(move |i| Some(Query { path: format!("{kind}/{i}"), label: kind.into(), class: class? }))
        };
        let queries = of("crack", EACH / 2).chain(of("cut", EACH / 2)).chain(of("good", EACH)).collect();
        self.0.draws.push(Draw {
            category: category.into(),
            task,
            pool: Pool::AdAligned,
            repeat,
            seed: format!("0|{category}|{task}|{repeat}"),
            classes: classes.iter().map(|c| c.to_string()).collect(),
            support: vec![vec![]; classes.len()],
            queries,
        });
        self.0.draws.len() - 1
    }

    /// What a method says with so many good and defective shots in each of its repeats.
    pub fn says(&mut self, method: usize, of: (&str, Task), shots: (usize, usize), each: &[Says]) {
        for (repeat, says) in each.iter().enumerate() {
            let draw = self.draw(of.0, of.1, repeat);
            let detects = self.0.methods[method].family.detects();
            let chained = self.0.methods[method].family == Family::Chain;
            let drawn = &self.0.draws[draw];
            let mut answer = if detects { detected(drawn, says) } else { said(drawn, says) };
            if chained {
                answer.scores.clear();
            }
            let all = detects && shots.0 >= 100;
            self.0.outcomes.push(Outcome { method, draw, good: shots.0, bad: shots.1, all, answer });
        }
    }

    pub fn analysed(&self) -> Analysis {
        analyse(&self.0).unwrap()
    }
}

/// Among its kind the number of each query, and whether it is good.
fn numbered(draw: &Draw) -> impl Iterator<Item = (usize, &Query)> {
    draw.queries.iter().enumerate().map(|(at, query)| (at % EACH, query))
}

fn score(number: usize, good: bool, says: &Says) -> f64 {
    match (good, number < says.above) {
        (true, _) => 0.0,
        (false, true) => 2.0,
        (false, false) => -2.0,
    }
}

fn said(draw: &Draw, says: &Says) -> Answer {
    let good = draw.good();
    let class = |(number, query): (usize, &Query)| {
        let bad = (0..draw.classes.len()).filter(|c| Some(*c) != good);
        let wrong = bad.clone().find(|c| *c != query.class).unwrap_or(query.class);
        let named = if number < says.named || draw.classes.len() == 2 && good.is_some() { query.class } else { wrong };
        match good {
            Some(good) if query.class == good && number < says.kept => good,
            Some(good) if query.class == good => bad.clone().next().unwrap_or(good),
            Some(good) if number >= says.found => good,
            _ => named,
        }
    };
    let scores = numbered(draw).map(|(number, query)| score(number, Some(query.class) == good, says));
    let scores = if good.is_some() { scores.collect() } else { vec![] };
    Answer { said: numbered(draw).map(class).collect(), scores, limits: vec![], lengths: vec![] }
}

/// As scores, with a limit that keeps all good pictures and finds what scores above them, and the best one by the answers.
fn detected(draw: &Draw, says: &Says) -> Answer {
    let scores = numbered(draw).map(|(number, query)| score(number, Some(query.class) == draw.good(), says)).collect();
    Answer { said: vec![], scores, limits: vec![(Limit::HeldOut, 1.0), (Limit::Oracle, -2.0)], lengths: vec![] }
}

/// `n` repeats around what is said: one more and one less of each number in turns, so that there is a deviation.
pub(super) fn around(n: usize, says: Says) -> Vec<Says> {
    let moved = |v: usize, up: bool| if up { (v + 1).min(EACH) } else { v.saturating_sub(1) };
    let one = |i: usize| {
        let up = i.is_multiple_of(2);
        let [kept, found, named, above] = [says.kept, says.found, says.named, says.above].map(|v| moved(v, up));
        Says { kept, found, named: named.min(found), above }
    };
    (0..n).map(one).collect()
}
