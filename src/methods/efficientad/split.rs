//! Which good pictures are trained on and which are kept: it follows from the seed.

use crate::data::dataset::Sample;
use crate::data::load::read;
use crate::error::{Error, Result, plain};
use crate::files::sha256;
use crate::methods::fitted::{LeftOut, Seen, Why};
use crate::random::Stream;
use std::collections::BTreeMap;

/// A good picture, and what its file hashes to.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The picture.
    pub sample: Sample,
    /// Its name, and the hash of its file.
    pub seen: Seen,
}

/// Good pictures by what they are for, each in the order of names.
#[derive(Clone, Debug, Default)]
pub struct Split {
    /// To be trained on: all others.
    pub train: Vec<Kept>,
    /// Kept to find scales and limits by: the set's own validation split, or a tenth.
    pub validation: Vec<Kept>,
    /// Files that are the same as others: one of them could be trained on and another kept.
    pub left_out: Vec<LeftOut>,
}

impl Split {
    /// Of the good pictures of a set: `own` are those of its own validation split, and all others are trained on; where there are none, a
    /// tenth of the others is drawn.
    ///
    /// # Errors
    /// [`Error::Input`] for a file that cannot be read, and where none is left for one of both parts; `data` is what messages call the set.
    pub fn of([samples, own]: [&[Sample]; 2], seed: u64, data: &str) -> Result<Split> {
        let (mut names, mut left_out) = (BTreeMap::<String, String>::new(), vec![]);
        let mut different = |samples: &[Sample]| -> Result<Vec<Kept>> {
            let mut different = vec![];
            for sample in samples {
                let seen = Seen { name: sample.name.clone(), sha256: sha256(&read(&sample.path)?) };
                match names.get(&seen.sha256) {
                    Some(same) => left_out.push(LeftOut { picture: seen, why: Why::SameAs(same.clone()) }),
                    None => {
                        names.insert(seen.sha256.clone(), seen.name.clone());
                        different.push(Kept { sample: sample.clone(), seen });
                    }
                }
            }
            Ok(different)
        };
        let (mut train, mut validation) = (different(samples)?, different(own)?);
        if own.is_empty() {
            let trained = trained(train.len(), seed).ok_or_else(|| one(data, samples.len()))?;
            for (kept, trained) in std::mem::take(&mut train).into_iter().zip(trained) {
                if trained { train.push(kept) } else { validation.push(kept) }
            }
        }
        if train.is_empty() || validation.is_empty() {
            return Err(none_of_its_own(data));
        }
        Ok(Split { train, validation, left_out })
    }
}

/// What is wrong with a single good picture, given so many times.
fn one(data: &str, times: usize) -> Error {
    let copies = if times > 1 { format!(", {times} times") } else { String::new() };
    Error::Input(format!(
        "{}: has one good picture{copies}, but at least 2 are needed: one to train on and another one, which is not, to find scales and \
         limits by",
        plain(data)
    ))
}

/// What is wrong with a validation split that has nothing new.
fn none_of_its_own(data: &str) -> Error {
    Error::Input(format!(
        "{}: every picture of its validation split is the same file as one of its training split, but pictures that nobody is trained on \
         are needed to find scales and limits by; remove the validation split, and a tenth of the others is kept",
        plain(data)
    ))
}

/// Which of `n` pictures are trained on: `floor(0.9 n)` of them, drawn. `None` if that leaves none for one of both parts.
fn trained(n: usize, seed: u64) -> Option<Vec<bool>> {
    let count = n * 9 / 10;
    let mut trained = vec![false; n];
    let drawn = Stream::new(format!("efficientad.split.{seed}")).shuffled(n);
    drawn.into_iter().take(count).for_each(|i| trained.iter_mut().skip(i).take(1).for_each(|t| *t = true));
    (count > 0 && count < n).then_some(trained)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_is_kept_and_at_least_one() {
        for (n, train) in [(2, 1), (3, 2), (9, 8), (10, 9), (28, 25), (391, 351)] {
            let parts = trained(n, 7).unwrap();
            assert_eq!((parts.len(), parts.iter().filter(|t| **t).count()), (n, train), "{n}");
        }
        assert_eq!((trained(1, 0), trained(0, 0)), (None, None));
        assert_ne!(trained(28, 0), trained(28, 1));
        assert_eq!(trained(28, 0), trained(28, 0));
    }
}
