//! A study before it is run: who takes part, what is drawn, and which units of work that makes.

use super::open::{Found, Opened, Opener, Resolve};
use crate::error::Result;
use crate::files::sha256;
use crate::methods::prototype::Config;
use crate::study::draw::{Drawn, Shots};
use crate::study::grid::{Amount, Grid, Kind, Participant};
use crate::study::pictures::Pictures;
use crate::study::{Draw, Facts, Family, LeftOut, Method, Pool, Task};
use crate::watch::Watch;
use serde_json::json;
use std::ops::Range;

/// A study.
pub struct Study {
    /// Its plan.
    pub grid: Grid,
    /// The data sets, as the plan has them.
    pub sets: Vec<Pictures>,
    /// Who takes part: participants of the plan.
    pub members: Vec<Member>,
    /// Lines of the tables.
    pub methods: Vec<Method>,
    /// Who does not take part, or not everywhere, and why.
    pub left_out: Vec<LeftOut>,
    /// All work, in its order.
    pub units: Vec<Unit>,
    /// What holds for all of it.
    pub facts: Facts,
    /// Ascending.
    keys: Vec<Key>,
    drawn: Vec<Drawn>,
}

/// Which draw.
type Key = (usize, Task, usize);

/// A participant that takes part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its number in the plan.
    pub participant: usize,
    /// The number of its first line of the tables.
    pub first: usize,
    /// How many lines it is.
    pub lines: usize,
    /// The numbers of its units.
    pub units: Range<usize>,
}

/// The least work that is done whole or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// The member's number.
    pub member: usize,
    /// The data set's.
    pub set: usize,
    /// The task.
    pub task: Task,
    /// The repeat; `None`: a detector on all good pictures, for all repeats of T2.
    pub repeat: Option<usize>,
}

impl Study {
    /// Reads the data sets, checks that there are enough pictures, and opens everybody's weights, one after the other.
    ///
    /// # Errors
    /// Those of the plan and of the pictures, with the line of the plan; whatever is wrong with weights.
    pub fn open(grid: Grid, resolve: &Resolve<'_>, watch: &dyn Watch) -> Result<Study> {
        let read = |set: &crate::study::grid::Set| {
            Pictures::open(&set.path, Some(&set.name), &grid.exclude, set.painted, watch)
        };
        let sets = grid.sets.iter().map(read).collect::<Result<Vec<_>>>()?;
        grid.check(&sets)?;
        let mut study = Study {
            sets,
            members: vec![],
            methods: vec![],
            left_out: vec![],
            units: vec![],
            facts: facts(&grid),
            keys: vec![],
            drawn: vec![],
            grid,
        };
        study.line_up(resolve, watch)?;
        study.draw();
        study.facts.plan = study.hash();
        Ok(study)
    }

    /// Opens everybody, and notes who takes part where.
    fn line_up(&mut self, resolve: &Resolve<'_>, watch: &dyn Watch) -> Result<()> {
        let mut named: Vec<(String, Vec<Method>)> = vec![];
        for number in 0..self.grid.participants.len() {
            watch.go_on()?;
            let Some(participant) = self.grid.participants.get(number) else { continue };
            let opener = Opener { grid: &self.grid, resolve };
            let missing = chained(participant).into_iter().find(|name| !named.iter().any(|n| n.0 == *name));
            let found = match missing {
                Some(name) => Found::LeftOut(LeftOut {
                    what: participant.name.clone(),
                    why: format!("{name} does not take part"),
                    command: None,
                }),
                None => opener.open(participant)?,
            };
            match found {
                Found::LeftOut(left_out) => self.left_out.push(left_out),
                Found::Opened(opened) => {
                    let lines = opened.lines(participant, &named);
                    named.push((participant.name.clone(), lines.clone()));
                    let (first, begin) = (self.methods.len(), self.units.len());
                    let mut member = Member { participant: number, first, lines: lines.len(), units: begin..begin };
                    self.plan(&member, &opened);
                    member.units.end = self.units.len();
                    self.members.push(member);
                    self.methods.extend(lines);
                }
            }
        }
        Ok(())
    }

