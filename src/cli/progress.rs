//! Progress of long work on stderr.

use super::{env, output};
use crate::lock::lock;
use indicatif::{HumanDuration, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Progress of stages with ETA: bars on a terminal, otherwise a line now and then; nothing when quiet.
pub struct Bars {
    all: MultiProgress,
    stages: Mutex<BTreeMap<&'static str, Running>>,
    quiet: bool,
    terminal: bool,
}

/// The stage in progress.
struct Running {
    bar: ProgressBar,
    start: Instant,
    /// Steps that were already done when it began: what an earlier run did says nothing about speed.
    first: usize,
    said: Instant,
}

/// Time between two lines if stderr is not a terminal.
const EVERY: Duration = Duration::from_secs(10);

impl Bars {
    /// No stage yet.
    pub fn new(quiet: bool) -> Bars {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        Bars { all, stages: Mutex::default(), quiet, terminal: std::io::stderr().is_terminal() }
    }

    /// Reports how many steps of a stage are done; it is over when all are.
    pub fn at(&self, name: &'static str, done: usize, of: usize) {
        if self.quiet {
            return;
        }
        let mut stages = lock(&self.stages);
        if done >= of {
            stages.remove(name).into_iter().for_each(|s| s.bar.finish_and_clear());
            return;
        }
        let stage = stages.entry(name).or_insert_with(|| self.begun(name, done, of));
        stage.bar.set_position(done as u64);
        if !self.terminal && stage.said.elapsed() >= EVERY {
            stage.said = Instant::now();
            let each = stage.start.elapsed().as_secs_f64() / done.saturating_sub(stage.first).max(1) as f64;
            let left = Duration::from_secs_f64(each * (of - done) as f64);
            output::note(&format!("{name:9} {done} of {of}, about {} left", HumanDuration(left)));
        }
    }

    /// Writes to stderr without spoiling the bars.
    pub fn above(&self, write: impl FnOnce()) {
        self.all.suspend(write);
    }

    fn begun(&self, name: &'static str, done: usize, of: usize) -> Running {
        let bar = if self.terminal { self.all.add(ProgressBar::new(of as u64)) } else { ProgressBar::hidden() };
        let color = if env::no_color() { "" } else { ".cyan" };
        let template = format!("{{msg:9}} {{bar:30{color}}} {{pos}}/{{len}} {{eta}}");
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style);
        }
        bar.set_message(name);
        Running { bar, start: Instant::now(), first: done, said: Instant::now() }
    }
}
