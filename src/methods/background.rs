//! Work done while the device computes: drawing and writing files.

use crate::error::{Error, Result};
use crate::lock::lock;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

type Job = Box<dyn FnOnce() -> Result<()> + Send>;

/// Threads that process jobs. Once every thread is busy and one more job waits, [`Background::give`] blocks.
pub struct Background {
    jobs: Option<SyncSender<Job>>,
    workers: Vec<JoinHandle<()>>,
    failed: Arc<Mutex<Option<Error>>>,
}

impl Background {
    /// With a thread for every processor, at most 4: each holds a picture.
    pub fn new() -> Background {
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get().min(4));
        let (jobs, waiting) = sync_channel(0);
        let (waiting, failed) = (Arc::new(Mutex::new(waiting)), Arc::default());
        let worker = |_| {
            let (waiting, failed) = (Arc::clone(&waiting), Arc::clone(&failed));
            std::thread::spawn(move || work(&waiting, &failed))
        };
        let workers = (0..threads).map(worker).collect();
        Background { jobs: Some(jobs), workers, failed }
    }

    /// Hands over a job.
    ///
    /// # Errors
    /// That of an earlier job; then no more jobs are started.
    pub fn give(&self, job: impl FnOnce() -> Result<()> + Send + 'static) -> Result<()> {
        self.outcome()?;
        match self.jobs.as_ref().map(|jobs| jobs.send(Box::new(job))) {
            Some(Ok(())) => Ok(()),
            _ => self.outcome().and(Err(Error::Output("the threads that write files have ended".into()))),
        }
    }

    /// Waits for all jobs.
    ///
    /// # Errors
    /// The first error of any of them.
    pub fn finish(mut self) -> Result<()> {
        self.end()?;
        self.outcome()
    }

    fn end(&mut self) -> Result<()> {
        self.jobs = None;
        let panicked = self.workers.drain(..).map(JoinHandle::join).filter(std::result::Result::is_err).count();
        if panicked > 0 { Err(Error::Output("a thread that writes files panicked".into())) } else { Ok(()) }
    }

    fn outcome(&self) -> Result<()> {
        lock(&self.failed).take().map_or(Ok(()), Err)
    }
}

impl Drop for Background {
    /// Jobs in progress are finished, so that nothing half-written is left; their errors are reported already, or another one is.
    fn drop(&mut self) {
        let _ = self.end();
    }
}

fn work(waiting: &Mutex<Receiver<Job>>, failed: &Mutex<Option<Error>>) {
    loop {
        let job = lock(waiting).recv();
        let Ok(job) = job else { return };
        if let Err(e) = job() {
            lock(failed).get_or_insert(e);
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn all_is_done_and_the_first_error_comes_back() {
        let (background, done) = (Background::new(), Arc::new(AtomicUsize::new(0)));
        for _ in 0..50 {
            let done = done.clone();
            let job = move || {
                done.fetch_add(1, Ordering::Relaxed);
                Ok(())
            };
            background.give(job).unwrap();
        }
        background.finish().unwrap();
        assert_eq!(done.load(Ordering::Relaxed), 50);
        let background = Background::new();
        background.give(|| Err(Error::Output("full".into()))).unwrap();
        let told = (0..100).any(|_| background.give(|| Ok(())).is_err());
        assert!(told || background.finish().is_err(), "the error is lost");
    }
}