    /// Adds the units of a member, and what it cannot do.
    fn plan(&mut self, member: &Member, opened: &Opened) {
        let Some(participant) = self.grid.participants.get(member.participant) else { return };
        let number = self.members.len();
        for (set, pictures) in self.sets.iter().enumerate() {
            let has = |task: Task| self.grid.tasks.iter().any(|t| t.0 == task) && participant.tasks.contains(&task);
            let left_out = |task: Task, why: String| LeftOut {
                what: format!("{} on {task} of {}", participant.name, pictures.name),
                why,
                command: None,
            };
            let all = participant.kind.good().iter().any(|g| matches!(g, Amount::Word(_)));
            if all && has(Task::T2) && self.grid.rule.pool == Pool::Author {
                self.left_out.push(left_out(Task::T2, format!("with all good pictures: {ASKED}")));
            } else if all && has(Task::T2) {
                self.units.push(Unit { member: number, set, task: Task::T2, repeat: None });
            }
            for n in participant.kind.numbers().filter(|_| has(Task::T2)) {
                let (have, trains) = (pictures.train.len(), matches!(opened, Opened::EfficientAd { .. }));
                let why = match n {
                    n if n > have => Some(format!("{n} good pictures were asked for, and there are {have}")),
                    1 if trains => Some(format!("with 1 good picture: {APART}")),
                    _ => None,
                };
                self.left_out.extend(why.map(|why| left_out(Task::T2, why)));
            }
            for (task, shots) in self.grid.tasks.iter().filter(|t| has(t.0)) {
                let chained = participant.kind.family() == Family::Chain && self.grid.rule.pool == Pool::Author;
                let asked = chained.then(|| format!("its detector learns from all good pictures: {ASKED}"));
                if let Some(why) = asked.or_else(|| cannot(participant, opened, *task, pictures)) {
                    self.left_out.push(left_out(*task, why));
                    continue;
                }
                let few =
                    shots.iter().filter(|s| !can(participant, opened, **s)).map(|s| s.good.max(s.bad).to_string());
                let few: Vec<String> = few.collect();
                if !few.is_empty() {
                    let why = match participant.kind.family() {
                        Family::EfficientAd => APART,
                        Family::Pmf => "a rate is found on pictures beside the first of each class",
                        _ => "corrected distances need two shots of a class at least",
                    };
                    self.left_out.push(left_out(*task, format!("with {} shots: {why}", few.join(", "))));
                }
                let repeats = 0..participant.repeats;
                self.units.extend(repeats.map(|repeat| Unit {
                    member: number,
                    set,
                    task: *task,
                    repeat: Some(repeat),
                }));
            }
        }
    }

    /// Draws for everybody.
    fn draw(&mut self) {
        let most = self.members.iter().filter_map(|m| self.grid.participants.get(m.participant));
        let repeats = most.map(|p| p.repeats).max().unwrap_or_default();
        for (set, pictures) in self.sets.iter().enumerate() {
            for (task, _) in &self.grid.tasks {
                if *task == Task::T3 && pictures.defects.len() < 2 {
                    continue;
                }
                for repeat in 0..repeats {
                    self.keys.push((set, *task, repeat));
                    self.drawn.push(self.grid.rule.draw(pictures, (*task, repeat), self.grid.most(*task)));
                }
            }
        }
    }

    /// A draw and its number.
    pub fn drawn(&self, set: usize, task: Task, repeat: usize) -> Option<(usize, &Drawn)> {
        let number = self.keys.binary_search(&(set, task, repeat)).ok()?;
        Some((number, self.drawn.get(number)?))
    }

    /// Data set, task and repeat of a draw.
    pub fn draw_of(&self, number: usize) -> Option<(usize, Task, usize)> {
        self.keys.get(number).copied()
    }

    /// The draws as they are written.
    pub fn draws(&self) -> Vec<Draw> {
        let participants = self.members.iter().filter_map(|m| self.grid.participants.get(m.participant));
        let axis = participants.flat_map(|p| p.kind.numbers()).max().unwrap_or_default();
        let record = |((set, task, repeat), drawn): (&Key, &Drawn)| {
            let most = self.grid.most(*task);
            let good = if *task == Task::T2 { most.good.max(axis) } else { most.good };
            let pictures = self.sets.get(*set)?;
            Some(drawn.record(pictures, (*task, *repeat), self.grid.rule.pool, Shots { good, ..most }))
        };
        self.keys.iter().zip(&self.drawn).filter_map(record).collect()
    }

