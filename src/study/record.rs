//! What a study is made of: who takes part, what was drawn, what was said.

use serde::{Deserialize, Serialize};
use std::fmt::{self, Display, Formatter};

/// What is asked about a picture, and how many pictures of each class are learned from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Task {
    /// Which kind of defect, `good` among them; equally many shots of each.
    T1,
    /// Good or defective; equally many shots of both.
    T2,
    /// Which kind of defect, of defective pictures alone.
    T3,
    /// As T2, with more good shots than defective ones.
    T4,
    /// As T1, with more good shots than of each kind of defect.
    T5,
}

impl Task {
    /// All of them.
    pub const ALL: [Task; 5] = [Task::T1, Task::T2, Task::T3, Task::T4, Task::T5];

    /// Whether all kinds of defect are one class.
    pub fn pools_defects(self) -> bool {
        matches!(self, Task::T2 | Task::T4)
    }

    /// Whether `good` is a class.
    pub fn has_good(self) -> bool {
        self != Task::T3
    }

    /// Whether the number of good shots is set apart from that of defective ones.
    pub fn imbalanced(self) -> bool {
        matches!(self, Task::T4 | Task::T5)
    }

    /// In words.
    pub fn title(self) -> &'static str {
        match self {
            Task::T1 => "good or which defect",
            Task::T2 => "good or defective",
            Task::T3 => "which defect",
            Task::T4 => "good or defective, more good shots",
            Task::T5 => "good or which defect, more good shots",
        }
    }
}

impl Display for Task {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// Which pictures shots are drawn from, and which are asked about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pool {
    /// Good shots come from the training split, defective ones from the tests; asked about are the tests but for those that are kept for
    /// shots. So the good queries are those on which detectors are usually scored.
    #[default]
    AdAligned,
    /// Good shots come from training split and tests together; asked about is all else.
    Author,
}

/// What kind of method it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// Mean vectors of classes.
    Prototype,
    /// CAML.
    Caml,
    /// P>M>F, fine-tuned or not.
    Pmf,
    /// PatchCore.
    PatchCore,
    /// EfficientAD.
    EfficientAd,
    /// AnomalyDINO.
    AnomalyDino,
    /// SubspaceAD.
    SubspaceAd,
    /// A detector, and behind it a learner that names the defect.
    Chain,
}

impl Family {
    /// Whether it learns from good pictures alone and gives a score, not a class.
    pub fn detects(self) -> bool {
        matches!(self, Family::PatchCore | Family::EfficientAd | Family::AnomalyDino | Family::SubspaceAd)
    }
}

/// Whether a learner allows for unequal numbers of shots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Variant {
    /// As published.
    #[default]
    Plain,
    /// Distances less what few shots add to them, `d² - tr(Σ̂)/n`; of P>M>F's fine-tuning: a loss in which every class counts the same.
    Corrected,
}

/// A method as it takes part: a line of each table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Method {
    /// Its name, of its own in the study.
    pub name: String,
    /// What kind it is.
    pub family: Family,
    /// The network that looks at pictures.
    pub backbone: String,
    /// The distance between vectors, as in `--distance`: `squared`, `euclidean`, `cosine`; of learners that choose one.
    pub distance: Option<String>,
    /// Whether it allows for unequal shots.
    pub variant: Variant,
    /// What it shares with those that differ from it in distance and variant alone.
    pub group: String,
    /// Further choices in words, such as `fine-tuned, 50 steps`; may be empty.
    pub note: String,
    /// The first half of the SHA-256 of every choice, weights among them.
    pub settings: String,
}

/// Something that was asked for and does not take part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// The method, or `METHOD on TASK of CATEGORY`.
    pub what: String,
    /// Why.
    pub why: String,
    /// What to type to have it take part, if anything helps.
    pub command: Option<String>,
}

/// A data set of the study.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Category {
    /// Its name.
    pub name: String,
    /// Good pictures of the training split.
    pub train: usize,
    /// Good pictures to test with.
    pub good: usize,
    /// Kinds of defect with their pictures, in bytewise order.
    pub defects: Vec<(String, usize)>,
    /// Whether its defects are painted by Lupe, not real.
    pub painted: bool,
}

