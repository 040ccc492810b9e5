//! Runs: inputs to the device, dispatches submitted, outputs back; two of a plan may be on their way at a time.

use super::super::gpu::Resource;
use super::Plan;
use crate::error::{Error, Result};
use crate::lock::lock;
use crate::tensor::Tensor;
use std::sync::{Arc, Mutex};

/// Runs of one plan that may be on their way at a time: while the host makes the inputs of one, the device computes the other.
pub(super) const IN_FLIGHT: usize = 2;

/// What the outputs of one run are read back through, one buffer each.
type Set = Vec<wgpu::Buffer>;

/// The sets of a plan, made as they are first needed.
#[derive(Debug, Default)]
pub(super) struct Sets {
    free: Vec<Set>,
    made: usize,
}

/// A run that was submitted: [`Plan::collect`] waits for it and gives its outputs. One that is dropped instead makes room for another.
#[derive(Debug)]
#[must_use = "its outputs are lost unless it is collected"]
pub struct Run {
    /// None once it is known to be unusable.
    set: Option<Set>,
    sets: Arc<Mutex<Sets>>,
    submission: wgpu::SubmissionIndex,
}

impl Drop for Run {
    fn drop(&mut self) {
        // What the device still copies there comes before what a later run will: the queue keeps their order.
        let mut sets = lock(&self.sets);
        match self.set.take() {
            Some(set) => sets.free.push(set),
            None => sets.made -= 1,
        }
    }
}

impl Plan<'_> {
    /// Runs once: inputs in the order declared, outputs in the order planned.
    ///
    /// # Errors
    /// As [`Plan::submit`] and [`Plan::collect`].
    pub async fn run(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        self.collect(self.submit(inputs)?)
    }

    /// Uploads the inputs, in the order declared, and submits a run without waiting for the device. Every bit of an input arrives as it
    /// is, of patterns that are no numbers as well.
    ///
    /// # Errors
    /// [`Error::Shape`] for an input of another shape; [`Error::Gpu`] where two runs of this plan are on their way already;
    /// [`Error::DeviceLost`], [`Error::OutOfMemory`] from the device.
    pub fn submit(&self, inputs: &[&Tensor]) -> Result<Run> {
        self.check_inputs(inputs)?;
        let set = self.free_set()?;
        self.write(inputs);
        let mut encoder = self.gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            self.steps.iter().for_each(|step| step.record(&mut pass));
        }
        self.end(encoder, set)
    }

    /// Waits for a run of this plan, however many were submitted after it, and gives its outputs in the order planned.
    ///
    /// # Errors
    /// [`Error::Gpu`] for a run of another plan; [`Error::DeviceLost`], [`Error::OutOfMemory`] from the device.
    pub fn collect(&self, mut run: Run) -> Result<Vec<Tensor>> {
        if !Arc::ptr_eq(&self.sets, &run.sets) {
            return Err(Error::Gpu("this run is of another plan".into()));
        }
        let set = run.set.take().unwrap_or_default(); // not for use again unless it is read without an error
        let words = self.gpu.read_all(&set, Some(run.submission.clone()))?;
        run.set = Some(set);
        Ok(self.outputs.iter().zip(words).map(|((shape, ..), data)| Tensor::new(*shape, data)).collect())
    }

    fn check_inputs(&self, inputs: &[&Tensor]) -> Result<()> {
        if inputs.len() != self.inputs.len() {
            return Err(Error::Shape(format!("{} inputs given, {} expected", inputs.len(), self.inputs.len())));
        }
        match inputs.iter().zip(&self.inputs).find(|(tensor, (_, shape, _))| tensor.shape != *shape) {
            Some((tensor, (name, shape, _))) => {
                Err(Error::Shape(format!("input {name}: {} given, {shape} expected", tensor.shape)))
            }
            None => Ok(()),
        }
    }

    /// Writes the inputs, if there are as many as declared and of their shapes.
    pub(super) fn upload(&self, inputs: &[&Tensor]) -> Result<()> {
        self.check_inputs(inputs)?;
        self.write(inputs);
        Ok(())
    }

    /// wgpu copies what is written on the queue, between what was submitted before and what is submitted next, so that a run on its way
    /// still reads its own: inputs need no second buffer.
    fn write(&self, inputs: &[&Tensor]) {
        for (tensor, (_, _, buffer)) in inputs.iter().zip(&self.inputs) {
            self.gpu.queue.write_buffer(buffer, 0, bytemuck::cast_slice(&tensor.data));
        }
    }

    /// Copies the outputs out, submits and reads them back.
    pub(super) fn finish(&self, encoder: wgpu::CommandEncoder) -> Result<Vec<Tensor>> {
        self.collect(self.end(encoder, self.free_set()?)?)
    }

    fn free_set(&self) -> Result<Set> {
        let mut sets = lock(&self.sets);
        if let Some(set) = sets.free.pop() {
            return Ok(set);
        }
        if sets.made == IN_FLIGHT {
            let message = format!("{IN_FLIGHT} runs of this plan are on their way; collect or drop one first");
            return Err(Error::Gpu(message));
        }
        sets.made += 1;
        Ok(self.outputs.iter().map(|(shape, ..)| self.gpu.staging(4 * shape.len() as u64)).collect())
    }

    /// Copies the outputs out and submits.
    fn end(&self, mut encoder: wgpu::CommandEncoder, set: Set) -> Result<Run> {
        for ((_, resource, offset), staging) in self.outputs.iter().zip(&set) {
            if let Resource::Buffer(buffer) = resource {
                encoder.copy_buffer_to_buffer(buffer, *offset, staging, 0, staging.size());
            }
        }
        let submission = self.gpu.queue.submit([encoder.finish()]);
        let run = Run { set: Some(set), sets: self.sets.clone(), submission };
        self.gpu.check().map(|()| run)
    }
}
