// Four channels of a row of a buffer, read at once: channels come in fours.

@group(0) @binding(2) var<storage, read> x: array<vec4f>;

fn quad_at(row: u32, plane: u32) -> vec4f {
    return x[row * (p.c / 4u) + plane];
}
