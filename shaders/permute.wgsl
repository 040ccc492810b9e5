// y[i0, i1, i2, i3] = x[axes reordered]     one invocation per T of y; flat grid
#import divide
#import grid

alias T = f32; // or vec4f where the last axis stays the last, then sizes and steps count fours
const WG: u32 = 64u;

// Sizes of the inner axes of y, and what one step along each axis of y is in x.
struct Params { len: u32, size1: u32, size2: u32, size3: u32, step0: u32, step1: u32, step2: u32, step3: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<T>;
@group(0) @binding(2) var<storage, read> x: array<T>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let i = flat_group(wg, grid) * WG + lane;
    if i >= p.len { return; }
    let a3 = divided(i, p.size3);
    let a2 = divided(a3.y, p.size2);
    let a1 = divided(a2.y, p.size1);
    y[i] = x[a1.y * p.step0 + a1.x * p.step1 + a2.x * p.step2 + a3.x * p.step3];
}
