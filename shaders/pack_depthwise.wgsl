// y[quad, tap, i] = w[4 quad + i, tap], zero beyond the channels     one invocation per element; flat grid
#import grid

const WG: u32 = 64u;

struct Params { c: u32, taps: u32, elements: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let i = flat_group(wg, grid) * WG + lane;
    if i >= p.elements { return; }
    let c = i / 4u / p.taps * 4u + i % 4u;
    var v = 0.0;
    if c < p.c { v = w[c * p.taps + i / 4u % p.taps]; }
    y[i] = v;
}
