//! Whether a device computes correctly: a few cases of every kind of kernel that networks and methods rely on, against their references.

use crate::engine::Gpu;
use crate::engine::probe::{labels, probe};
use crate::error::{Error, Result};
use crate::ops::{self, Case, Fill};
use crate::tensor::Tensor;
use std::collections::BTreeMap;

/// Ops whose kernels are tested.
const OPS: [&str; 7] = ["conv", "convert", "coreset", "knn", "matmul", "patch", "pool"];

/// Floating-point operations of the largest case that is tested.
const LARGEST: u64 = 4_000_000;

/// The cases for [`run`].
pub fn cases() -> Vec<Case> {
    ops::cases().into_iter().filter(|c| OPS.contains(&c.0)).flat_map(|c| c.1).collect()
}

/// Called with every kernel before it is run: its number, how many there are, and its label.
pub type Begun<'b> = dyn FnMut(usize, usize, &str) -> Result<()> + 'b;

/// Runs each kind of kernel that comes first for one of `cases`, at its largest case, and compares it with its reference, from number
/// `first` on. A kind is a shader and a window: compiling every variant would take seconds, and tiles and epilogues differ little.
///
/// # Errors
/// [`Error::Numeric`] says which kernel differs first, and where; others as for [`probe`] and `begun`.
pub fn run(gpu: &Gpu, cases: &[Case], first: usize, begun: &mut Begun<'_>) -> Result<()> {
    let kinds = kinds(gpu, cases)?;
    for (number, (label, case)) in kinds.iter().enumerate().skip(first) {
        begun(number, kinds.len(), label)?;
        one(gpu, case).map_err(|e| match e {
            Error::Numeric(what) => Error::Numeric(format!("{label}: {what}")),
            other => other,
        })?;
    }
    Ok(())
}

/// The kinds by their labels, each with its largest case.
fn kinds<'c>(gpu: &Gpu, cases: &'c [Case]) -> Result<Vec<(String, &'c Case)>> {
    let mut largest: BTreeMap<String, (u64, &Case)> = BTreeMap::new();
    let window = |word: &&str| word.starts_with("kh") || word.starts_with("kw");
    for case in cases.iter().filter(|c| c.fill != Fill::NonFinite) {
        let flops = case.op.flops(&case.inputs, case.output().map_err(Error::Shape)?);
        let first = labels(gpu, &*case.op, &case.inputs)?.into_iter().next().filter(|_| flops <= LARGEST);
        let Some(label) = first else { continue };
        let words: Vec<&str> =
            label.split(' ').enumerate().filter(|(i, w)| *i == 0 || window(w)).map(|w| w.1).collect();
        let known = largest.entry(words.join(" ")).or_insert((flops, case));
        if flops > known.0 {
            *known = (flops, case);
        }
    }
    Ok(largest.into_iter().map(|(label, (_, case))| (label, case)).collect())
}

fn one(gpu: &Gpu, case: &Case) -> Result<()> {
    let inputs = case.tensors();
    let inputs: Vec<&Tensor> = inputs.iter().collect();
    let want = case.op.reference(&inputs, case.output().map_err(Error::Shape)?);
    let seen = probe(gpu, &case.op, 0, &inputs, false)?;
    match seen.trespasses.into_iter().next() {
        Some(trespass) => Err(Error::Numeric(trespass)),
        None => case.compare(&seen.output, &want).map_err(Error::Numeric),
    }
}
