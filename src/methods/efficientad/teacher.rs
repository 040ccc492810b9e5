//! A teacher from a file: a PDN in the names of nelson1425, anomalib or rximg, alone, in a checkpoint or in a zip archive of files.

use super::describe::narrow;
use crate::engine::{Graph, Scope};
use crate::error::{Error, Result, shown};
use crate::models::pdn::Size;
use crate::models::{self, Network, holds, read};
use crate::weights::{Weights, WeightsFile};

/// A teacher.
#[derive(Clone, Debug)]
pub struct Teacher {
    /// Which layers it has.
    pub size: Size,
    /// What published widths are divided by.
    pub narrow: usize,
    /// The network.
    pub network: &'static Network,
    /// Its weights by the network's own names: files that name the same numbers otherwise have the same [`Weights::sha256`].
    pub weights: Weights,
}

impl Teacher {
    /// The teacher in a file. Its size is told by its shapes; where one is asked for, it has to be that.
    ///
    /// # Errors
    /// [`Error::Usage`] for another size than was asked for, and where the file has both and none was; [`Error::Weights`] for a file
    /// that holds no PDN of these shapes, or whole pickled modules.
    pub fn open(file: &WeightsFile, asked: Option<Size>) -> Result<Teacher> {
        let (path, mut found) = (shown(&file.path), vec![]);
        for size in Size::ALL {
            if holds(models::named(size.network())?, file)? {
                found.push(size);
            }
        }
        match (asked, found.as_slice()) {
            (None, [size]) => Teacher::of(*size, file),
            (Some(asked), sizes) if sizes.contains(&asked) => Teacher::of(asked, file),
            (None, [_, ..]) => {
                Err(Error::Usage(format!("{path}: holds teachers of both sizes; give --size s or --size m")))
            }
            (Some(asked), [size, ..]) => {
                let (asked, found) = (asked.letter(), size.letter());
                Err(Error::Usage(format!(
                    "--size {asked}: the teacher in {path} is of size {found}; give --size {found}"
                )))
            }
            (_, []) => Err(none(&path, asked, Size::ALL.map(|size| Teacher::of(size, file).err()))),
        }
    }

    fn of(size: Size, file: &WeightsFile) -> Result<Teacher> {
        let network = models::named(size.network())?;
        let weights = read(network, file)?;
        let graph = Graph::new();
        let narrow = size.pdn().narrowed(&Scope::new(&graph, weights.tensors()));
        Ok(Teacher { size, narrow, network, weights })
    }

    /// The hash of its numbers, whatever they are called.
    pub fn fingerprint(&self) -> String {
        self.weights.sha256()
    }

    /// Its name, size and fingerprint in words: results depend on which teacher it was.
    pub fn words(&self) -> String {
        let (name, letter) = (self.network.name, self.size.letter().to_uppercase());
        format!("{name}{}: size {letter} by its shapes; fingerprint {}", narrow(self.narrow), self.fingerprint())
    }
}

/// Why a file holds no teacher: the problems of the size that was asked for, else of the one with fewer.
fn none(path: &str, asked: Option<Size>, errors: [Option<Error>; 2]) -> Error {
    let [small, medium] = errors.map(|e| e.map_or(vec![], Error::problems));
    let medium_is_nearer = medium.len() < small.len();
    let problems = match asked {
        Some(Size::Medium) => medium,
        None if medium_is_nearer => medium,
        _ => small,
    };
    let head = format!(
        "{path}: holds no teacher of EfficientAD: expected the weights of a PDN, small or medium, in the names of nelson1425, anomalib or \
         rximg"
    );
    Error::Weights(std::iter::once(head).chain(problems).collect())
}
