//! The plan of a study: which methods on which tasks of which data sets, with how many shots.

mod entry;
mod keys;
mod text;

pub use entry::{Amount, Given, Kind, Participant};

use super::Task;
use super::draw::{Rule, Shots};
use super::pictures::{Pictures, named};
use crate::error::{Error, Result, plain, shown};
use std::path::{Path, PathBuf};
use text::{Shot, Source, Written};
use toml::Spanned;

/// Repeats unless told otherwise.
const REPEATS: usize = 100;

/// A plan.
#[derive(Debug)]
pub struct Grid {
    /// What the study is called.
    pub name: String,
    /// How is drawn.
    pub rule: Rule,
    /// Kinds of defect that are left out.
    pub exclude: Vec<String>,
    /// The device that is asked for.
    pub device: Option<String>,
    /// How many hours all of it may take.
    pub budget_hours: Option<f64>,
    /// The data sets.
    pub sets: Vec<Set>,
    /// The tasks with their numbers of shots, ascending.
    pub tasks: Vec<(Task, Vec<Shots>)>,
    /// Who takes part.
    pub participants: Vec<Participant>,
    source: Source,
    exclude_at: Vec<usize>,
    tasks_at: Vec<usize>,
}

/// A data set of a plan.
#[derive(Clone, Debug)]
pub struct Set {
    /// Its folder or table.
    pub path: PathBuf,
    /// What it is called.
    pub name: String,
    /// Whether its defects are painted.
    pub painted: bool,
    at: usize,
}

impl Grid {
    /// Reads a plan file. Paths in it are seen from its folder.
    ///
    /// # Errors
    /// [`Error::Input`] for a file that cannot be read; [`Error::Usage`] with the line for whatever is wrong in it.
    pub fn open(path: &Path) -> Result<Grid> {
        let text =
            std::fs::read_to_string(path).map_err(|e| Error::Input(format!("{}: cannot be read: {e}", shown(path))))?;
        let folder = crate::files::folder_of(path).to_path_buf();
        Grid::read(Source { name: shown(path), text }, &named(path), &folder)
    }

    fn read(source: Source, name: &str, folder: &Path) -> Result<Grid> {
        let written = source.read()?;
        let sets = sets(&source, &written, folder)?;
        let (mut tasks, mut tasks_at) = (vec![], vec![]);
        for (task, shot) in &written.tasks {
            tasks.push((*task, shots(&source, *task, shot)?));
            tasks_at.push(shot.span().start);
        }
        if tasks.is_empty() {
            return Err(source.wrong(0, "names no task; add, for example:\n  [tasks]\n  T2 = { shots = [1, 5] }"));
        }
        if written.method.is_empty() {
            return Err(source.wrong(0, "names no method; add, for example:\n  [[method]]\n  kind = \"prototype\""));
        }
        let repeats = written.repeats.as_ref().map_or(REPEATS, |r| *r.get_ref());
        if let Some(zero) = written.repeats.as_ref().filter(|r| !(1..=10_000).contains(r.get_ref())) {
            return Err(source.about(zero, "repeats: must be between 1 and 10000"));
        }
        let of = |entry| Participant::of(&source, entry, (repeats, folder));
        let participants = written.method.iter().map(of).collect::<Result<Vec<_>>>()?;
        entry::check_all(&source, &participants)?;
        let hours = written.budget_hours.as_ref();
        if let Some(wrong) = hours.filter(|h| !(h.get_ref().is_finite() && *h.get_ref() > 0.0)) {
            return Err(source.about(wrong, "budget-hours: must be above 0"));
        }
        Ok(Grid {
            name: written.name.clone().unwrap_or_else(|| name.into()),
            rule: Rule { seed: written.seed, pool: written.pool, stratified: written.stratified },
            exclude: written.exclude.iter().map(|e| e.get_ref().clone()).collect(),
            exclude_at: written.exclude.iter().map(|e| e.span().start).collect(),
            device: written.device.clone(),
            budget_hours: hours.map(|h| *h.get_ref()),
            sets,
            tasks,
            tasks_at,
            participants,
            source,
        })
    }

    /// Whether the data sets have enough pictures for all tasks, and every kind of defect that is left out.
    ///
    /// # Errors
    /// [`Error::Usage`] with the line of the task.
    pub fn check(&self, sets: &[Pictures]) -> Result<()> {
        for (kind, at) in self.exclude.iter().zip(&self.exclude_at) {
            if !sets.iter().any(|s| s.excluded.contains(kind)) {
                let known: Vec<String> = sets.iter().flat_map(|s| &s.defects).map(|d| plain(&d.0)).collect();
                let what = format!(
                    "exclude: no data set has a kind of defect `{}`; there are {}",
                    plain(kind),
                    known.join(", ")
                );
                return Err(self.source.wrong(*at, &what));
            }
        }
        let pairs = self.tasks.iter().zip(&self.tasks_at);
        pairs.flat_map(|task| sets.iter().map(move |set| (task, set))).try_for_each(|(((task, _), at), set)| {
            let lacks = self.lacks(*task, set);
            lacks.map_or(Ok(()), |lacks| Err(self.source.wrong(*at, &format!("{task}: {}: {lacks}", plain(&set.name)))))
        })
    }

