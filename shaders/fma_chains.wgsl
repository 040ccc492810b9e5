// y = mean of eight chains v = v / 2 + x, `rounds` long: what arithmetic gives at most     one invocation per four elements; flat grid
#import grid

const WG: u32 = 64u;
const CHAINS: u32 = 8u; // side by side; 8 in all
const STEPS: u32 = 8u; // written out

struct Params { len: u32, trips: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(2) var<storage, read> x: array<vec4f>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let i = flat_group(wg, grid) * WG + lane;
    if i >= p.len { return; }
    let b = x[i];
    var sum = vec4f(0.0);
    for (var first = 0u; first < 8u; first += CHAINS) {
        var v: array<vec4f, CHAINS>;
        for (var c = 0u; c < CHAINS; c++) { // unroll
            v[c] = b * (1.0 + 0.125 * f32(first + c));
        }
        for (var t = 0u; t < p.trips; t++) {
            for (var s = 0u; s < STEPS; s++) { // unroll
                for (var c = 0u; c < CHAINS; c++) { v[c] = fma(v[c], vec4f(0.5), b); } // unroll
            }
        }
        for (var c = 0u; c < CHAINS; c++) { sum += v[c]; } // unroll
    }
    y[i] = 0.125 * sum;
}
