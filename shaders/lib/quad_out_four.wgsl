// Four channels of a row of a buffer, written at once: channels come in fours.

@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;

fn put_quad(row: u32, plane: u32, v: vec4f) {
    y[row * (p.c / 4u) + plane] = v;
}
