//! Adapters that stand for those there are: for tests without a device.

use lupe::engine::Caps;
use lupe::engine::form::typical;

/// WebGPU's base limits, two vendors' GPUs (kernels order tiles by vendor), and the software driver at its three widths.
pub fn adapters() -> Vec<Caps> {
    typical().into_iter().map(|a| a.1).collect()
}
