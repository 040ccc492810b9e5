//! Vectors of pictures, kept on disk between runs: a network looks once at every picture.

use crate::data::dataset::Sample;
use crate::data::load::Loading;
use crate::engine::Gpu;
use crate::error::{Result, shown};
use crate::files::{keep, prune, sha256, sha256_of, touch};
use crate::methods::vector::{Source, Vectors};
use crate::methods::{Looked, Missed, RunOptions};
use crate::watch::Watch;
use std::io;
use std::path::PathBuf;

/// How a file begins; another number when what vectors are changes.
const MARK: &[u8] = b"lupe vector 1\n";

/// Hexadecimal digits of a SHA-256.
const DIGITS: usize = 64;

/// Where vectors are kept.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The folder; `None`: nothing is kept.
    pub folder: Option<PathBuf>,
    /// How many bytes the vectors of all sources may take.
    pub most: u64,
    /// Whether what is there is made anew.
    pub fresh: bool,
}

/// What a file of the folder holds.
enum Entry {
    Whole(Vec<f32>),
    Damaged,
    None,
}

impl Kept {
    /// Looks up the vectors of samples.
    ///
    /// # Errors
    /// As [`Source::dim`], and the watcher's interrupt.
    pub fn look_up<'s>(&'s self, source: Source<'s>, samples: &'s [Sample], watch: &dyn Watch) -> Result<Found<'s>> {
        let Source { network, weights, place, preprocess } = source;
        let (dim, name) = (source.dim()?, network.name);
        let recipe = sha256(format!("{name}\n{}\n{place}\n{preprocess:?}", weights.sha256()).as_bytes());
        let (mut vectors, mut damaged) = (vec![], 0);
        for sample in samples {
            watch.go_on()?;
            // A file that cannot be read is told by whoever decodes it.
            let hash = sha256_of(&sample.path).ok();
            let entry = hash.as_ref().map_or(Entry::None, |hash| self.read(&recipe, hash, dim));
            damaged += usize::from(matches!(entry, Entry::Damaged));
            vectors.push(match entry {
                Entry::Whole(vector) => hash.map(|hash| (vector, hash)),
                Entry::Damaged | Entry::None => None,
            });
        }
        if damaged > 0 {
            watch.say(&format!("note: {damaged} of the vectors that were kept are damaged; they are computed again"));
        }
        Ok(Found { kept: self, source, recipe, samples, vectors, missed: Missed::default() })
    }

    fn file(&self, recipe: &str, picture: &str) -> Option<PathBuf> {
        let name = sha256(format!("{recipe} {picture}").as_bytes());
        Some(self.folder.as_ref()?.join(name.get(..2)?).join(name))
    }

    fn read(&self, recipe: &str, picture: &str, dim: usize) -> Entry {
        let Some(file) = self.file(recipe, picture).filter(|file| !self.fresh && file.exists()) else {
            return Entry::None;
        };
        let vector = std::fs::read(&file).ok().and_then(|bytes| unpacked(&bytes)).filter(|v| v.len() == dim);
        // One that cannot be marked is only removed earlier.
        let _ = touch(&file);
        vector.map_or(Entry::Damaged, Entry::Whole)
    }

    fn write(&self, recipe: &str, picture: &str, vector: &[f32]) -> io::Result<()> {
        self.file(recipe, picture).map_or(Ok(()), |file| keep(&file, &packed(vector)))
    }

    /// Removes those that were used longest ago, and says what cannot be kept.
    fn tidy(&self, unkept: Option<io::Error>, watch: &dyn Watch) {
        let Some(folder) = &self.folder else { return };
        let pruned = unkept.map_or_else(|| prune(folder, self.most), Err);
        match pruned {
            Err(e) => watch.say(&format!("note: vectors cannot be kept in {}: {e}", shown(folder))),
            Ok(removed) => log::info!("{removed} kept vectors were removed for room"),
        }
    }
}

/// Mark, values, and the hash of both.
fn packed(vector: &[f32]) -> Vec<u8> {
    let mut bytes = MARK.to_vec();
    bytes.extend(vector.iter().flat_map(|v| v.to_le_bytes()));
    let hash = sha256(&bytes);
    bytes.extend(hash.as_bytes());
    bytes
}

