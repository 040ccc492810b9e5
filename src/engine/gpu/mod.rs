//! The adapter: what there is, what it can do, and the open device with its pipelines.

mod adapters;
mod compile;
mod memory;

pub use adapters::{AdapterInfo, Choice, Kind, NO_ADAPTER, adapters, choose_of, chosen};
pub(crate) use compile::Pipeline;
pub(crate) use memory::{Place, Resource};

use super::form::Caps;
use crate::error::{Error, Result};
use crate::lock::lock;
use compile::Key;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// An open device.
#[derive(Debug)]
pub struct Gpu {
    pub(crate) device: wgpu::Device,
    pub(crate) queue: wgpu::Queue,
    /// The adapter it was opened on.
    pub info: AdapterInfo,
    /// What kernels may count on.
    pub caps: Caps,
    fault: Arc<Mutex<Option<Error>>>,
    pipelines: Mutex<HashMap<Key, Pipeline>>,
}

impl Gpu {
    /// Opens the adapter of that choice; `backends` restricts the search as in `vulkan,gl`.
    ///
    /// # Errors
    /// [`Error::Adapter`] when there is none, or it refuses.
    pub async fn new(choice: &Choice, backends: Option<&str>) -> Result<Gpu> {
        let (adapter, info) = adapters::choose(choice, backends).await?;
        let wanted = wgpu::Features::SUBGROUP | wgpu::Features::TIMESTAMP_QUERY;
        let desc = wgpu::DeviceDescriptor {
            label: Some("lupe"),
            required_features: adapter.features() & wanted,
            required_limits: adapter.limits(),
            memory_hints: wgpu::MemoryHints::MemoryUsage,
            ..Default::default()
        };
        let opened = adapter.request_device(&desc).await;
        let (device, queue) = opened.map_err(|e| Error::Adapter(format!("{} cannot be opened: {e}", info.title())))?;
        let fault = Arc::new(Mutex::new(None));
        watch(&device, &fault);
        let caps = info.caps;
        Ok(Gpu { device, queue, info, caps, fault, pipelines: Mutex::default() })
    }

    /// The first error that the device reported since the last call, if any.
    pub fn check(&self) -> Result<()> {
        match lock(&self.fault).take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Waits until all submitted work is done.
    pub(crate) fn wait(&self) -> Result<()> {
        self.wait_for(None)
    }

    /// Waits until that submission is done, all submitted work where there is none.
    fn wait_for(&self, submission_index: Option<wgpu::SubmissionIndex>) -> Result<()> {
        let until = wgpu::PollType::Wait { submission_index, timeout: None };
        self.device.poll(until).map_err(|e| Error::DeviceLost(e.to_string()))?;
        self.check()
    }

    /// Whether kernels can be timed one by one.
    pub fn timestamps(&self) -> bool {
        self.device.features().contains(wgpu::Features::TIMESTAMP_QUERY)
    }
}

/// Keeps the first error and a lost device where `check` finds them.
fn watch(device: &wgpu::Device, fault: &Arc<Mutex<Option<Error>>>) {
    let keep = |slot: &Mutex<Option<Error>>, error: Error| {
        lock(slot).get_or_insert(error);
    };
    let slot = fault.clone();
    device.on_uncaptured_error(Arc::new(move |e: wgpu::Error| {
        let error = match e {
            wgpu::Error::OutOfMemory { source } => Error::OutOfMemory(source.to_string()),
            other => Error::Gpu(other.to_string()),
        };
        keep(&slot, error);
    }));
    let slot = fault.clone();
    // A loss outranks what was reported before it. It is told of a device that is dropped, too, when nobody listens any more.
    device.set_device_lost_callback(move |_, message| {
        // wgpu gives a device up when memory runs out in a submission, and says why in words alone.
        let memory = message.to_lowercase().contains("out of memory");
        let error = if memory { Error::OutOfMemory(message) } else { Error::DeviceLost(message) };
        *lock(&slot) = Some(error);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Graph, Options, Plan, Store};
    use crate::tensor::Tensor;

    #[test]
    fn a_lost_device_is_an_error() {
        if std::env::var_os("LUPE_NO_GPU").is_some() {
            println!("LUPE_NO_GPU is set: skipped");
            return;
        }
        let gpu = pollster::block_on(Gpu::new(&Choice::Auto, None)).expect("an adapter");
        let graph = Graph::new();
        let y = graph.input("x", [4]).relu();
        let plan =
            pollster::block_on(Plan::new(&gpu, &graph, &[y], &Store::new(), Options::default())).expect("a plan");
        let x = Tensor::zeros([4]);
        pollster::block_on(plan.run(&[&x])).expect("a run");
        gpu.device.destroy();
        for _ in 0..2 {
            let error = pollster::block_on(plan.run(&[&x])).expect_err("the device is gone");
            assert!(matches!(error, Error::DeviceLost(_)), "{error:?}");
        }
    }
}
