//! Clocks: timestamps around every step of a run, and the host's where the adapter has none.

use super::gpu::Gpu;
use crate::error::Result;

/// A pair of timestamps per step.
pub(crate) struct Ticks {
    sets: Vec<wgpu::QuerySet>,
    resolved: wgpu::Buffer,
    staging: wgpu::Buffer,
    steps: usize,
}

/// The host's clock.
pub(crate) struct Stopwatch(std::time::Instant);

impl Stopwatch {
    pub(crate) fn start() -> Stopwatch {
        Stopwatch(std::time::Instant::now())
    }

    /// Nanoseconds since the start.
    pub(crate) fn ns(&self) -> f64 {
        self.0.elapsed().as_secs_f64() * 1e9
    }
}

/// Steps per query set: 4,096 queries are what WebGPU promises.
const STEPS: usize = 2048;

impl Ticks {
    /// Room for `steps` pairs.
    pub(crate) fn new(gpu: &Gpu, steps: usize) -> Ticks {
        let set = |_| {
            gpu.device.create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("ticks"),
                ty: wgpu::QueryType::Timestamp,
                count: 2 * STEPS as u32,
            })
        };
        let sets: Vec<_> = (0..steps.div_ceil(STEPS).max(1)).map(set).collect();
        let bytes = (sets.len() * STEPS * 16) as u64;
        let resolved = gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("ticks"),
            size: bytes,
            usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        });
        Ticks { sets, resolved, staging: gpu.staging(bytes), steps }
    }

    /// What the pass of step `k` writes.
    pub(crate) fn writes(&self, k: usize) -> wgpu::ComputePassTimestampWrites<'_> {
        let at = 2 * (k % STEPS) as u32;
        wgpu::ComputePassTimestampWrites {
            query_set: &self.sets[k / STEPS],
            beginning_of_pass_write_index: Some(at),
            end_of_pass_write_index: Some(at + 1),
        }
    }

    /// Makes them readable.
    pub(crate) fn resolve(&self, encoder: &mut wgpu::CommandEncoder) {
        for (i, set) in self.sets.iter().enumerate() {
            let used = (self.steps - i * STEPS).min(STEPS) as u32;
            encoder.resolve_query_set(set, 0..2 * used, &self.resolved, (i * STEPS * 16) as u64);
        }
        encoder.copy_buffer_to_buffer(&self.resolved, 0, &self.staging, 0, self.staging.size());
    }

    /// Begin, since the first step's, and duration of every step in nanoseconds.
    pub(crate) fn read(&self, gpu: &Gpu) -> Result<Vec<[f64; 2]>> {
        let words = gpu.read(&self.staging)?;
        let ticks: Vec<u64> = bytemuck::pod_collect_to_vec(bytemuck::cast_slice::<f32, u8>(&words));
        let period = f64::from(gpu.queue.get_timestamp_period());
        let first = ticks.first().copied().unwrap_or(0);
        let ns = |t: &[u64]| [t[0].saturating_sub(first), t[1].saturating_sub(t[0])].map(|t| t as f64 * period);
        Ok(ticks.chunks_exact(2).take(self.steps).map(ns).collect())
    }
}
