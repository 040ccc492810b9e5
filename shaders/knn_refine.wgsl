// y = x with the distance of every candidate whose row is in this bank computed from the vectors     one invocation per candidate; flat grid
#import four
#import grid

alias T = f32; // or vec4f
const WG: u32 = 64u;
const COSINE: bool = false;
const ROOT: bool = false;

struct Params { candidates: u32, s: u32, d: u32, d4: u32, m: u32, first: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<vec2f>;
@group(0) @binding(2) var<storage, read> a: array<T>;
@group(0) @binding(3) var<storage, read> b: array<T>;
@group(0) @binding(4) var<storage, read> x: array<vec2f>;

fn total(v: vec4f) -> f32 {
    return (v.x + v.y) + (v.z + v.w);
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let i = flat_group(wg, grid) * WG + lane;
    if i >= p.candidates { return; }
    let candidate = x[i];
    y[i] = candidate;
    if candidate.y < f32(p.first) || candidate.y >= f32(p.first + p.m) { return; }
    let row = u32(candidate.y) - p.first;
    let query = i / p.s;
    var sums: array<vec4f, 3>;
    for (var k = 0u; k < p.d4; k++) {
        let q = query4(query, k);
        let m = bank4(row, k);
        if COSINE {
            sums[0] += q * m;
            sums[1] += q * q;
            sums[2] += m * m;
        } else {
            sums[0] += (q - m) * (q - m);
        }
    }
    var distance = total(sums[0]);
    if COSINE {
        distance = 1.0 - distance / (max(sqrt(total(sums[1])), 1e-12) * max(sqrt(total(sums[2])), 1e-12));
    } else if ROOT {
        distance = sqrt(distance);
    }
    y[i] = vec2f(distance, candidate.y);
}
