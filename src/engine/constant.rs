//! What depends on weights alone, told apart by the tensors themselves: labels say nothing of who is meant.

use super::graph::{Node, Source};
use crate::error::{Error, Result};
use crate::tensor::{Shape, Tensor};
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Weak};

/// One tensor in host memory and no other, whatever it holds. It keeps the tensor's address from being used again, not its elements.
#[derive(Clone, Debug)]
pub struct Identity(Weak<Tensor>);

impl Identity {
    /// Of that tensor.
    pub fn of(tensor: &Arc<Tensor>) -> Identity {
        Identity(Arc::downgrade(tensor))
    }
}

impl PartialEq for Identity {
    fn eq(&self, other: &Identity) -> bool {
        self.0.ptr_eq(&other.0)
    }
}

impl Eq for Identity {}

impl Hash for Identity {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.as_ptr().hash(state);
    }
}

/// Elements of a weight that is compared by them.
const FEW: usize = 64;

/// How a value was made of weights: equal for what is the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Constant {
    /// A weight itself.
    Weight(Identity),
    /// A weight of few elements, by their bits: ops that bring their own make it anew for every graph.
    Few(Shape, Vec<u32>),
    /// What a kernel makes of others.
    Made {
        /// Op and kernel.
        how: String,
        /// What it reads.
        of: Vec<Arc<Constant>>,
    },
    /// Elements of another one, where they lie.
    View {
        /// Whose.
        of: Arc<Constant>,
        /// Elements before them.
        offset: usize,
        /// How many there are, along which axes.
        shape: Shape,
    },
}

impl Constant {
    /// That weight.
    pub fn weight(tensor: &Arc<Tensor>) -> Constant {
        if tensor.data.len() <= FEW {
            return Constant::Few(tensor.shape, tensor.data.iter().map(|v| v.to_bits()).collect());
        }
        Constant::Weight(Identity::of(tensor))
    }
}

/// Whether weights of one label are one tensor, or equal ones.
///
/// # Errors
/// [`Error::Weights`] with the labels that two different tensors have, and where the two differ.
pub fn check_labels<'n>(nodes: impl Iterator<Item = &'n Node>) -> Result<()> {
    let (mut known, mut problems) = (HashMap::new(), vec![]);
    for node in nodes {
        if let Source::Weight(tensor) = &node.source {
            let first: &Arc<Tensor> = known.entry(node.label.as_str()).or_insert(tensor);
            if let Some(what) = difference(first, tensor) {
                problems.push(format!("two different weights are called {}: {what}", node.label));
            }
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(Error::Weights(problems)) }
}

/// What tells two tensors apart.
fn difference(a: &Arc<Tensor>, b: &Arc<Tensor>) -> Option<String> {
    if Arc::ptr_eq(a, b) {
        return None;
    }
    if a.shape != b.shape {
        return Some(format!("one has shape {}, the other {}", a.shape, b.shape));
    }
    let at = a.data.iter().zip(&b.data).position(|(a, b)| a.to_bits() != b.to_bits())?;
    Some(format!("both have shape {}, element {at} is {} and {}", a.shape, a.data[at], b.data[at]))
}
