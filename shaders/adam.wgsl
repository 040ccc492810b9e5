// m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g g; w -= lr / c1 * m / (sqrt(v) / c2 + eps), where w, m and v are thirds of y
// grid = n / T elements, flat; g is the gradient, h holds lr, b1, b2, eps, decay, c1 = 1 - b1^t, c2 = sqrt(1 - b2^t), scale
#import grid

alias T = f32;
const WG: u32 = 256u;
const DECOUPLED: bool = false; // decay of weights by themselves, not through the gradient

struct Params { len: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<T>;
@group(0) @binding(3) var<storage, read> g: array<T>;
@group(0) @binding(4) var<storage, read> h: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let i = flat_group(wg, grid) * WG + lane;
    if i >= p.len { return; }
    var w = y[i];
    var by = g[i] * h[7];
    if DECOUPLED { w -= w * (h[0] * h[4]); } else { by += w * h[4]; }
    let m = y[p.len + i] * h[1] + by * (1.0 - h[1]);
    let v = y[2u * p.len + i] * h[2] + by * by * (1.0 - h[2]);
    y[p.len + i] = m;
    y[2u * p.len + i] = v;
    y[i] = w - m / (sqrt(v) / h[6] + h[3]) * (h[0] / h[5]);
}
