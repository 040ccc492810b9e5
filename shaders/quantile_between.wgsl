// y[r] = between the numbers of the lower and the upper key of row r, by weight     one invocation per row; flat grid
#import grid

const WG: u32 = 64u;

struct Params { rows: u32, weight: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> keys: array<vec4u>; // lower key, its rank, upper key, its rank

fn number(key: u32) -> f32 {
    return bitcast<f32>(key ^ select(0xffffffffu, 0x80000000u, key >= 0x80000000u));
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let r = flat_group(wg, grid) * WG + lane;
    if r >= p.rows { return; }
    let low = number(keys[r].x);
    let high = number(keys[r].z);
    // From the nearer end, and without arithmetic where both are one: infinities stay.
    if low == high || p.weight == 0.0 {
        y[r] = low;
    } else if p.weight < 0.5 {
        y[r] = low + p.weight * (high - low);
    } else {
        y[r] = high - (high - low) * (1.0 - p.weight);
    }
}
