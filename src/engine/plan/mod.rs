//! A plan: a graph turned once into a list of dispatches over fixed memory, and replayed at every run.

mod budget;
mod fact;
mod run;
pub(crate) mod step;
mod store;
mod timeline;

pub use fact::Fact;
pub use run::Run;
pub use store::Store;
pub(crate) use store::dispatch;
pub use timeline::Timeline;

use super::choices::Choices;
use super::form::{Form, Geometry};
use super::gpu::{Gpu, Pipeline, Place, Resource};
use super::graph::{Graph, Var};
use super::lower::{Lowered, Origin, lower_by};
use super::profile::{Stopwatch, Ticks};
use super::slots::{Lifetime, assign_slots};
use crate::error::{Error, Result};
use crate::tensor::{Shape, Tensor};
use run::Sets;
use std::sync::{Arc, Mutex};
use step::{Ready, WINDOW};

/// How to plan.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Bytes of device memory that the plan and its weights may take.
    pub limit_memory: Option<u64>,
    /// Which candidate a node gets.
    pub choices: Choices,
}

/// A graph ready to run on a device.
#[derive(Debug)]
pub struct Plan<'g> {
    gpu: &'g Gpu,
    steps: Vec<Ready>,
    inputs: Vec<(String, Shape, wgpu::Buffer)>,
    /// Shape, memory, and the byte at which it begins there.
    outputs: Vec<(Shape, Resource, u64)>,
    sets: Arc<Mutex<Sets>>,
    slots: Vec<(u64, Option<Geometry>)>,
    need: budget::Need,
    timeline: Timeline,
}

/// One run with its times.
#[derive(Debug)]
pub struct Timed {
    /// Outputs, as of [`Plan::run`].
    pub outputs: Vec<Tensor>,
    /// Nanoseconds of every dispatch, in the order of [`Plan::facts`].
    pub ns: Vec<f64>,
    /// When each began, since the first did.
    pub begins: Vec<f64>,
}

/// One run as it always is, with what its parts take, in nanoseconds of the host's clock.
#[derive(Clone, Copy, Debug)]
pub struct Parts {
    /// Inputs to the device.
    pub upload: f64,
    /// All dispatches in one pass, submitted and waited for.
    pub compute: f64,
    /// Outputs to the host.
    pub read_back: f64,
    /// The pass alone by the device's clock, where it has one.
    pub pass: Option<f64>,
}

/// Which slot kind a value belongs to: buffers are shared by size, images only within one geometry.
type SlotKind = Option<Geometry>;

impl<'g> Plan<'g> {
    /// Plans `outputs` of `graph`. What depends on weights alone is computed now and kept in `store`.
    ///
    /// # Errors
    /// [`Error::Shape`] for a malformed graph, [`Error::Memory`] before anything is created if the plan needs more than
    /// it may take, [`Error::Shader`] if a kernel cannot run here.
    pub async fn new(
        gpu: &'g Gpu,
        graph: &Graph,
        outputs: &[Var<'_>],
        store: &Store,
        options: Options,
    ) -> Result<Plan<'g>> {
        let watch = Stopwatch::start();
        let lowered = lower_by(graph, outputs, &gpu.caps, &options.choices)?;
        let (slot_of, slots) = slots(gpu, &lowered);
        let slot_bytes: u64 = slots.iter().map(|s| s.0).sum();
        let need = budget::check(gpu, &lowered, slot_bytes, store, &options)?;
        let room = options.limit_memory.map_or(store::AT_ONCE, |have| store::AT_ONCE.min(have - need.all));
        let lowering = watch.ns();
        let kernels = || runtime_steps(&lowered).map(|s| &lowered.steps[s].kernel);
        let prepare = || store.prepare(gpu, &lowered, room).map(|()| watch.ns());
        let prepared = gpu.pipelines_beside(kernels(), prepare).await?;
        let pipelines = kernels().map(|k| gpu.pipeline(k, false)).collect::<Result<Vec<Pipeline>>>()?;
        let compiled = watch.ns();
        let memory: Vec<Resource> = slots.iter().map(|slot| slot_memory(gpu, slot)).collect();
        let input = |(name, shape): &(String, Shape)| (name.clone(), *shape, gpu.buffer(name, 4 * shape.len() as u64));
        let inputs = lowered.inputs.iter().map(input).collect();
        let timeline = Timeline::default();
        let sets = Arc::default();
        let mut plan = Plan { gpu, steps: vec![], inputs, outputs: vec![], sets, slots, need, timeline };
        plan.bind(&lowered, store, (&slot_of, &memory), &pipelines)?;
        gpu.check()?;
        plan.timeline = Timeline::of([lowering, prepared, compiled, watch.ns()]);
        let (n, timeline) = (plan.steps.len(), plan.timeline);
        log::debug!("{n} dispatches, slots {slot_bytes} bytes, {} bytes in all; {timeline:.0?}", need.all);
        Ok(plan)
    }

