// The output, rows of p.row4 quads, as an image: quad number `plane` of a row that lies at `at` in plane 0.

@group(0) @binding(1) var y: texture_storage_2d<rgba32float, write>;

fn put(row: u32, at: vec2u, plane: u32, v: vec4f) {
    textureStore(y, at + vec2u(0u, plane * p.out_plane_h), v);
}
