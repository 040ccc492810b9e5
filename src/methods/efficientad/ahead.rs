//! Examples made ahead by threads, in their order: while a device works on a step, pictures of the next ones are decoded and changed.

use super::examples::{Example, Examples};
use crate::error::{Error, Result};
use std::ops::Range;
use std::sync::mpsc::{Receiver, sync_channel};

/// Examples that a thread makes ahead.
const EACH: usize = 2;

/// Threads at most.
const THREADS: usize = 8;

/// Where examples come from: thread `k % threads` makes number `k`.
pub(super) struct Ahead {
    lanes: Vec<Receiver<Result<Example>>>,
    next: u64,
}

impl Ahead {
    /// The next example; they are asked for in their order.
    ///
    /// # Errors
    /// Those of [`Examples::at`].
    pub fn next(&mut self) -> Result<Example> {
        let lane = self.lanes.get(self.next as usize % self.lanes.len().max(1));
        self.next += 1;
        let gone = || Error::Internal("a thread that makes examples has ended".into());
        lane.ok_or_else(gone)?.recv().map_err(|_| gone())?
    }
}

/// Calls `work` with the examples of these numbers, made ahead. Threads end once it returns.
pub(super) fn ahead<T>(examples: &Examples, numbers: Range<u64>, work: impl FnOnce(&mut Ahead) -> T) -> T {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS);
    std::thread::scope(|scope| {
        let lane = |t: usize| {
            let (give, lane) = sync_channel(EACH);
            // Number k is made by thread k % threads, wherever the numbers begin.
            let first = numbers.clone().find(|k| *k as usize % threads == t);
            let end = numbers.end;
            scope.spawn(move || {
                let mut k = first;
                while let Some(now) = k.filter(|k| *k < end) {
                    if give.send(examples.at(now)).is_err() {
                        return; // nobody asks any more
                    }
                    k = Some(now + threads as u64);
                }
            });
            lane
        };
        let lanes = (0..threads).map(lane).collect();
        work(&mut Ahead { lanes, next: numbers.start })
    })
}
