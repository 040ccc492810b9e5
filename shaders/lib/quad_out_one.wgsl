// Four channels of a row of a buffer, written one by one: none beyond the last.

@group(0) @binding(1) var<storage, read_write> y: array<f32>;

fn put_quad(row: u32, plane: u32, v: vec4f) {
    for (var k = 0u; k < 4u; k++) { // unroll
        if plane * 4u + k < p.c { y[row * p.c + plane * 4u + k] = v[k]; }
    }
}
