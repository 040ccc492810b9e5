//! What both workers share: a generated network that is served.

#[path = "../../rs/src/lib.rs"]
#[allow(dead_code)]
mod peers;

use burn::tensor::Tensor;
pub use peers::{Result, Task};

/// The generated network `$name` served, its outputs joined by `$all`.
macro_rules! network {
    ($name:ident, $task:expr, $device:expr, $all:expr) => {{
        #[allow(warnings)]
        mod $name {
            include!(concat!(env!("OUT_DIR"), "/model/", stringify!($name), ".rs"));
        }
        let model = $name::Model::from_file(concat!(env!("OUT_DIR"), "/model/", stringify!($name), ".bpk"), $device);
        $task.serve(|| {
            let given = burn::tensor::TensorData::new($task.x.clone(), $task.shape);
            $all(model.forward(burn::tensor::Tensor::<4>::from_data(given, $device)))
        })
    }};
}
pub(crate) use network;

/// What is to be run, its name, and the device that it runs on.
pub fn task() -> Result<(Task, String, burn::tensor::Device)> {
    let task = Task::new()?;
    let name = task.model.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok((task, name, burn::tensor::Device::wgpu(burn::tensor::DeviceKind::DefaultDevice)))
}

pub fn values<const D: usize>(y: Tensor<D>) -> Result<Vec<f32>> {
    y.into_data().try_to_vec().map_err(|e| format!("{e:?}").into())
}
