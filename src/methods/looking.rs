//! Pictures from disk through a plan: the next batch is decoded and uploaded while the device works on this one.

use super::batched::Under;
use crate::data::dataset::Sample;
use crate::data::load::{Arrival, Loaded, Loading, Stream};
use crate::data::{Mask, Picture, Prepared, Preprocess};
use crate::error::{Error, Result};
use crate::watch::Watch;
use std::time::Instant;

/// A batch is closed when its pictures hold more bytes: one is worked on and one is made ready.
const BATCH_BYTES: usize = 128 << 20;

/// One picture that was looked at.
#[derive(Debug)]
pub struct Looked {
    /// Its number among the samples.
    pub number: usize,
    /// Hash of its file.
    pub sha256: String,
    /// The picture.
    pub picture: Picture,
    /// Which of its pixels are defective, where that is known.
    pub mask: Option<Mask>,
    /// Milliseconds for decoding, and for this picture's share of the time between this batch's answer and the one before.
    pub milliseconds: [f64; 2],
}

/// How much of pictures a preprocessing leaves to be seen.
#[derive(Debug, Default)]
pub(super) struct Coverage {
    seen: f64,
    all: f64,
}

impl Coverage {
    /// Counts a picture's pixels.
    pub fn add(&mut self, preprocess: &Preprocess, picture: &Picture) {
        let [_, _, w, h] = preprocess.area(picture.width, picture.height);
        self.seen += w * h;
        self.all += (picture.width * picture.height) as f64;
    }

    /// The share of all pixels that is seen; `None` if there was no picture.
    pub fn share(&self) -> Option<f64> {
        (self.all > 0.0).then(|| self.seen / self.all)
    }
}

/// What became of samples that were not looked at.
#[derive(Debug, Default)]
pub struct Missed {
    /// How many were left out because their hash is known.
    pub left_out: usize,
    /// Number and reason of those that could not be read.
    pub failed: Vec<(usize, String)>,
}

impl Missed {
    /// Counts what is not ready.
    fn add(&mut self, arrival: Arrival, loading: &Loading) -> Result<()> {
        match arrival {
            Arrival::Ready(_) => {}
            Arrival::LeftOut => self.left_out += 1,
            Arrival::Failed(number, e) if loading.keep_going && !matches!(e, Error::Internal(_)) => {
                self.failed.push((number, e.to_string()));
            }
            Arrival::Failed(_, e) => return Err(e),
        }
        Ok(())
    }

    /// Whether sample `number` could not be read.
    pub fn has(&self, number: usize) -> bool {
        self.failed.iter().any(|f| f.0 == number)
    }

    /// The pictures that could not be read, as the error that a command ends with; `of` is how many there were.
    ///
    /// # Errors
    /// [`Error::Partial`] with all of them.
    pub fn ended(&self, of: usize) -> Result<()> {
        if self.failed.is_empty() {
            return Ok(());
        }
        let list: String = self.failed.iter().map(|(_, why)| format!("\n  {why}")).collect();
        Err(Error::Partial(format!("{} of {of} pictures could not be read:{list}", self.failed.len())))
    }
}

/// Reads all samples, in order, and hands each to `take`; those that were missed are told.
///
/// # Errors
/// [`Error::Input`] for a picture that cannot be read, unless [`Loading::keep_going`]; that of `take`; the watcher's interrupt.
pub(super) fn read(
    (samples, preprocess): (&[Sample], &Preprocess),
    loading: &Loading,
    watch: &dyn Watch,
    take: &mut dyn FnMut(Loaded) -> Result<()>,
) -> Result<Missed> {
    let mut missed = Missed::default();
    for (done, arrival) in Stream::open(samples, preprocess, loading, 4).enumerate() {
        watch.progress("reading", done, samples.len());
        watch.go_on()?;
        match arrival {
            Arrival::Ready(loaded) => take(*loaded)?,
            other => missed.add(other, loading)?,
        }
    }
    watch.progress("reading", samples.len(), samples.len());
    Ok(missed)
}

/// What a batch goes through.
pub(super) trait Device {
    /// What a batch gives.
    type Answer;

