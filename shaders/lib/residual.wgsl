// A residual of the output's shape at binding 5, in a buffer.

@group(0) @binding(5) var<storage, read> z: array<f32>;

fn residual_at(element: u32) -> f32 {
    return z[element];
}
