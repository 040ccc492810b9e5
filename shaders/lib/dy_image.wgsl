// The gradient by the output as an image.

@group(0) @binding(3) var dy: texture_storage_2d<rgba32float, read>;

// Where four channels lie in every pixel.
fn place_of(plane: u32) -> u32 {
    return plane * p.in1_plane_h + p.in1_pad;
}

// Those of pixel number q, which is (column, row, picture).
fn dy_at(at: vec3u, q: u32, place: u32) -> vec4f {
    return textureLoad(dy, vec2u(at.x + at.z * p.in1_plane_w + p.in1_pad, at.y + place));
}
