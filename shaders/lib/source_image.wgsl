// The input of a convolution as an image with a ring of zeros, so that no tap needs a test.

@group(0) @binding(2) var x: texture_storage_2d<rgba32float, read>;

// Where the window of output pixel (x, y, picture) begins.
fn window_of(o: vec3u) -> vec2u {
    return vec2u(o.z * p.in0_plane_w, 0u) + o.xy * vec2u(p.stride_w, p.stride_h) + p.in0_pad - vec2u(p.pad_left, p.pad_top);
}

fn input_at(window: vec2u, tap: vec2u, plane: u32) -> vec4f {
    return textureLoad(x, window + tap + vec2u(0u, plane * p.in0_plane_h));
}