    /// Pictures in one run.
    fn batch(&self) -> usize;

    /// Pictures of this many rows and columns in one run.
    fn most(&self, _size: [usize; 2]) -> usize {
        self.batch()
    }

    /// Sends a batch on its way.
    async fn submit(&mut self, pictures: &[&Prepared]) -> Result<Under>;

    /// Waits for the answer to a batch of so many pictures.
    fn collect(&mut self, under: Under, pictures: usize) -> Result<Self::Answer>;

    /// Takes the answer in.
    fn take(&mut self, answer: Self::Answer, looked: Vec<Looked>) -> Result<()>;
}

/// Looks at all samples, in order, and says which were missed.
///
/// # Errors
/// Whatever reading, the device or [`Device::take`] report; the watcher's interrupt.
pub(super) async fn look(
    device: &mut impl Device,
    (samples, preprocess): (&[Sample], &Preprocess),
    loading: &Loading,
    watch: &dyn Watch,
) -> Result<Missed> {
    let batch = device.batch();
    let mut stream = Stream::open(samples, preprocess, loading, 2 * batch);
    let (mut missed, mut under, mut kept, mut since) = (Missed::default(), None, None, Instant::now());
    watch.progress("features", 0, samples.len());
    loop {
        let (ready, ended) = next(&mut stream, device, (loading, &mut missed), &mut kept)?;
        watch.go_on()?;
        let sent = if ready.is_empty() { None } else { Some(send(device, ready).await?) };
        if let Some((run, looked)) = std::mem::replace(&mut under, sent) {
            let done = last(&looked);
            let answer = device.collect(run, looked.len())?;
            device.take(answer, shared(looked, &mut since))?;
            watch.progress("features", done, samples.len());
        }
        if ended && under.is_none() {
            watch.progress("features", samples.len(), samples.len());
            return Ok(missed);
        }
    }
}

/// Samples up to the last of these.
fn last(looked: &[Looked]) -> usize {
    looked.last().map_or(0, |l| l.number + 1)
}

/// Gives every picture its share of the time since the last answer.
fn shared(mut looked: Vec<Looked>, since: &mut Instant) -> Vec<Looked> {
    let share = since.elapsed().as_secs_f64() * 1e3 / looked.len().max(1) as f64;
    *since = Instant::now();
    for one in &mut looked {
        let [decode, _] = one.milliseconds;
        one.milliseconds = [decode, share];
    }
    looked
}

/// The next batch, of pictures of one size, and whether it is the last. A picture of another size than those before it is `kept` for the
/// batch after.
fn next(
    stream: &mut Stream,
    device: &impl Device,
    (loading, missed): (&Loading, &mut Missed),
    kept: &mut Option<Box<Loaded>>,
) -> Result<(Vec<Loaded>, bool)> {
    let mut ready: Vec<Loaded> = vec![];
    let (mut bytes, mut most) = (0, 1);
    while ready.len() < most && bytes < BATCH_BYTES {
        match kept.take().map(Arrival::Ready).or_else(|| stream.next()) {
            Some(Arrival::Ready(loaded)) => {
                let size = loaded.input.size();
                if ready.first().is_some_and(|first| first.input.size() != size) {
                    *kept = Some(loaded);
                    break;
                }
                most = device.most(size);
                bytes += loaded.picture.bytes() + loaded.input.bytes();
                ready.push(*loaded);
            }
            Some(other) => missed.add(other, loading)?,
            None => return Ok((ready, true)),
        }
    }
    Ok((ready, false))
}

async fn send(device: &mut impl Device, ready: Vec<Loaded>) -> Result<(Under, Vec<Looked>)> {
    let run = device.submit(&ready.iter().map(|l| &l.input).collect::<Vec<_>>()).await?;
    let looked = |l: Loaded| Looked {
        number: l.number,
        sha256: l.sha256,
        picture: l.picture,
        mask: l.mask,
        milliseconds: [l.milliseconds, 0.0],
    };
    Ok((run, ready.into_iter().map(looked).collect()))
}