/// A picture that is asked about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Query {
    /// Its path in the data set.
    pub path: String,
    /// `good`, or its kind of defect.
    pub label: String,
    /// The number of its class among those of the draw.
    pub class: usize,
}

/// One draw: all numbers of shots of it share their queries, and every support holds those with fewer shots. A line of `episodes.jsonl`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draw {
    /// The data set.
    pub category: String,
    /// The task.
    pub task: Task,
    /// The pool.
    pub pool: Pool,
    /// Which repeat it is.
    pub repeat: usize,
    /// The text whose FNV-1a hash is the seed.
    pub seed: String,
    /// The classes in bytewise order: `good` and kinds of defect, or `bad` and `good`.
    pub classes: Vec<String>,
    /// For each class the pictures of the largest support, in the order in which they come to smaller ones; of `good` all that there are.
    pub support: Vec<Vec<String>>,
    /// The pictures that are asked about, in the order of their classes and then of their paths.
    pub queries: Vec<Query>,
}

impl Draw {
    /// The number of the class `good`, if it is one.
    pub fn good(&self) -> Option<usize> {
        self.classes.iter().position(|c| c == crate::data::dataset::GOOD)
    }
}

/// How the limit of a detector, above which a picture counts as defective, was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// The 99 % quantile of good pictures that were kept apart: what a user without defects has.
    HeldOut,
    /// What parts the good and the defective shots of the draw best, by balanced accuracy.
    Support,
    /// What parts the queries best, by F1: an upper bound, as it looks at the answers.
    Oracle,
}

/// What a method said of the queries of a draw, in their order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The number of the class that each query was called; empty for detectors.
    pub said: Vec<usize>,
    /// How defective each query is, higher being worse: of learners the logarithm of the odds against `good`. Empty where no class is `good`,
    /// and for chains.
    pub scores: Vec<f64>,
    /// Of detectors: limits, as far as there are any.
    pub limits: Vec<(Limit, f64)>,
    /// Lengths of the prototypes of the draw's classes, where a distance takes them as they are: all that cosine leaves out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lengths: Vec<f64>,
}

/// One method on one draw with one number of shots.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The number of the method in [`Results::methods`].
    pub method: usize,
    /// The number of the draw in [`Results::draws`].
    pub draw: usize,
    /// Good pictures that were learned from.
    pub good: usize,
    /// Pictures of each other class that were learned from; 0 for detectors.
    pub bad: usize,
    /// Whether `good` was asked for as `all`: but for those kept apart for a limit.
    pub all: bool,
    /// What it said.
    pub answer: Answer,
}

/// How long it took: the only thing in a study that differs from run to run. A line of `timing.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// The method's name.
    pub method: String,
    /// The data set.
    pub category: String,
    /// The task.
    pub task: Task,
    /// Good shots.
    pub good: usize,
    /// The repeat.
    pub repeat: usize,
    /// Seconds from pictures to a method that is ready, the network's share of the support's pictures included.
    pub adapt_s: f64,
    /// Milliseconds from a picture to its answer, the network's share included.
    pub infer_ms: f64,
}

/// What holds for a whole study.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// What it is called.
    pub name: String,
    /// Seed of all draws.
    pub seed: u64,
    /// Which pictures are asked about.
    pub pool: Pool,
    /// Whether the defective shots of T2 and T4 are taken in turns from all kinds of defect; otherwise as they come.
    pub stratified_bad: bool,
    /// Whether every number of shots is asked about the same queries.
    pub fixed_queries: bool,
    /// Kinds of defect that were left out.
    pub excluded: Vec<String>,
    /// Lupe's version.
    pub version: String,
    /// The SHA-256 of the plan as it was carried out: choices, pictures, weights.
    pub plan: String,
}

/// All that a study found out.
#[derive(Clone, Debug, PartialEq)]
pub struct Results {
    /// What holds for all of it.
    pub facts: Facts,
    /// The data sets.
    pub categories: Vec<Category>,
    /// Who took part.
    pub methods: Vec<Method>,
    /// Who did not, and why.
    pub left_out: Vec<LeftOut>,
    /// What was drawn.
    pub draws: Vec<Draw>,
    /// What was said.
    pub outcomes: Vec<Outcome>,
    /// How long it took.
    pub timing: Vec<Timing>,
}
