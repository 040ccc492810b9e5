// A bias per output channel at binding 4.

@group(0) @binding(4) var<storage, read> bias: array<f32>;

fn bias_at(channel: u32) -> f32 {
    return bias[channel];
}