    /// Makes the runtime steps and finds the outputs.
    fn bind(
        &mut self,
        lowered: &Lowered,
        store: &Store,
        (slot_of, memory): (&[Option<usize>], &[Resource]),
        pipelines: &[Pipeline],
    ) -> Result<()> {
        let located = self.located(lowered, store, (slot_of, memory));
        let steps: Vec<usize> = runtime_steps(lowered).collect();
        let uniform = self.gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("params"),
            size: (WINDOW * steps.len().max(1)) as u64,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let place = |v: usize| {
            let (root, before) = lowered.place(v);
            let resource = located[root].as_ref().map_err(|e| Error::Gpu(e.to_string()))?;
            Ok(Place { resource, offset: 4 * before as u64, bytes: 4 * lowered.values[v].shape.len() as u64 })
        };
        let mut words = vec![0u32; WINDOW / 4 * steps.len().max(1)];
        for (k, (&s, pipeline)) in steps.iter().zip(pipelines).enumerate() {
            let step = &lowered.steps[s];
            let window = step::words(lowered, step, pipeline, self.gpu.caps.image_side)?;
            words[WINDOW / 4 * k..][..window.len()].copy_from_slice(&window);
            let at = (&uniform, (WINDOW * k) as u64);
            let mut ready = step::ready(self.gpu, lowered, step, pipeline, at, place)?;
            ready.fact.slot = slot_of[k];
            self.steps.push(ready);
        }
        self.gpu.queue.write_buffer(&uniform, 0, bytemuck::cast_slice(&words));
        for &o in &lowered.outputs {
            let Place { resource, offset, .. } = place(o)?;
            self.outputs.push((lowered.values[o].shape, resource.clone(), offset));
        }
        Ok(())
    }

    /// The memory of every value that a run touches; none of views, and of what only constants are made of.
    fn located(
        &self,
        lowered: &Lowered,
        store: &Store,
        (slot_of, memory): (&[Option<usize>], &[Resource]),
    ) -> Vec<Result<Resource>> {
        let inputs: Vec<Resource> = self.inputs.iter().map(|i| Resource::Buffer(i.2.clone())).collect();
        let steps: Vec<usize> = runtime_steps(lowered).collect();
        let slot_at = |s: usize| steps.iter().position(|&k| k == s).and_then(|k| slot_of[k]).map(|k| &memory[k]);
        let locate = |v: usize| -> Result<Resource> {
            let value = &lowered.values[v];
            let found = match (&value.constant, &value.origin) {
                (Some(_), _) => store.get(value),
                (None, Origin::Input(i)) => inputs.get(*i).cloned(),
                (None, Origin::Step(s)) => slot_at(*s).cloned(),
                (None, Origin::State(tensor)) => store.state(tensor),
                (None, Origin::Weight(_) | Origin::View { .. } | Origin::Updated { .. }) => None,
            };
            found.ok_or_else(|| Error::Gpu(format!("value {v} of the plan has no memory")))
        };
        (0..lowered.values.len()).map(locate).collect()
    }

    /// Number of dispatches of a run, converts counted.
    pub fn dispatches(&self) -> usize {
        self.steps.len()
    }

    /// Bytes of device memory that the plan and its weights take.
    pub fn bytes(&self) -> u64 {
        self.need.all
    }

    /// Those of them that no other plan on the same store shares.
    pub fn own_bytes(&self) -> u64 {
        self.need.own
    }

    /// Every dispatch, in order.
    pub fn facts(&self) -> impl Iterator<Item = &Fact> {
        self.steps.iter().map(|s| &s.fact)
    }

    /// How long it took to make.
    pub fn timeline(&self) -> Timeline {
        self.timeline
    }

    /// Bytes of every slot and, of images, their geometry.
    pub fn slots(&self) -> &[(u64, Option<Geometry>)] {
        &self.slots
    }

