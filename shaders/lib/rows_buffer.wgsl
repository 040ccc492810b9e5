// The output, rows of p.row4 quads, as a buffer: quad number `plane` of a row.

@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;

fn put(row: u32, at: vec2u, plane: u32, v: vec4f) {
    y[row * p.row4 + plane] = v;
}
