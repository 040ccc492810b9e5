// The gradient of a weight as weights lie, [output channel, input channel, tap]: of a sum of one part.

@group(0) @binding(1) var<storage, read_write> y: array<f32>;

// Quad unit.x of tap unit.y.
fn put(part: u32, channel: u32, unit: vec2u, v: vec4f) {
    let first = channel * p.ci + 4u * unit.x;
    for (var c = 0u; c < 4u; c++) { // unroll
        if 4u * unit.x + c < p.ci { y[(first + c) * p.taps + unit.y] = v[c]; }
    }
}
