//! What is wrong with a data set before anything is fitted on it: every file is read, and all that was found is told together.

mod look;
mod masks;
mod pictures;
mod places;
mod report;

pub use report::{Class, Finding, Place, Report, Severity};

use super::Limits;
use super::ahead::{Ahead, Job};
use super::dataset::{Sample, Split, Survey};
use crate::error::{Error, Result};
use crate::watch::Watch;
use look::{Look, MaskLook};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A picture with what was seen of it.
pub(super) struct Seen<'s> {
    split: Split,
    sample: &'s Sample,
    look: std::result::Result<Look, String>,
    /// Of its mask, if it has one.
    mask: Option<std::result::Result<MaskLook, String>>,
}

impl Seen<'_> {
    /// Whether it is fitted on, validated or tested with, or one of a class.
    fn used(&self) -> bool {
        self.split != Split::Unused
    }

    fn name(&self) -> String {
        self.sample.name.clone()
    }

    /// Where it stands: its split and label.
    fn class(&self) -> String {
        format!("{}/{}", self.split.name(), self.sample.label)
    }
}

/// What is read of a set, in this order: a picture, or the mask of one.
enum Task {
    Picture(PathBuf),
    Mask(PathBuf),
}

/// What came of a task, and the bytes that it took.
enum Done {
    Picture(std::result::Result<Look, String>, usize),
    Mask(std::result::Result<MaskLook, String>, usize),
}

impl Done {
    fn bytes(&self) -> usize {
        match self {
            Done::Picture(_, bytes) | Done::Mask(_, bytes) => *bytes,
        }
    }
}

/// Looks at every picture and mask of a folder or table, whatever its layout, and tells what is wrong. `watch` is told of progress, and
/// asked whether to go on. Nothing is written.
///
/// # Errors
/// [`Error::Input`] if there is nothing at `path`, a folder that cannot be opened or a table in which nothing can be read;
/// [`Error::Interrupted`].
pub fn check(path: &Path, limits: Limits, watch: &dyn Watch) -> Result<Report> {
    let survey = Survey::of(path)?;
    let seen = seen(&survey, limits, watch)?;
    let mut findings = places::findings(&survey);
    findings.extend(pictures::findings(&seen));
    findings.extend(masks::findings(&seen));
    findings.extend(places::notes(&survey, &seen));
    findings.sort_by_key(|f| f.severity); // stable: otherwise in the order in which they are looked for
    let used = seen.iter().filter(|s| s.used());
    let (pictures, unreadable) = (used.clone().count(), used.filter(|s| s.look.is_err()).count());
    let counted = survey.census.clone().ended(pictures, 0, unreadable);
    let classes = report::classes(&seen);
    Ok(Report { root: survey.root, layout: survey.layout, classes, findings, counted })
}

/// Reads all pictures and their masks.
fn seen<'s>(survey: &'s Survey, limits: Limits, watch: &dyn Watch) -> Result<Vec<Seen<'s>>> {
    let mut tasks = vec![];
    for (_, sample) in &survey.samples {
        tasks.push(Task::Picture(sample.path.clone()));
        tasks.extend(sample.mask.clone().map(Task::Mask));
    }
    let (of, tasks) = (tasks.len(), Arc::new(tasks));
    let mut ahead = Ahead::start(job(tasks, limits), 64);
    let (mut seen, mut done) = (vec![], 0);
    let mut step = |done: &mut usize| {
        watch.go_on()?;
        let next = ahead.next();
        *done += 1;
        watch.progress("checking", *done, of);
        Ok::<_, Error>(next)
    };
    for (split, sample) in &survey.samples {
        let Some(Done::Picture(look, _)) = step(&mut done)? else { return Err(out_of_order()) };
        let mask = match &sample.mask {
            None => None,
            Some(_) => match step(&mut done)? {
                Some(Done::Mask(look, _)) => Some(look),
                _ => return Err(out_of_order()),
            },
        };
        seen.push(Seen { split: *split, sample, look, mask });
    }
    Ok(seen)
}

fn out_of_order() -> Error {
    Error::Internal("files arrive out of order".into())
}

fn job(tasks: Arc<Vec<Task>>, limits: Limits) -> Job<Done> {
    let done = |task: &Task| match task {
        Task::Picture(_) => {
            Done::Picture(Err("reading it panicked: this is a bug in Lupe; please report it".into()), 0)
        }
        Task::Mask(_) => Done::Mask(Err("reading it panicked: this is a bug in Lupe; please report it".into()), 0),
    };
    let nothing = || Done::Picture(Err(String::new()), 0);
    let all = tasks.clone();
    let made = move |task: &Task| match task {
        Task::Picture(path) => {
            let (look, bytes) = look::picture(path, limits);
            Done::Picture(look, bytes)
        }
        Task::Mask(path) => {
            let (look, bytes) = look::mask(path, limits);
            Done::Mask(look, bytes)
        }
    };
    Job {
        of: tasks.len(),
        make: Box::new(move |n| tasks.get(n).map_or_else(nothing, &made)),
        panicked: Box::new(move |n| all.get(n).map_or_else(nothing, done)),
        bytes: Done::bytes,
    }
}
