// y[q, :] = the best KEEP of the candidates x[q, s], sorted by key, ties by index     one invocation per query; flat grid
#import best
#import grid

const WG: u32 = 64u;
const KEEP: u32 = 4u;

struct Params { q: u32, s: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<vec2f>;
@group(0) @binding(2) var<storage, read> x: array<vec2f>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let query = flat_group(wg, grid) * WG + lane;
    if query >= p.q { return; }
    var best: array<vec2f, KEEP>;
    for (var t = 0u; t < KEEP; t++) { best[t] = nobody(); } // unroll
    for (var i = 0u; i < p.s; i++) {
        var v = x[query * p.s + i];
        for (var t = 0u; t < KEEP; t++) { // unroll
            let old = best[t];
            if v.x < old.x || (v.x == old.x && v.y < old.y) {
                best[t] = v;
                v = old;
            }
        }
    }
    for (var t = 0u; t < KEEP; t++) { y[query * KEEP + t] = best[t]; } // unroll
}
