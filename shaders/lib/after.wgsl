// The last candidate that an earlier round found for each query, at binding 6: only what comes after it is wanted.

@group(0) @binding(6) var<storage, read> found: array<vec2f>;

fn wanted(query: u32, key: f32, index: u32) -> bool {
    let last = found[query];
    return key > last.x || (key == last.x && f32(index) > last.y);
}