fn unpacked(bytes: &[u8]) -> Option<Vec<f32>> {
    let (content, hash) = bytes.split_at_checked(bytes.len().checked_sub(DIGITS)?)?;
    let values = content.strip_prefix(MARK).filter(|_| sha256(content).as_bytes() == hash)?;
    Some(values.chunks_exact(4).filter_map(|four| Some(f32::from_le_bytes(four.try_into().ok()?))).collect())
}

/// The vectors of samples, as far as they are known.
pub struct Found<'s> {
    kept: &'s Kept,
    source: Source<'s>,
    recipe: String,
    samples: &'s [Sample],
    /// Vector and hash of the file of each sample.
    pub vectors: Vec<Option<(Vec<f32>, String)>>,
    /// What could not be read.
    pub missed: Missed,
}

impl Found<'_> {
    /// Numbers of the samples without a vector.
    pub fn missing(&self) -> Vec<usize> {
        self.vectors.iter().enumerate().filter(|v| v.1.is_none()).map(|v| v.0).collect()
    }

    /// Computes the vectors that are missing, and keeps them.
    ///
    /// # Errors
    /// As [`Vectors::new`] and [`Vectors::each`].
    pub async fn compute(
        &mut self,
        gpu: &Gpu,
        options: &RunOptions,
        loading: &Loading,
        watch: &dyn Watch,
    ) -> Result<()> {
        let missing = self.missing();
        let wanted: Vec<Sample> = missing.iter().filter_map(|i| self.samples.get(*i).cloned()).collect();
        let mut planned = Vectors::new(gpu, self.source, options).await?;
        let (mut unkept, kept, recipe, vectors) = (None, self.kept, &self.recipe, &mut self.vectors);
        let mut take = |looked: Looked, vector: Vec<f32>| {
            if unkept.is_none() {
                unkept = kept.write(recipe, &looked.sha256, &vector).err();
            }
            let place = missing.get(looked.number).and_then(|i| vectors.get_mut(*i));
            place.into_iter().for_each(|place| *place = Some((vector.clone(), looked.sha256.clone())));
            Ok(())
        };
        let mut missed = planned.each(&wanted, loading, watch, &mut take).await?;
        missed.failed.iter_mut().for_each(|f| f.0 = missing.get(f.0).copied().unwrap_or(f.0));
        self.missed = missed;
        self.kept.tidy(unkept, watch);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_damage_of_a_kept_vector_goes_unseen() {
        let vector = vec![1.5, -0.0, f32::MAX];
        let bytes = packed(&vector);
        assert_eq!(unpacked(&bytes), Some(vector));
        for i in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[i] ^= 1;
            assert_eq!(unpacked(&changed), None, "byte {i}");
            assert_eq!(unpacked(&bytes[..i]), None, "cut at {i}");
        }
        assert_eq!(unpacked(&[bytes, vec![0]].concat()), None);
    }

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let folder = tempfile::tempdir().unwrap();
        let kept = |most| Kept { folder: Some(folder.path().into()), most, fresh: false };
        let names: Vec<PathBuf> = (0..4).map(|i| kept(0).file("r", &format!("{i}")).unwrap()).collect();
        for (i, name) in names.iter().enumerate() {
            kept(0).write("r", &format!("{i}"), &[1.0; 100]).unwrap();
            let age = std::time::Duration::from_secs(100 * (10 - i as u64));
            std::fs::File::options()
                .append(true)
                .open(name)
                .unwrap()
                .set_modified(std::time::SystemTime::now() - age)
                .unwrap();
        }
        assert!(matches!(kept(0).read("r", "0", 100), Entry::Whole(_)), "and it is used just now");
        assert!(matches!(kept(0).read("other", "0", 100), Entry::None));
        assert!(matches!(kept(0).read("r", "0", 99), Entry::Damaged));
        let size = packed(&[1.0; 100]).len() as u64;
        assert_eq!(prune(folder.path(), 3 * size).unwrap(), 1);
        assert!(!names[1].exists() && names[0].exists() && names[2].exists());
        assert_eq!(prune(folder.path(), 3 * size - 1).unwrap(), 1);
        assert!(!names[2].exists() && names[3].exists());
        assert_eq!(prune(folder.path(), 0).unwrap(), 2);
    }
}
