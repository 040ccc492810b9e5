//! burn on wgpu as a worker: WGSL kernels on the same driver as Lupe, fusion and autotune as they come.
#![recursion_limit = "512"]

mod network;

use burn::tensor::Tensor;
use network::{Result, network, task, values};

fn main() -> Result<()> {
    let (task, name, device) = task()?;
    let device = &device;
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
