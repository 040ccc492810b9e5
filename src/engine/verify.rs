//! A plan and the references side by side: the first dispatch that differs.

use super::gpu::Gpu;
use super::graph::{Graph, Var};
use super::lower::{Lowered, Origin, Role, lower_by};
use super::plan::{Fact, Options, Plan, Store, runtime_steps};
use crate::error::{Error, Result};
use crate::tensor::Tensor;
use std::sync::Arc;

/// Normalised mean square error above which a dispatch differs: sums in f32 stay below 1e-12.
pub const NMSE: f64 = 1e-9;

/// Error of one element, of the largest value's magnitude, above which a dispatch differs.
pub const WORST: f64 = 1e-4;

/// Where a dispatch and its reference differ.
#[derive(Clone, Debug)]
pub struct Difference {
    /// Number of the dispatch.
    pub step: usize,
    /// What it is.
    pub fact: Fact,
    /// The element that differs most.
    pub element: usize,
    /// Its value by the reference.
    pub expected: f32,
    /// Its value on the device.
    pub found: f32,
    /// Mean square error over the reference's mean square.
    pub nmse: f64,
}

/// Runs `outputs` of `graph` on the device dispatch by dispatch; each is compared with its op's reference on what it read there, so
/// that an error is seen where it is made. `progress` hears how many are done and may say no.
///
/// # Errors
/// As [`Plan::new`] and [`Plan::run`]; [`Error::Interrupted`] where `progress` says no.
pub async fn verify(
    gpu: &Gpu,
    graph: &Graph,
    outputs: &[Var<'_>],
    inputs: &[&Tensor],
    options: Options,
    progress: &mut dyn FnMut(usize, usize) -> bool,
) -> Result<Option<Difference>> {
    let choices = options.choices.clone();
    let plan = Plan::new(gpu, graph, outputs, &Store::new(), options).await?;
    let lowered = lower_by(graph, outputs, &gpu.caps, &choices)?;
    let steps: Vec<usize> = runtime_steps(&lowered).collect();
    let mut host = Host { values: vec![None; lowered.values.len()], lowered: &lowered, inputs };
    let mut different = None;
    plan.run_watched(inputs, |k, found| {
        let step = &lowered.steps[steps[k]];
        let expected = host.reference(steps[k])?;
        different = plan.facts().nth(k).and_then(|fact| compare(k, fact, &expected, &found));
        host.values[step.output] = Some(Arc::new(found));
        if !progress(k + 1, steps.len()) {
            return Err(Error::Interrupted(format!("{} of {} dispatches were compared", k + 1, steps.len())));
        }
        Ok(different.is_none())
    })?;
    Ok(different)
}

/// Values on the host: inputs, weights, and what dispatches wrote.
struct Host<'a> {
    values: Vec<Option<Arc<Tensor>>>,
    lowered: &'a Lowered,
    inputs: &'a [&'a Tensor],
}

impl Host<'_> {
    /// What step `s` should write, given what it read.
    fn reference(&mut self, s: usize) -> Result<Tensor> {
        let step = &self.lowered.steps[s];
        // A reference wants what was there before it was packed; a packing step is compared with its own reference.
        let read = |v: &usize| if step.role == Role::Helper { *v } else { self.unpacked(*v) };
        let read: Vec<usize> = step.inputs.iter().map(read).collect();
        let x = read.into_iter().map(|v| self.value(v)).collect::<Result<Vec<Arc<Tensor>>>>()?;
        let x: Vec<&Tensor> = x.iter().map(|t| &**t).collect();
        Ok(step.op.reference(&x, self.lowered.values[step.output].shape))
    }

    fn unpacked(&self, v: usize) -> usize {
        match self.lowered.values[v].origin {
            Origin::Step(s) if self.lowered.steps[s].role == Role::Helper => {
                self.unpacked(self.lowered.steps[s].inputs[0])
            }
            _ => v,
        }
    }

    fn value(&mut self, v: usize) -> Result<Arc<Tensor>> {
        if let Some(known) = &self.values[v] {
            return Ok(known.clone());
        }
        let made = match &self.lowered.values[v].origin {
            Origin::Input(i) => {
                let given = self.inputs.get(*i).ok_or_else(|| Error::Shape(format!("input {i} is not given")))?;
                Arc::new((*given).clone())
            }
            Origin::Weight(t) | Origin::State(t) => t.clone(),
            Origin::Step(s) | Origin::Updated { step: s, .. } => Arc::new(self.reference(*s)?),
            Origin::View { of, offset } => Arc::new(self.value(*of)?.view(*offset, self.lowered.values[v].shape)),
        };
        self.values[v] = Some(made.clone());
        Ok(made)
    }
}

fn compare(step: usize, fact: &Fact, expected: &Tensor, found: &Tensor) -> Option<Difference> {
    let (mut error, mut power, mut largest) = (0.0f64, 0.0f64, 0.0f64);
    let mut worst = (0, 0.0f64);
    for (i, (&e, &f)) in expected.data.iter().zip(&found.data).enumerate() {
        let same = e.to_bits() == f.to_bits() || (e.is_nan() && f.is_nan());
        let d = if same { 0.0 } else { (f64::from(e) - f64::from(f)).abs() };
        let d = if d.is_nan() { f64::INFINITY } else { d };
        if d > worst.1 {
            worst = (i, d);
        }
        if e.is_finite() {
            error += d * d;
            power += f64::from(e).powi(2);
            largest = largest.max(f64::from(e).abs());
        }
    }
    let nmse = if error == 0.0 { 0.0 } else { error / power.max(f64::MIN_POSITIVE) };
    let differs = nmse > NMSE || worst.1 > WORST * largest;
    let at = |t: &Tensor| t.data.get(worst.0).copied().unwrap_or(f32::NAN);
    differs.then(|| Difference {
        step,
        fact: fact.clone(),
        element: worst.0,
        expected: at(expected),
        found: at(found),
        nmse,
    })
}
