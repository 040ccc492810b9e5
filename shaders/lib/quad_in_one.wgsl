// Four channels of a row of a buffer, read one by one: zeros beyond the last.

@group(0) @binding(2) var<storage, read> x: array<f32>;

fn quad_at(row: u32, plane: u32) -> vec4f {
    var v = vec4f(0.0);
    for (var k = 0u; k < 4u; k++) { // unroll
        if plane * 4u + k < p.c { v[k] = x[row * p.c + plane * 4u + k]; }
    }
    return v;
}
