//! Examples made ahead by threads, in their order: while a device works on a step, pictures of the next ones are decoded and changed.

use crate::error::{Error, Result};
use std::ops::Range;
use std::sync::mpsc::{Receiver, sync_channel};

/// Examples that a thread makes ahead.
const EACH: usize = 2;

/// Threads at most.
const THREADS: usize = 8;

/// Where examples come from: thread `k % threads` makes number `k`.
#[derive(Debug)]
pub struct Ahead<E> {
    lanes: Vec<Receiver<Result<E>>>,
    next: u64,
}

impl<E> Ahead<E> {
    /// The next example; they come in the order of their numbers.
    ///
    /// # Errors
    /// Those of what makes them.
    pub fn take(&mut self) -> Result<E> {
        let lane = self.lanes.get((self.next % self.lanes.len().max(1) as u64) as usize);
        self.next += 1;
        let gone = || Error::Internal("a thread that makes examples has ended".into());
        lane.ok_or_else(gone)?.recv().map_err(|_| gone())?
    }
}

/// Calls `work` with the examples of these numbers, which `make` makes ahead. Threads end once it returns.
pub fn ahead<E: Send, T>(
    make: impl Fn(u64) -> Result<E> + Sync,
    numbers: Range<u64>,
    work: impl FnOnce(&mut Ahead<E>) -> T,
) -> T {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS) as u64;
    let make = &make;
    std::thread::scope(|scope| {
        let lane = |t: u64| {
            let (give, lane) = sync_channel(EACH);
            // Number k is made by thread k % threads, wherever the numbers begin.
            let first = numbers.start + (t + threads - numbers.start % threads) % threads;
            let own = (first..numbers.end).step_by(threads as usize);
            // Once nobody asks any more, sending fails.
            scope.spawn(move || own.map(make).try_for_each(|made| give.send(made)).is_err());
            lane
        };
        let lanes = (0..threads).map(lane).collect();
        work(&mut Ahead { lanes, next: numbers.start })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_their_order_from_anywhere_and_ended_early() {
        for start in [0, 1, 5, 16] {
            let made =
                ahead(|k| Ok(k * k), start..start + 9, |a| (0..9).map(|_| a.take().unwrap()).collect::<Vec<_>>());
            assert_eq!(made, (start..start + 9).map(|k| k * k).collect::<Vec<_>>());
        }
        assert_eq!(ahead(Ok, 3..1_000_000_000, |a| a.take().unwrap()), 3, "threads end when nobody asks");
        let failed = ahead(
            |k| if k == 2 { Err(Error::Input("no".into())) } else { Ok(k) },
            0..4,
            |a| [a.take().is_ok(), a.take().is_ok(), a.take().is_ok(), a.take().is_ok()],
        );
        assert_eq!(failed, [true, true, false, true]);
        assert!(ahead(Ok, 0..0, |a| a.take()).is_err(), "there is none");
    }
}