    /// The SHA-256 of all that results depend on.
    fn hash(&self) -> String {
        let pictures = |set: &Pictures| {
            let lists = (&set.train, &set.good, &set.defects);
            let names: Vec<&str> = set.samples.iter().map(|s| s.name.as_str()).collect();
            json!([set.name, names, set.hashes, lists, set.painted])
        };
        let tasks = |(task, shots): &(Task, Vec<Shots>)| {
            json!([task, shots.iter().map(|s| [s.good, s.bad]).collect::<Vec<_>>()])
        };
        let members = |m: &Member| {
            let participant = self.grid.participants.get(m.participant);
            let good = participant.map(|p| format!("{:?} {:?} {}", p.kind.good(), p.tasks, p.repeats));
            json!([m.first, m.lines, good])
        };
        let all = json!({
            "facts": Facts { plan: String::new(), ..self.facts.clone() },
            "sets": self.sets.iter().map(pictures).collect::<Vec<_>>(),
            "tasks": self.grid.tasks.iter().map(tasks).collect::<Vec<_>>(),
            "members": self.members.iter().map(members).collect::<Vec<_>>(),
            "methods": self.methods, "left_out": self.left_out,
        });
        sha256(all.to_string().as_bytes())
    }

    /// The participant of a member.
    pub fn participant(&self, member: &Member) -> Option<&Participant> {
        self.grid.participants.get(member.participant)
    }

    /// The numbers of shots of a task that a member can do.
    pub fn shots(&self, participant: &Participant, opened: &Opened, task: Task) -> Vec<Shots> {
        let all = self.grid.tasks.iter().filter(|t| t.0 == task).flat_map(|t| t.1.iter().copied());
        all.filter(|s| can(participant, opened, *s)).collect()
    }
}

/// Why EfficientAD learns nothing of one picture.
const APART: &str = "it needs two good pictures at least, to keep one apart";

/// Why nobody learns from all good pictures in this pool.
const ASKED: &str = "pool = \"author\" asks about those that are no shots";

/// Which others a participant needs.
fn chained(participant: &Participant) -> Vec<String> {
    match &participant.kind {
        Kind::Chain { detector, learner } => vec![detector.clone(), learner.clone()],
        _ => vec![],
    }
}

/// Why a participant has no answer to a task of a data set.
fn cannot(participant: &Participant, opened: &Opened, task: Task, pictures: &Pictures) -> Option<String> {
    let kinds = pictures.defects.len();
    if (task == Task::T3 || participant.kind.family() == Family::Chain) && kinds < 2 {
        return Some("there is one kind of defect only: nothing to tell apart".into());
    }
    let Opened::Caml(start) = opened else { return None };
    let names: Vec<String> = match task.pools_defects() {
        true => vec![crate::study::draw::BAD.into(), crate::data::dataset::GOOD.into()],
        false => (0..kinds + usize::from(task.has_good())).map(|i| format!("class {i}")).collect(),
    };
    start.ways(&names).err().map(|e| e.to_string())
}

/// Whether any line of a participant can learn from so many shots.
fn can(participant: &Participant, opened: &Opened, shots: Shots) -> bool {
    match opened {
        Opened::Vectors { configs, .. } => configs.iter().any(|c| head_can(c, shots)),
        Opened::Tuned { tunings, .. } => !tunings.iter().any(|t| t.auto) || shots.good.max(shots.bad) > 1,
        Opened::EfficientAd { .. } => participant.kind.family() != Family::EfficientAd || shots.good >= 2,
        _ => true,
    }
}

/// Whether a head can learn from so many shots: a spread within classes takes a class with two.
pub(super) fn head_can(config: &Config, shots: Shots) -> bool {
    !config.head.shot_correction || shots.good.max(shots.bad) > 1
}

fn facts(grid: &Grid) -> Facts {
    Facts {
        name: grid.name.clone(),
        seed: grid.rule.seed,
        pool: grid.rule.pool,
        stratified_bad: grid.rule.stratified,
        fixed_queries: true,
        excluded: grid.exclude.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
        plan: String::new(),
    }
}
