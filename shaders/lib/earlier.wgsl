// What an earlier part gave, at binding 4.

@group(0) @binding(4) var<storage, read> before: array<f32>;

fn earlier(i: u32) -> f32 {
    return before[i];
}
