// A residual of the output's shape at binding 5, in a buffer: four channels at a time.

@group(0) @binding(5) var<storage, read> z: array<vec4f>;

fn residual_at(texel: vec2u, quad: u32) -> vec4f {
    return z[quad];
}
