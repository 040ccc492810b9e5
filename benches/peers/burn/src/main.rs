//! burn on wgpu as a worker: WGSL kernels on the same driver as Lupe, fusion and autotune as they come.
#![recursion_limit = "512"]

use burn::tensor::{Device, DeviceKind, Tensor, TensorData};
use peers::{Result, Task};

#[path = "../../rs/src/lib.rs"]
#[allow(dead_code)]
mod peers;

/// The generated network `$name` served, its outputs joined by `$all`.
macro_rules! network {
    ($name:ident, $task:expr, $device:expr, $all:expr) => {{
        #[allow(warnings)]
        mod $name {
            include!(concat!(env!("OUT_DIR"), "/model/", stringify!($name), ".rs"));
        }
        let model = $name::Model::from_file(concat!(env!("OUT_DIR"), "/model/", stringify!($name), ".bpk"), $device);
        $task.serve(|| {
            let x = Tensor::<4>::from_data(TensorData::new($task.x.clone(), $task.shape), $device);
            $all(model.forward(x))
        })
    }};
}

fn values<const D: usize>(y: Tensor<D>) -> Result<Vec<f32>> {
    y.into_data().try_to_vec().map_err(|e| format!("{e:?}").into())
}

fn main() -> Result<()> {
    let (task, device) = (Task::new()?, &Device::wgpu(DeviceKind::DefaultDevice));
    let name = task.model.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let two = |(a, b): (Tensor<4>, Tensor<4>)| -> Result<Vec<f32>> { Ok([values(a)?, values(b)?].concat()) };
    match name.as_str() {
        "resnet18_b1" => network!(resnet18_b1, task, device, values),
        "resnet18_b8" => network!(resnet18_b8, task, device, values),
        "resnet50_b4" => network!(resnet50_b4, task, device, values),
        "wide_resnet50_2" => network!(wide_resnet50_2, task, device, values),
        "wide_resnet50_2_layer3" => network!(wide_resnet50_2_layer3, task, device, two),
        "pdn_s" => network!(pdn_s, task, device, values),
        "conv64" => network!(conv64, task, device, values),
        "conv128" => network!(conv128, task, device, values),
        "conv256" => network!(conv256, task, device, values),
        "conv512" => network!(conv512, task, device, values),
        _ => Err(format!("there is no network {name}").into()),
    }
}
