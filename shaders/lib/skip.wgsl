// Rows that each query leaves out, from and up to, at binding 5.

@group(0) @binding(5) var<storage, read> skips: array<vec2f>;

fn skipped(query: u32, index: u32) -> bool {
    let range = skips[query];
    return f32(index) >= range.x && f32(index) < range.y;
}