    /// The largest numbers of shots of a task, which are kept for shots and never asked about. Where good shots come from the pictures that are
    /// asked about, too, detectors' numbers of good pictures count.
    pub fn most(&self, task: Task) -> Shots {
        let all = || self.tasks.iter().filter(|t| t.0 == task).flat_map(|t| &t.1);
        let apart = self.rule.pool == super::Pool::AdAligned || task != Task::T2;
        let numbers =
            self.participants.iter().filter(|p| !apart && p.tasks.contains(&task)).flat_map(|p| p.kind.numbers());
        Shots {
            good: all().map(|s| s.good).chain(numbers).max().unwrap_or_default(),
            bad: all().map(|s| s.bad).max().unwrap_or_default(),
        }
    }

    /// Why a data set has too few pictures for a task.
    fn lacks(&self, task: Task, set: &Pictures) -> Option<String> {
        let most = self.most(task);
        let author = self.rule.pool == super::Pool::Author;
        let good = if author { set.train.len() + set.good.len() } else { set.train.len() };
        if task.has_good() && most.good > good {
            return Some(format!(
                "{} good shots, but {good} good pictures to draw from; give at most {good}",
                most.good
            ));
        }
        if task.has_good() && author && most.good == good {
            return Some(format!(
                "{} good shots leave no good picture to ask about; give at most {}",
                most.good,
                good - 1
            ));
        }
        if task.has_good() && !author && set.good.is_empty() {
            return Some("no good picture to test with; put some into test/good, or choose pool = \"author\"".into());
        }
        if set.defects.is_empty() {
            return Some("no defective picture".into());
        }
        let few = |(kind, list): &(String, Vec<usize>)| {
            (list.len() <= most.bad).then(|| {
                let (kind, n) = (plain(kind), list.len());
                format!(
                    "{} shots of {kind}, which has {n} pictures, leave none to ask about; give at most {}, or exclude it",
                    most.bad,
                    n.saturating_sub(1)
                )
            })
        };
        if task.pools_defects() {
            let n: usize = set.defects.iter().map(|d| d.1.len()).sum();
            return (n <= most.bad).then(|| {
                format!(
                    "{} defective shots of {n} pictures leave none to ask about; give at most {}",
                    most.bad,
                    n.saturating_sub(1)
                )
            });
        }
        set.defects.iter().find_map(few)
    }

    /// The plan as it is written.
    pub fn text(&self) -> &str {
        &self.source.text
    }

    /// An error about a participant.
    pub fn about(&self, participant: &Participant, what: &str) -> Error {
        self.source.wrong(participant.at, what)
    }

    /// An error about a data set.
    pub fn about_set(&self, set: &Set, what: &str) -> Error {
        self.source.wrong(set.at, what)
    }
}

fn sets(source: &Source, written: &Written, folder: &Path) -> Result<Vec<Set>> {
    let mut sets: Vec<Set> = vec![];
    for spanned in &written.category {
        let (set, at) = (spanned.get_ref(), spanned.span().start);
        let path = folder.join(&set.path);
        if !path.exists() {
            return Err(source.wrong(at, &format!("category: {} does not exist", shown(&path))));
        }
        let name = set.name.clone().unwrap_or_else(|| named(&path));
        if sets.iter().any(|s| s.name == name) {
            let what = format!("category: two are called {}; give one of them another name", plain(&name));
            return Err(source.wrong(at, &what));
        }
        if name.is_empty() || name.contains(['|', '/', '\\']) {
            let what = format!("category: {} cannot be a name: it may hold no |, / or \\", plain(&name));
            return Err(source.wrong(at, &what));
        }
        sets.push(Set { path, name, painted: set.painted, at });
    }
    match sets.is_empty() {
        true => Err(source.wrong(0, "names no data set; add, for example:\n  [[category]]\n  path = \"bottle\"")),
        false => Ok(sets),
    }
}

/// The numbers of shots of a task, ascending.
fn shots(source: &Source, task: Task, spanned: &Spanned<Shot>) -> Result<Vec<Shots>> {
    let Shot { shots, good, bad } = spanned.get_ref();
    let wrong = |what: &str| Err(source.about(spanned, &format!("{task}: {what}")));
    let (list, bad) = match (task.imbalanced(), shots, good, bad) {
        (true, None, Some(good), Some(bad)) => (good, Some(*bad.get_ref())),
        (true, ..) => return wrong("expected good and bad, such as { good = [5, 10], bad = 5 }"),
        (false, Some(shots), None, None) => (shots, None),
        (false, ..) => return wrong("expected shots, such as { shots = [1, 5] }"),
    };
    if let Some(zero) = list.iter().find(|n| *n.get_ref() == 0) {
        return Err(source.about(zero, &format!("{task}: a number of shots must be at least 1")));
    }
    if list.is_empty() || bad == Some(0) {
        return wrong("expected at least one shot of every class");
    }
    let mut all: Vec<Shots> =
        list.iter().map(|n| *n.get_ref()).map(|n| Shots { good: n, bad: bad.unwrap_or(n) }).collect();
    if task == Task::T3 {
        all.iter_mut().for_each(|s| s.good = 0);
    }
    all.sort_unstable();
    all.dedup();
    Ok(all)
}
