//! Pictures from disk in order, decoded ahead by as many threads as there are processors, within a memory bound.

use super::ahead::{Ahead, Job};
use super::dataset::{Sample, good};
use super::picture::NO_FILE;
use super::{Limits, Mask, Picture, Prepared, Preprocess};
use crate::error::{Error, Result, shown};
use crate::files::sha256;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// How pictures are loaded.
#[derive(Clone, Debug, Default)]
pub struct Loading {
    /// How large a picture may be.
    pub limits: Limits,
    /// Whether the work goes on without pictures that cannot be read.
    pub keep_going: bool,
    /// Hashes of files that are left out.
    pub leave_out: BTreeSet<String>,
}

/// A picture ready for a network.
#[derive(Debug)]
pub struct Loaded {
    /// Its number among the samples.
    pub number: usize,
    /// Hash of its file.
    pub sha256: String,
    /// The picture.
    pub picture: Picture,
    /// Which of its pixels are defective, if that is known.
    pub mask: Option<Mask>,
    /// The network's input.
    pub input: Prepared,
    /// Milliseconds for all this.
    pub milliseconds: f64,
}

/// What became of a sample.
#[derive(Debug)]
pub enum Arrival {
    /// It is ready.
    Ready(Box<Loaded>),
    /// It was left out.
    LeftOut,
    /// It cannot be read.
    Failed(usize, Error),
}

impl Arrival {
    fn bytes(&self) -> usize {
        match self {
            Arrival::Ready(loaded) => loaded.picture.bytes() + loaded.input.bytes(),
            Arrival::LeftOut | Arrival::Failed(..) => 0,
        }
    }
}

/// Samples as they arrive, in order.
#[derive(Debug)]
pub struct Stream(Ahead<Arrival>);

#[derive(Debug)]
struct Work {
    samples: Vec<Sample>,
    preprocess: Preprocess,
    loading: Loading,
}

impl Stream {
    /// Starts loading `samples`, at most `ahead` of them beyond the one that is asked for.
    pub fn open(samples: &[Sample], preprocess: &Preprocess, loading: &Loading, ahead: usize) -> Stream {
        let work = Arc::new(Work { samples: samples.to_vec(), preprocess: *preprocess, loading: loading.clone() });
        let (of, other) = (work.samples.len(), work.clone());
        let job = Job {
            of,
            make: Box::new(move |number| work.arrival(number)),
            panicked: Box::new(move |number| other.panicked(number)),
            bytes: Arrival::bytes,
        };
        Stream(Ahead::start(job, ahead))
    }
}

impl Iterator for Stream {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        self.0.next()
    }
}

impl Work {
    fn arrival(&self, number: usize) -> Arrival {
        match self.samples.get(number).map(|s| self.load(number, s)) {
            Some(Ok(Some(loaded))) => Arrival::Ready(Box::new(loaded)),
            Some(Ok(None)) | None => Arrival::LeftOut,
            Some(Err(e)) => Arrival::Failed(number, e),
        }
    }

    fn panicked(&self, number: usize) -> Arrival {
        let sample = self.samples.get(number).map_or("a picture", |s| s.name.as_str());
        Arrival::Failed(number, Error::Internal(format!("{sample}: loading it panicked")))
    }

