//! What a plan needs, against what it may take; before anything is created.

use super::super::form::{Form, Geometry};
use super::super::gpu::Gpu;
use super::super::lower::{Lowered, Origin, Value};
use super::run::IN_FLIGHT;
use super::{Options, Store};
use crate::error::{Error, MemoryBound, Result};

/// Bytes that a plan needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Need {
    /// Slots, inputs, and outputs read back of as many runs as may be on their way.
    pub own: u64,
    /// These, and constants that are kept, and states: other plans may share them.
    pub all: u64,
}

/// What the plan needs.
pub(super) fn check(gpu: &Gpu, lowered: &Lowered, slots: u64, store: &Store, options: &Options) -> Result<Need> {
    for value in &lowered.values {
        let need = bytes(gpu, value);
        let (have, bound) = match value.form {
            Form::Buffer => (gpu.caps.binding_bytes, MemoryBound::Binding),
            Form::Image { .. } => (gpu.info.buffer_bytes, MemoryBound::Buffer),
        };
        if need > have {
            return Err(Error::Memory { need, have, bound, batch: false });
        }
    }
    let inputs = lowered.inputs.iter().map(|i| 4 * i.1.len() as u64).sum::<u64>();
    let outputs = lowered.outputs.iter().map(|&o| bytes(gpu, &lowered.values[o])).sum::<u64>();
    let constants = kept(lowered).map(|v| bytes(gpu, &lowered.values[v])).sum::<u64>();
    let making = lowered.values.iter().filter(|v| matches!(v.origin, Origin::Weight(_)));
    let making = making.filter(|v| store.get(v).is_none()).map(|v| bytes(gpu, v)).max().unwrap_or(0);
    let states = lowered.values.iter().filter(|v| matches!(v.origin, Origin::State(_))).map(|v| bytes(gpu, v));
    let own = slots + inputs + IN_FLIGHT as u64 * outputs;
    let need = own + constants + making + states.sum::<u64>();
    match options.limit_memory {
        Some(have) if need > have => Err(Error::Memory { need, have, bound: MemoryBound::Limit, batch: false }),
        _ => Ok(Need { own, all: need }),
    }
}

/// Constants that steps of a run, or the outputs, read, themselves or views of them.
pub(super) fn kept(lowered: &Lowered) -> impl Iterator<Item = usize> + '_ {
    let constant = |v: usize| lowered.values[v].constant.is_some();
    let mut read = vec![false; lowered.values.len()];
    let running = lowered.steps.iter().filter(|s| !constant(s.output)).flat_map(|s| &s.inputs);
    running.chain(&lowered.outputs).for_each(|&v| read[lowered.place(v).0] = true);
    (0..lowered.values.len()).filter(move |&v| read[v] && constant(v))
}

fn bytes(gpu: &Gpu, value: &Value) -> u64 {
    match value.form {
        Form::Buffer => 4 * value.shape.len() as u64,
        Form::Image { pad } => Geometry::new(value.shape, pad, gpu.caps.image_side).bytes(),
    }
}
