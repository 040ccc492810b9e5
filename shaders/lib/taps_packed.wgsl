// The gradient of a weight as [part, output channel, tap, quad of input channels].

@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;

// Quad unit.x of tap unit.y.
fn put(part: u32, channel: u32, unit: vec2u, v: vec4f) {
    y[((part * p.co + channel) * p.taps + unit.y) * p.cin4 + unit.x] = v;
}
