//! burn on wgpu as a worker for vision transformers: a program of its own, so that a network that burn's generator refuses costs no other.
#![recursion_limit = "512"]

mod network;

use network::{Result, network, task, values};

fn main() -> Result<()> {
    let (task, name, device) = task()?;
    let device = &device;
    match name.as_str() {
        "vit_s16_b1" => network!(vit_s16_b1, task, device, values),
        "vit_s14_448" => network!(vit_s14_448, task, device, values),
        _ => Err(format!("there is no network {name}").into()),
    }
}
