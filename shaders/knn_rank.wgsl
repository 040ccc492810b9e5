// y[q, rank] = the candidate of x[q, s] of that rank, for ranks below k: by distance (NaN first), then index, then place
// one invocation per candidate; flat grid
#import grid

const WG: u32 = 64u;

struct Params { candidates: u32, s: u32, k: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<vec2f>;
@group(0) @binding(2) var<storage, read> x: array<vec2f>;

// Not a number comes first.
fn key(v: f32) -> f32 {
    return select(v, -0x1.fffffep+127f, (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u);
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let i = flat_group(wg, grid) * WG + lane;
    if i >= p.candidates { return; }
    let query = i / p.s;
    let own = x[i];
    let own_key = key(own.x);
    var rank = 0u;
    for (var j = query * p.s; j < query * p.s + p.s; j++) {
        let other = x[j];
        let other_key = key(other.x);
        let first = other_key < own_key || (other_key == own_key && (other.y < own.y || (other.y == own.y && j < i)));
        rank += select(0u, 1u, first);
    }
    if rank < p.k { y[query * p.k + rank] = own; }
}
