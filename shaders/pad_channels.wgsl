// y = x with zero channels behind its own     one invocation per element; flat grid
#import grid

const WG: u32 = 64u;

struct Params { c: u32, padded: u32, elements: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let i = flat_group(wg, grid) * WG + lane;
    if i >= p.elements { return; }
    let c = i % p.padded;
    var v = 0.0;
    if c < p.c { v = x[i / p.padded * p.c + c]; }
    y[i] = v;
}
