// v = momentum v + g + decay w; w -= lr v, where w and v are halves of y
// grid = n / T elements, flat; g is the gradient, h holds lr, momentum, decay, scale
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
    let v = y[p.len + i] * h[1] + (g[i] * h[3] + y[i] * h[2]);
    y[p.len + i] = v;
    y[i] -= v * h[0];
}
