//! Progress of long work on stderr.

use super::{env, output};
use indicatif::{HumanDuration, MultiProgress, ProgressBar, ProgressStyle};
use std::cell::Cell;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Progress of one stage: a bar on a terminal, elsewhere a line now and then; nothing when quiet.
pub struct Progress {
    what: &'static str,
    steps: u64,
    bar: ProgressBar,
    lines: bool,
    start: Instant,
    first: Cell<Option<u64>>,
    said: Cell<Instant>,
}

/// Time between two lines where stderr is no terminal.
const EVERY: Duration = Duration::from_secs(10);

impl Progress {
    /// Of `steps` steps, none of which is done.
    pub(super) fn new(steps: usize, what: &'static str, quiet: bool, bars: &MultiProgress) -> Progress {
        let terminal = std::io::stderr().is_terminal();
        let bar = if quiet || !terminal { ProgressBar::hidden() } else { bars.add(ProgressBar::new(steps as u64)) };
        let color = if env::no_color() { "" } else { ".cyan" };
        let template = format!("{{msg:9}} {{bar:30{color}}} {{pos}}/{{len}} {{eta}}");
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style);
        }
        bar.set_message(what);
        let (start, lines) = (Instant::now(), !quiet && !terminal);
        Progress { what, steps: steps as u64, bar, lines, start, first: Cell::default(), said: Cell::new(start) }
    }

    /// So many steps are done.
    pub fn at(&self, done: usize) {
        let done = done as u64;
        self.bar.set_position(done);
        let first = self.first.get().unwrap_or(done); // what an earlier run had done says nothing about speed
        self.first.set(Some(first));
        if self.lines && self.said.get().elapsed() >= EVERY {
            self.said.set(Instant::now());
            let each = self.start.elapsed().as_secs_f64() / done.saturating_sub(first).max(1) as f64;
            let left = Duration::from_secs_f64(each * self.steps.saturating_sub(done) as f64);
            output::note(&format!("{:9} {done} of {}, about {} left", self.what, self.steps, HumanDuration(left)));
        }
    }

    /// The stage is over.
    pub fn done(&self) {
        self.bar.finish_and_clear();
    }
}
