// The gradient by the output as a buffer, channels in fours.

@group(0) @binding(3) var<storage, read> dy: array<vec4f>;

// Where four channels lie in every pixel.
fn place_of(plane: u32) -> u32 {
    return plane;
}

// Those of pixel number q, which is (column, row, picture).
fn dy_at(at: vec3u, q: u32, place: u32) -> vec4f {
    return dy[q * p.co4 + place];
}
