//! Work done ahead by as many threads as there are processors, handed out in its order, within a memory bound.

use crate::lock::{lock, wait};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;

/// Nothing new is begun while what waits or is being made takes more bytes: pictures of many megapixels come one by one.
const WAITING_BYTES: usize = 128 << 20;

/// What makes the thing of a number.
type Make<T> = Box<dyn Fn(usize) -> T + Send + Sync>;

/// How things are made.
pub(super) struct Job<T> {
    /// How many there are.
    pub of: usize,
    /// Makes one.
    pub make: Make<T>,
    /// What takes the place of one whose making panicked.
    pub panicked: Make<T>,
    /// Bytes that one takes, or took while it was made.
    pub bytes: fn(&T) -> usize,
}

/// Things as they come, in the order of their numbers.
pub(super) struct Ahead<T> {
    work: Arc<Work<T>>,
    threads: Vec<JoinHandle<()>>,
}

impl<T> fmt::Debug for Ahead<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ahead").field("of", &self.work.job.of).finish_non_exhaustive()
    }
}

struct Work<T> {
    job: Job<T>,
    ahead: usize,
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    /// The next that a thread takes, and the next that is handed out.
    next: usize,
    given: usize,
    ready: BTreeMap<usize, T>,
    bytes: usize,
    /// Bytes of the largest so far: what those that are being made are taken for; 0 until one is there.
    largest: usize,
    stopped: bool,
}

impl<T> State<T> {
    /// Whether the next may be begun: it and all that are made or waiting stay within the bound, as far as is known. Until the first size
    /// is known, one is made alone. The one that is asked for always is begun: nothing else is held then.
    fn begins(&self, ahead: usize) -> bool {
        let making = self.next - self.given - self.ready.len();
        let known = self.largest > 0 || making == 0;
        known && self.bytes + making * self.largest < WAITING_BYTES && self.next < self.given + ahead
    }
}

impl<T: Send + 'static> Ahead<T> {
    /// Starts, at most `ahead` beyond the one that is asked for.
    pub fn start(job: Job<T>, ahead: usize) -> Ahead<T> {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let used = threads.min(job.of);
        let (next, given, ready, bytes, largest, stopped) = (0, 0, BTreeMap::new(), 0, 0, false);
        let state = Mutex::new(State { next, given, ready, bytes, largest, stopped });
        let work = Arc::new(Work { job, ahead: ahead.max(1) + threads, state, changed: Condvar::new() });
        let thread = |_| {
            let work = work.clone();
            std::thread::spawn(move || work.run())
        };
        let threads = (0..used).map(thread).collect();
        Ahead { work, threads }
    }

    /// How many are begun beyond those that were handed out, and how many may be.
    #[cfg(test)]
    pub fn begun(&self) -> (usize, usize) {
        let state = lock(&self.work.state);
        (state.next - state.given, self.work.ahead)
    }
}

impl<T> Iterator for Ahead<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        let mut state = lock(&self.work.state);
        loop {
            if state.given >= self.work.job.of {
                return None;
            }
            let number = state.given;
            if let Some(made) = state.ready.remove(&number) {
                state.given += 1;
                state.bytes -= (self.work.job.bytes)(&made);
                self.work.changed.notify_all();
                return Some(made);
            }
            state = wait(&self.work.changed, state);
        }
    }
}

impl<T> Drop for Ahead<T> {
    fn drop(&mut self) {
        lock(&self.work.state).stopped = true;
        self.work.changed.notify_all();
        for thread in self.threads.drain(..) {
            let _ = thread.join(); // a panic has been reported in place of what was made
        }
    }
}

/// Delivers something for a thread that panics: nobody must wait for it forever.
struct Taken<'w, T>(&'w Work<T>, usize);

impl<T> Drop for Taken<'_, T> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.put(self.1, (self.0.job.panicked)(self.1));
        }
    }
}

impl<T> Work<T> {
    fn run(&self) {
        while let Some(number) = self.take() {
            let taken = Taken(self, number);
            let made = (self.job.make)(number);
            drop(taken);
            self.put(number, made);
        }
    }

    fn take(&self) -> Option<usize> {
        let mut state = lock(&self.state);
        loop {
            if state.stopped || state.next >= self.job.of {
                return None;
            }
            if state.begins(self.ahead) {
                state.next += 1;
                return Some(state.next - 1);
            }
            state = wait(&self.changed, state);
        }
    }

    fn put(&self, number: usize, made: T) {
        let mut state = lock(&self.state);
        let bytes = (self.job.bytes)(&made);
        state.bytes += bytes;
        state.largest = state.largest.max(bytes).max(1);
        state.ready.insert(number, made);
        self.changed.notify_all();
    }
}
