// The input of a convolution of one tap and no padding as a buffer, four channels at a time.

@group(0) @binding(2) var<storage, read> x: array<vec4f>;

// Where the window of output pixel (x, y, picture) begins.
fn window_of(o: vec3u) -> vec2u {
    return vec2u(((o.z * p.h + o.y * p.stride_h) * p.w + o.x * p.stride_w) * p.cin4, 0u);
}

fn input_at(window: vec2u, tap: vec2u, plane: u32) -> vec4f {
    return x[window.x + plane];
}
