//! The self-test of a checkpoint: whether its logits are those of its labels. A bug of CAML's training code, with some versions of
//! PyTorch, reverses them.

use super::Planned;
use crate::engine::{Gpu, Options, Store};
use crate::error::Result;
use crate::models::caml::Checkpoint;
use crate::random::draw;

/// What a checkpoint says of pictures that it has just been shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Their labels.
    Sound,
    /// Their labels in the reverse order.
    Flipped,
    /// Something else: for the picture of each label the label that was said.
    Other(Vec<usize>),
}

impl Verdict {
    /// What is to be said of a checkpoint that is neither sound nor flipped.
    pub fn warning(&self) -> Option<String> {
        let Verdict::Other(said) = self else { return None };
        Some(format!(
            "warning: shown one feature for each label, the checkpoint calls them {said:?}, not 0, 1, 2, …: its answers may mean \
             nothing; is it whole, and CAML's?"
        ))
    }
}

/// Shows a checkpoint one feature for each label, nearly at right angles and of length 1, and asks about the same features; `reversed`:
/// as if its logits were those of its labels in the reverse order.
///
/// # Errors
/// As [`Planned::new`] and [`Planned::logits`].
pub async fn self_test(gpu: &Gpu, checkpoint: &Checkpoint, reversed: bool, options: Options) -> Result<Verdict> {
    let (labels, f) = (checkpoint.caml.labels, checkpoint.caml.features);
    let length = 1.0 / (f as f32).sqrt();
    let value = |i: usize| if draw("features of CAML's self-test", i as u64) >> 63 == 0 { length } else { -length };
    let features: Vec<Vec<f32>> = (0..labels).map(|l| (l * f..(l + 1) * f).map(value).collect()).collect();
    let features: Vec<&[f32]> = features.iter().map(Vec::as_slice).collect();
    let planned = Planned::new(gpu, checkpoint, [labels, labels], (&Store::new(), options)).await?;
    let logits = planned.logits(&features, &(0..labels).collect::<Vec<_>>(), &features)?;
    Ok(verdict(logits.iter().map(|row| said(row, reversed)).collect()))
}

fn said(logits: &[f32], reversed: bool) -> usize {
    let best = logits.iter().enumerate().reduce(|best, one| if one.1 > best.1 { one } else { best });
    let label = best.map_or(0, |b| b.0);
    if reversed { logits.len() - 1 - label } else { label }
}

fn verdict(said: Vec<usize>) -> Verdict {
    let all = |of: fn(usize, usize) -> usize| said.iter().enumerate().all(|(label, s)| *s == of(label, said.len()));
    match () {
        () if all(|label, _| label) => Verdict::Sound,
        () if all(|label, n| n - 1 - label) => Verdict::Flipped,
        () => Verdict::Other(said),
    }
}
