//! Weights and what was packed from them, on the device: as long as the program lives, shared by its plans.

use super::super::constant::{Constant, Identity};
use super::super::form::{Family, Form};
use super::super::gpu::{Gpu, Place, Resource};
use super::super::lower::{Lowered, Origin, Role, Step, Value};
use super::budget::kept;
use super::step::{self, WINDOW};
use crate::error::{Error, Result};
use crate::lock::lock;
use crate::tensor::Tensor;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard};

/// Constants on the device, by the tensors that they are made of: one store serves any number of graphs, whatever their labels say.
#[derive(Debug, Default)]
pub struct Store {
    values: Mutex<HashMap<Key, Resource>>,
    states: Mutex<HashMap<Identity, Resource>>,
}

/// What a constant is, and its form: one weight may be kept in several.
type Key = (Arc<Constant>, Form);

/// Bytes of weights that are written before the device is waited for: what is only written is held in host memory until then.
pub(super) const AT_ONCE: u64 = 64 << 20;

impl Store {
    /// An empty store.
    pub fn new() -> Store {
        Store::default()
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Key, Resource>> {
        lock(&self.values)
    }

    /// Bytes that it holds.
    pub fn bytes(&self) -> u64 {
        let states: u64 = lock(&self.states).values().map(Resource::bytes).sum();
        self.all().values().map(Resource::bytes).sum::<u64>() + states
    }

    /// Where the state that began as that tensor lies, if a plan has it.
    pub(crate) fn state(&self, began: &Arc<Tensor>) -> Option<Resource> {
        lock(&self.states).get(&Identity::of(began)).cloned()
    }

    /// What the states that began as these tensors are now, once all submitted runs are done.
    ///
    /// # Errors
    /// [`Error::Gpu`] for one that no plan of this store has; [`Error::DeviceLost`] from the device.
    pub fn read(&self, gpu: &Gpu, began: &[Arc<Tensor>]) -> Result<Vec<Tensor>> {
        let one = |began: &Arc<Tensor>| {
            let state = self.state(began).ok_or_else(|| Error::Gpu("no plan has this state".into()))?;
            Ok(Tensor::new(began.shape, gpu.values(&state, began.shape)?))
        };
        began.iter().map(one).collect()
    }

    /// Puts `now` in the place of the state that began as `began`, before the runs that are submitted next.
    ///
    /// # Errors
    /// [`Error::Gpu`] where no plan of this store has it; [`Error::Shape`] for another shape.
    pub fn write(&self, gpu: &Gpu, began: &Arc<Tensor>, now: &Tensor) -> Result<()> {
        let state = self.state(began).ok_or_else(|| Error::Gpu("no plan has this state".into()))?;
        if now.shape != began.shape {
            return Err(Error::Shape(format!("a state of shape {} was to become one of {}", began.shape, now.shape)));
        }
        gpu.fill(&state, now);
        gpu.check()
    }

    /// Brings the states of a plan that are not here yet.
    fn prepare_states(&self, gpu: &Gpu, lowered: &Lowered, room: u64) -> Result<()> {
        let (mut states, mut written) = (lock(&self.states), 0);
        for value in &lowered.values {
            let Origin::State(tensor) = &value.origin else { continue };
            if let Entry::Vacant(free) = states.entry(Identity::of(tensor)) {
                let made = gpu.memory(&value.label, value.shape, Form::Buffer, 0);
                gpu.fill(&made, tensor);
                written += made.bytes();
                free.insert(made);
            }
            if written >= room {
                gpu.queue.submit([]);
                gpu.wait()?;
                written = 0;
            }
        }
        gpu.check()
    }

    pub(crate) fn get(&self, value: &Value) -> Option<Resource> {
        self.all().get(&key(value)?).cloned()
    }

    /// Computes every constant that runs read and that is not here yet; raw weights that only packing reads are released. `room`: bytes
    /// of weights that may be written before the device is waited for.
    pub(crate) fn prepare(&self, gpu: &Gpu, lowered: &Lowered, room: u64) -> Result<()> {
        let mut fresh = vec![];
        self.prepare_states(gpu, lowered, room)?;
        let made = self.prepare_missing(gpu, lowered, room, &mut fresh);
        if made.is_err() {
            fresh.iter().for_each(|key| drop(self.all().remove(key)));
        }
        made
    }

    /// `fresh`: what was made and not waited for yet.
    fn prepare_missing(&self, gpu: &Gpu, lowered: &Lowered, room: u64, fresh: &mut Vec<Key>) -> Result<()> {
        let mut written = 0;
        let settle = |fresh: &mut Vec<Key>| {
            gpu.queue.submit([]);
            gpu.wait().map(|()| fresh.clear())
        };
        for value in kept(lowered) {
            let Some(key) = key(&lowered.values[value]) else { continue };
            if !self.all().contains_key(&key) {
                let made = self.make(gpu, lowered, value, &mut written)?;
                self.all().insert(key.clone(), made);
                fresh.push(key);
                if written >= room {
                    settle(fresh)?;
                    written = 0;
                }
            }
        }
        if fresh.is_empty() { Ok(()) } else { settle(fresh) }
    }

    /// The memory of a constant, with what it needs; `written` counts bytes that were uploaded.
    fn make(&self, gpu: &Gpu, lowered: &Lowered, v: usize, written: &mut u64) -> Result<Resource> {
        let value = &lowered.values[v];
        if let Some(known) = self.get(value) {
            return Ok(known);
        }
        match &value.origin {
            Origin::Weight(tensor) => {
                let made = gpu.memory(&value.label, value.shape, value.form, 0);
                gpu.fill(&made, tensor);
                *written += made.bytes();
                Ok(made)
            }
            Origin::Step(s) => {
                let step = &lowered.steps[*s];
                let output = gpu.memory(&step.label, value.shape, value.form, 0);
                if let Some(packed) = packed_by_host(gpu, lowered, step) {
                    gpu.fill(&output, &packed);
                    *written += output.bytes();
                    return Ok(output);
                }
                let roots = step.inputs.iter().map(|&i| lowered.place(i).0);
                let inputs = roots.map(|i| Ok((i, self.make(gpu, lowered, i, written)?)));
                let inputs = inputs.collect::<Result<HashMap<usize, Resource>>>()?;
                dispatch(gpu, lowered, *s, &|k| if k == v { Some(&output) } else { inputs.get(&k) }, false, 0)?;
                Ok(output)
            }
            Origin::Input(_) | Origin::State(_) | Origin::View { .. } | Origin::Updated { .. } => {
                Err(Error::Gpu(format!("value {v} is no constant with memory of its own")))
            }
        }
    }
}

/// A step's value where it packs a weight and the device is the processor itself: such drivers load buffers lane by lane, and packing
/// on the host saves a fifth of the work of ResNet-18's start. Helpers only move elements: their references give the kernels' very bits.
fn packed_by_host(gpu: &Gpu, lowered: &Lowered, step: &Step) -> Option<Tensor> {
    let value = &lowered.values[step.output];
    let host = gpu.caps.family == Family::Software && step.role == Role::Helper && value.form.plain(value.shape);
    let weights = step.inputs.iter().map(|&v| match &lowered.values[v].origin {
        Origin::Weight(tensor) if host => Some(&**tensor),
        _ => None,
    });
    weights.collect::<Option<Vec<&Tensor>>>().map(|weights| step.op.reference(&weights, value.shape))
}

/// Runs one step by itself, right away; `memory` is that of values which are no views, `extra` bytes more than the value are bound of
/// every buffer.
pub(crate) fn dispatch<'a>(
    gpu: &Gpu,
    lowered: &Lowered,
    number: usize,
    memory: &dyn Fn(usize) -> Option<&'a Resource>,
    checked: bool,
    extra: u64,
) -> Result<()> {
    let step = &lowered.steps[number];
    let pipeline = gpu.pipeline(&step.kernel, checked)?;
    let words = step::words(lowered, step, &pipeline, gpu.caps.image_side)?;
    let params = gpu.device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("params"),
        size: WINDOW as u64,
        usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    gpu.queue.write_buffer(&params, 0, bytemuck::cast_slice(&words));
    let located = |k: usize| {
        let (root, before) = lowered.place(k);
        let resource = memory(root).ok_or_else(|| Error::Gpu(format!("value {k} has no memory")))?;
        Ok(Place { resource, offset: 4 * before as u64, bytes: 4 * lowered.values[k].shape.len() as u64 + extra })
    };
    let ready = step::ready(gpu, lowered, step, &pipeline, (&params, 0), located)?;
    let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    ready.record(&mut encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()));
    gpu.queue.submit([encoder.finish()]);
    gpu.check()
}

fn key(value: &Value) -> Option<Key> {
    Some((value.constant.clone()?, value.form))
}
