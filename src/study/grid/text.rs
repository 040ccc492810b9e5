//! A plan file as it is written: TOML, of which every value knows its line.

use crate::error::{Error, Result, plain};
use crate::methods::caml::Many;
use crate::methods::prototype::head::Distance;
use crate::study::{Pool, Task};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use toml::Spanned;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Written {
    /// What the study is called; otherwise as the file.
    pub name: Option<String>,
    /// Seed of all draws.
    #[serde(default)]
    pub seed: u64,
    /// How often shots are drawn.
    pub repeats: Option<Spanned<usize>>,
    /// Where shots come from, and what is asked about.
    #[serde(default)]
    pub pool: Pool,
    /// Whether defective shots of one class are taken in turns from its kinds of defect.
    #[serde(default)]
    pub stratified: bool,
    /// Kinds of defect that are left out.
    #[serde(default)]
    pub exclude: Vec<Spanned<String>>,
    /// The device, as `--device` has it.
    pub device: Option<String>,
    /// How many hours all of it may take.
    pub budget_hours: Option<Spanned<f64>>,
    /// The data sets.
    #[serde(default)]
    pub category: Vec<Spanned<Set>>,
    /// The tasks, with their numbers of shots.
    #[serde(default)]
    pub tasks: BTreeMap<Task, Spanned<Shot>>,
    /// The methods.
    #[serde(default)]
    pub method: Vec<Spanned<Entry>>,
}

/// A data set.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Set {
    /// Its folder or table, seen from the plan file.
    pub path: PathBuf,
    /// What it is called; otherwise as its folder.
    pub name: Option<String>,
    /// Whether its defects are painted.
    #[serde(default)]
    pub painted: bool,
}

/// The numbers of shots of a task.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Shot {
    /// Of each class, of T1, T2 and T3.
    pub shots: Option<Vec<Spanned<usize>>>,
    /// Good ones, of T4 and T5.
    pub good: Option<Vec<Spanned<usize>>>,
    /// Of each other class, of T4 and T5.
    pub bad: Option<Spanned<usize>>,
}

/// How many good pictures a detector learns from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(untagged)]
pub enum Amount {
    /// So many.
    Number(usize),
    /// All but those that are kept apart for a limit.
    Word(All),
}

/// A learning rate.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Rate {
    /// This.
    Given(f64),
    /// One that is found by the support, in every episode anew.
    Found(Auto),
}

impl Rate {
    /// It, where one is given.
    pub fn given(self) -> Option<f64> {
        match self {
            Rate::Given(rate) => Some(rate),
            Rate::Found(_) => None,
        }
    }
}

/// The word `auto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Auto {
    /// It.
    Auto,
}

/// The word `all`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum All {
    /// It.
    All,
}

/// A kind of method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Word {
    /// Prototypes.
    Prototype,
    /// P>M>F.
    Pmf,
    /// CAML.
    Caml,
    /// PatchCore.
    PatchCore,
    /// AnomalyDINO.
    AnomalyDino,
    /// SubspaceAD.
    SubspaceAd,
    /// EfficientAD.
    EfficientAd,
    /// A detector, and a learner behind it.
    Chain,
}

/// A method: which keys it may have depends on its kind.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Entry {
    /// What kind it is.
    pub kind: Spanned<Word>,
    /// What it is called; otherwise by its choices.
    pub name: Option<Spanned<String>>,
    /// The tasks that it takes part in; otherwise all that it can.
    pub tasks: Option<Vec<Spanned<Task>>>,
    /// How often it takes part; otherwise in all repeats.
    pub repeats: Option<Spanned<usize>>,
    /// The network.
    pub network: Option<Spanned<String>>,
    /// Its weights: a file seen from the plan file, or a name in `lupe weights list`; of EfficientAD those of the teacher.
    pub weights: Option<Spanned<PathBuf>>,
    /// CAML's checkpoint, likewise.
    pub checkpoint: Option<Spanned<PathBuf>>,
    /// The place of the network that vectors are taken from.
    pub place: Option<Spanned<String>>,
    /// Edge length of the network's input.
    pub size: Option<Spanned<usize>>,
    /// Whether pictures are cropped as the network's own preprocessing does it.
    pub crop: Option<Spanned<bool>>,
    /// Distances of prototypes.
    pub distance: Option<Spanned<Vec<Distance>>>,
    /// Whether vectors are centred and normalised.
    pub center: Option<Spanned<bool>>,
    /// Whether unequal shots are allowed for: without, with, or both.
    pub correction: Option<Spanned<Vec<bool>>>,
    /// Steps of a training.
    pub steps: Option<Spanned<u64>>,
    /// Its learning rate.
    pub lr: Option<Spanned<Rate>>,
    /// Over how many ways to give labels CAML averages.
    pub average: Option<Spanned<usize>>,
    /// What CAML does about more classes than it has labels.
    pub many_classes: Option<Spanned<Many>>,
    /// PatchCore's and SubspaceAD's places of the network.
    pub layers: Option<Spanned<Vec<String>>>,
    /// Share of the patch vectors that PatchCore keeps.
    pub ratio: Option<Spanned<f64>>,
    /// Whether AnomalyDINO turns its references.
    pub rotations: Option<Spanned<bool>>,
    /// Turned views of each reference that SubspaceAD takes.
    pub augment: Option<Spanned<usize>>,
    /// EfficientAD's pictures of anything else: a folder, or `none`.
    pub penalty: Option<Spanned<PathBuf>>,
    /// Numbers of good pictures that a detector learns from on T2's draws, besides T2's own.
    pub good: Option<Spanned<Vec<Amount>>>,
    /// The detector of a chain, by its name.
    pub detector: Option<Spanned<String>>,
    /// What names the defects behind it, by its name.
    pub learner: Option<Spanned<String>>,
}

/// A file with its lines.
#[derive(Clone, Debug)]
pub struct Source {
    /// What messages call it.
    pub name: String,
    /// What is in it.
    pub text: String,
}

impl Source {
    /// Reads it as TOML.
    ///
    /// # Errors
    /// [`Error::Usage`] with the line, and what is known where something else stands there.
    pub fn read(&self) -> Result<Written> {
        toml::from_str(&self.text).map_err(|e| {
            let at = e.span().map_or(0, |span| span.start);
            self.wrong(at, &plain(e.message()))
        })
    }

    /// The line in which the byte at this place lies, counted from 1.
    pub fn line(&self, at: usize) -> usize {
        1 + self.text.bytes().take(at).filter(|b| *b == b'\n').count()
    }

    /// An error about what stands at this place.
    pub fn wrong(&self, at: usize, what: &str) -> Error {
        Error::Usage(format!("{}, line {}: {what}", self.name, self.line(at)))
    }

    /// The same about a value.
    pub fn about<T>(&self, value: &Spanned<T>, what: &str) -> Error {
        self.wrong(value.span().start, what)
    }
}
