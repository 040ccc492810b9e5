// y = keep y + g
// grid = n / T elements, flat; h holds keep: 0 for the first of several gradients, 1 for the others
#import grid

alias T = f32;
const WG: u32 = 256u;

struct Params { len: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<T>;
@group(0) @binding(3) var<storage, read> g: array<T>;
@group(0) @binding(4) var<storage, read> h: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let i = flat_group(wg, grid) * WG + lane;
    if i >= p.len { return; }
    // What was there before the first may be anything: 0 times infinity is no zero.
    y[i] = select(g[i] + y[i] * h[0], g[i], h[0] == 0.0);
}
