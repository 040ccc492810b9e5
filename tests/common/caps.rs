//! Adapters that stand for those there are: for tests without a device.

use lupe::engine::{Caps, Family};

/// WebGPU's base limits, two vendors' GPUs (kernels order tiles by vendor), and the software driver at its three widths.
pub fn adapters() -> Vec<Caps> {
    let desktop = Caps {
        subgroup: Some(32),
        invocations: 1024,
        shared_bytes: 48 << 10,
        storage_buffers: 16,
        storage_textures: 8,
        binding_bytes: 2 << 30,
        image_side: 16384,
        ..Caps::BASE
    };
    let software = |lanes| Caps {
        family: Family::Software,
        subgroup: Some(lanes),
        invocations: 1024,
        shared_bytes: 32 << 10,
        storage_buffers: 32,
        storage_textures: 32,
        image_side: 16384,
        ..Caps::BASE
    };
    let intel = Caps { vendor: 0x8086, subgroup: None, ..desktop };
    vec![Caps::BASE, desktop, intel, software(4), software(8), software(16)]
}