    fn load(&self, number: usize, sample: &Sample) -> Result<Option<Loaded>> {
        let (start, name) = (Instant::now(), shown(&sample.path));
        let bytes = read(&sample.path)?;
        let sha256 = sha256(&bytes);
        if self.loading.leave_out.contains(&sha256) {
            return Ok(None);
        }
        let limits = self.loading.limits;
        let picture = Picture::decode(&bytes, &name, limits)?;
        drop(bytes);
        let input = self.preprocess.prepare(&picture)?;
        let mask = sample.mask.as_ref().map(|m| Mask::open(m, limits)).transpose()?;
        let (w, h) = (picture.width, picture.height);
        if let Some(m) = mask.as_ref().filter(|m| (m.width, m.height) != (w, h)) {
            let mask = shown(sample.mask.as_deref().unwrap_or(&sample.path));
            return Err(Error::Input(format!(
                "{name}: is {w}x{h}, but its mask {mask} is {}x{}; make them the same size",
                m.width, m.height
            )));
        }
        let marked = mask.iter().flat_map(|m| &m.bits).filter(|b| **b).count();
        if marked > 0 && good(sample) {
            let what = format!("is labelled good, but its mask marks {marked} pixels; correct the label or the mask");
            return Err(Error::Input(format!("{name}: {what}")));
        }
        let milliseconds = start.elapsed().as_secs_f64() * 1e3;
        Ok(Some(Loaded { number, sha256, picture, mask, input, milliseconds }))
    }
}

/// The bytes of a picture's file.
///
/// # Errors
/// [`Error::Input`] naming the file and the system's reason.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    if path.is_dir() {
        return Err(Error::Input(format!("{}: is a folder; expected a picture", shown(path))));
    }
    if std::fs::metadata(path).is_ok_and(|m| !m.is_file()) {
        return Err(Error::Input(format!("{}: {NO_FILE}", shown(path))));
    }
    std::fs::read(path).map_err(|e| Error::Input(format!("{}: cannot be read: {e}", shown(path))))
}

#[cfg(test)]
mod tests {
    use super::*;
    fn samples(folder: &Path, n: usize) -> Vec<Sample> {
        let picture = image::RgbImage::from_fn(200, 150, |x, y| image::Rgb([x as u8, y as u8, 7]));
        let mut bytes = std::io::Cursor::new(vec![]);
        picture.write_to(&mut bytes, image::ImageFormat::Png).expect("encoded");
        let bytes = bytes.into_inner();
        (0..n)
            .map(|i| {
                let (name, path) = (format!("{i}.png"), folder.join(format!("{i}.png")));
                std::fs::write(&path, if i == 3 { b"no picture".to_vec() } else { bytes.clone() }).expect("written");
                Sample { path, name, label: String::new(), mask: None }
            })
            .collect()
    }

    #[test]
    fn all_arrive_in_order_and_within_the_bound() {
        let folder = tempfile::tempdir().expect("a folder");
        let samples = samples(folder.path(), 40);
        let preprocess = Preprocess::imagenet(64, 64);
        let mut stream = Stream::open(&samples, &preprocess, &Loading::default(), 2);
        let mut seen = vec![];
        while let Some(arrival) = stream.next() {
            let (begun, most) = stream.0.begun();
            assert!(begun <= most, "{begun} of {most}");
            match arrival {
                Arrival::Ready(loaded) => seen.push(loaded.number),
                Arrival::Failed(number, e) => assert!(number == 3 && e.to_string().contains("3.png"), "{e}"),
                Arrival::LeftOut => panic!("nothing is left out"),
            }
        }
        assert_eq!(seen, (0..40).filter(|i| *i != 3).collect::<Vec<_>>());
    }

    #[test]
    fn a_stream_that_nobody_reads_ends() {
        let folder = tempfile::tempdir().expect("a folder");
        let samples = samples(folder.path(), 20);
        let mut stream = Stream::open(&samples, &Preprocess::imagenet(64, 64), &Loading::default(), 1);
        assert!(matches!(stream.next(), Some(Arrival::Ready(_))));
        drop(stream);
    }

    #[test]
    fn known_files_are_left_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let samples = samples(folder.path(), 2);
        let leave_out = BTreeSet::from([sha256(&read(&samples[0].path).expect("read"))]);
        let loading = Loading { leave_out, ..Loading::default() };
        let all: Vec<Arrival> = Stream::open(&samples, &Preprocess::imagenet(64, 64), &loading, 4).collect();
        assert!(all.len() == 2 && all.iter().all(|a| matches!(a, Arrival::LeftOut)), "{all:?}");
    }
}
