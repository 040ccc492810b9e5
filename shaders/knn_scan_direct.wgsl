// y[q, split, :] = the best KEEP rows of a split for query q: (half[row] - a[q].b[row], index)     one invocation per query and split; flat grid
#import best
#import grid
#import skip
#import after

const WG: u32 = 64u;
const KEEP: u32 = 4u;

struct Params { q: u32, m: u32, d: u32, split: u32, splits: u32, first: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<vec2f>;
@group(0) @binding(2) var<storage, read> a: array<f32>;
@group(0) @binding(3) var<storage, read> b: array<f32>;
@group(0) @binding(4) var<storage, read> half: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let i = flat_group(wg, grid) * WG + lane;
    if i >= p.q * p.splits { return; }
    let query = i / p.splits;
    let start = i % p.splits * p.split;
    let end = min(start + p.split, p.m);
    var keys: array<f32, KEEP>;
    var rows: array<f32, KEEP>;
    for (var t = 0u; t < KEEP; t++) { keys[t] = nobody().x; rows[t] = nobody().y; } // unroll
    for (var row = start; row < end; row++) {
        var dot = 0.0;
        for (var k = 0u; k < p.d; k += 8u) {
            for (var c = 0u; c < 8u; c++) { if k + c < p.d { dot = fma(a[query * p.d + k + c], b[row * p.d + k + c], dot); } } // unroll
        }
        var key = clean(half[row] - dot);
        var index = f32(row + p.first);
        if !skipped(query, row + p.first) && wanted(query, key, row + p.first) {
            for (var t = 0u; t < KEEP; t++) { // unroll
                if key < keys[t] {
                    let k0 = keys[t];
                    let r0 = rows[t];
                    keys[t] = key;
                    rows[t] = index;
                    key = k0;
                    index = r0;
                }
            }
        }
    }
    for (var t = 0u; t < KEEP; t++) { y[i * KEEP + t] = vec2f(keys[t], rows[t]); } // unroll
}