    /// Runs once with a pass and a pair of timestamps per step; where the adapter has no timestamps, every pass is submitted and waited
    /// for by itself, and the times are the host's.
    ///
    /// # Errors
    /// As [`Plan::run`].
    pub async fn run_timed(&self, inputs: &[&Tensor]) -> Result<Timed> {
        self.upload(inputs)?;
        let device = &self.gpu.device;
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        if !self.gpu.timestamps() {
            let (watch, mut begins, mut ns) = (Stopwatch::start(), vec![], vec![]);
            for step in &self.steps {
                begins.push(watch.ns());
                self.alone(step)?;
                ns.push(watch.ns() - begins.last().copied().unwrap_or(0.0));
            }
            return Ok(Timed { outputs: self.finish(encoder)?, ns, begins });
        }
        let ticks = Ticks::new(self.gpu, self.steps.len());
        for (k, step) in self.steps.iter().enumerate() {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                label: Some(&step.fact.label),
                timestamp_writes: Some(ticks.writes(k)),
            });
            step.record(&mut pass);
        }
        ticks.resolve(&mut encoder);
        let outputs = self.finish(encoder)?;
        let (begins, ns) = ticks.read(self.gpu)?.into_iter().map(|[begin, ns]| (begin, ns)).unzip();
        Ok(Timed { outputs, ns, begins })
    }

    /// Runs step by step and gives `each` the number and the value of every dispatch, until it says no.
    ///
    /// # Errors
    /// As [`Plan::run`].
    pub(crate) fn run_watched(
        &self,
        inputs: &[&Tensor],
        mut each: impl FnMut(usize, Tensor) -> Result<bool>,
    ) -> Result<()> {
        self.upload(inputs)?;
        for (k, step) in self.steps.iter().enumerate() {
            self.alone(step)?;
            let shape = step.fact.shape;
            if !each(k, Tensor::new(shape, self.gpu.values(&step.output, shape)?))? {
                break;
            }
        }
        Ok(())
    }

    /// Runs once part by part, each waited for.
    ///
    /// # Errors
    /// As [`Plan::run`].
    pub async fn run_in_parts(&self, inputs: &[&Tensor]) -> Result<(Vec<Tensor>, Parts)> {
        let device = &self.gpu.device;
        let ticks = self.gpu.timestamps().then(|| Ticks::new(self.gpu, 1));
        let watch = Stopwatch::start();
        self.upload(inputs)?;
        self.gpu.queue.submit([]);
        self.gpu.wait()?;
        let upload = watch.ns();
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        {
            let timestamp_writes = ticks.as_ref().map(|t| t.writes(0));
            let mut pass =
                encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some("run"), timestamp_writes });
            self.steps.iter().for_each(|step| step.record(&mut pass));
        }
        self.gpu.queue.submit([encoder.finish()]);
        self.gpu.wait()?;
        let compute = watch.ns() - upload;
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        if let Some(ticks) = &ticks {
            ticks.resolve(&mut encoder);
        }
        let outputs = self.finish(encoder)?;
        let read_back = watch.ns() - upload - compute;
        let pass = match &ticks {
            Some(ticks) => ticks.read(self.gpu)?.first().map(|t| t[1]),
            None => None,
        };
        Ok((outputs, Parts { upload, compute, read_back, pass }))
    }

    /// One dispatch in a submission of its own, waited for.
    fn alone(&self, step: &Ready) -> Result<()> {
        let mut encoder = self.gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        step.record(&mut encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()));
        self.gpu.queue.submit([encoder.finish()]);
        self.gpu.wait()
    }
}

/// Steps that run at every run.
pub(crate) fn runtime_steps(lowered: &Lowered) -> impl Iterator<Item = usize> {
    (0..lowered.steps.len()).filter(|&s| lowered.values[lowered.steps[s].output].constant.is_none())
}

/// A slot for every runtime step that has its output to itself, in the order of the steps, and all slots.
fn slots(gpu: &Gpu, lowered: &Lowered) -> (Vec<Option<usize>>, Vec<(u64, SlotKind)>) {
    let lifetimes = lifetimes(gpu, lowered);
    let own: Vec<Lifetime<SlotKind>> = lifetimes.iter().flatten().cloned().collect();
    let (slot_of, slots) = assign_slots(&own);
    let mut slot_of = slot_of.into_iter();
    (lifetimes.iter().map(|l| l.as_ref().and_then(|_| slot_of.next())).collect(), slots)
}

/// Lifetime of the output of every runtime step, views of it included, in the order of the steps; none where it lies in a state.
fn lifetimes(gpu: &Gpu, lowered: &Lowered) -> Vec<Option<Lifetime<SlotKind>>> {
    let steps: Vec<usize> = runtime_steps(lowered).collect();
    let lifetime = |(k, &s): (usize, &usize)| {
        let output = lowered.steps[s].output;
        if lowered.place(output).0 != output {
            return None;
        }
        let value = &lowered.values[output];
        let here = |v: &usize| lowered.place(*v).0 == output;
        let last = steps.iter().rposition(|&r| lowered.steps[r].inputs.iter().any(here)).unwrap_or(k);
        let to = if lowered.outputs.iter().any(here) { usize::MAX } else { last };
        let (bytes, kind) = match value.form {
            Form::Buffer => (4 * value.shape.len() as u64, None),
            Form::Image { pad } => {
                let g = Geometry::new(value.shape, pad, gpu.caps.image_side);
                (g.bytes(), Some(g))
            }
        };
        Some(Lifetime { from: k, to, bytes, kind })
    };
    steps.iter().enumerate().map(lifetime).collect()
}

fn slot_memory(gpu: &Gpu, (bytes, kind): &(u64, SlotKind)) -> Resource {
    match kind {
        Some(geometry) => gpu.image("slot", *geometry),
        None => Resource::Buffer(gpu.buffer("slot", *bytes)),
    }
}
