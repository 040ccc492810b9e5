//! What was requested of a set of weights, and where it and they disagree.

use crate::error::{Error, Result};
use crate::tensor::{Shape, Tensor};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

/// Named tensors in the checkpoint's own layout.
pub type Named = BTreeMap<String, Arc<Tensor>>;

/// Where weights and a network disagree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The network wants a weight that is not there.
    Missing {
        /// Its name.
        name: String,
        /// The shape that is wanted.
        wanted: Shape,
    },
    /// A weight has another shape than the network wants.
    Misshapen {
        /// Its name.
        name: String,
        /// Its shape.
        shape: Shape,
        /// The shape that is wanted.
        wanted: Shape,
    },
    /// A weight that the network wants is there, but cannot be read.
    Unreadable {
        /// Its name.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// The network has no use for a weight.
    Foreign {
        /// Its name.
        name: String,
    },
}

impl Problem {
    /// The weight concerned.
    pub fn name(&self) -> &str {
        match self {
            Problem::Missing { name, .. }
            | Problem::Misshapen { name, .. }
            | Problem::Unreadable { name, .. }
            | Problem::Foreign { name } => name,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Problem::Missing { name, wanted } => write!(f, "{name} {wanted} is missing"),
            Problem::Misshapen { name, shape, wanted } => {
                write!(f, "{name} has shape {shape}, this network wants {wanted}")
            }
            Problem::Unreadable { name, why } => write!(f, "{name} {why}"),
            Problem::Foreign { name } => write!(f, "{name} is not part of this network"),
        }
    }
}

/// What was requested so far; the graph keeps it.
#[derive(Debug, Default)]
pub struct Requested {
    pub(super) used: RefCell<BTreeSet<String>>,
    pub(super) problems: RefCell<Vec<Problem>>,
}

impl Requested {
    /// Names of the weights that were requested, each once.
    pub fn names(&self) -> impl Iterator<Item = String> {
        self.used.borrow().clone().into_iter()
    }

    /// All problems: missing and misshapen weights in the order in which they were requested, then those of `named` that nobody
    /// requested and that do not begin with one of `ignore`.
    pub fn problems(&self, named: &Named, ignore: &[&str]) -> Vec<Problem> {
        let used = self.used.borrow();
        let unused = named.keys().filter(|k| !used.contains(*k) && !ignore.iter().any(|i| k.starts_with(i)));
        let foreign = unused.map(|k| Problem::Foreign { name: k.clone() });
        self.problems.borrow().iter().cloned().chain(foreign).collect()
    }

    /// Whether there are no [`Requested::problems`].
    ///
    /// # Errors
    /// [`Error::Weights`] with all of them at once.
    pub fn check(&self, origin: &str, named: &Named, ignore: &[&str]) -> Result<()> {
        let problems = self.problems(named, ignore);
        if problems.is_empty() {
            return Ok(());
        }
        Err(Error::Weights(problems.into_iter().map(|p| format!("{origin}: {p}")).collect()))
    }
}
