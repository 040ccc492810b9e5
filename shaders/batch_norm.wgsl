// y = (x - mean) / sqrt(variance + eps) * weight + bias, per channel     one invocation per T; flat grid
#import grid

alias T = f32; // or vec4f, then sizes count fours
const WG: u32 = 256u;

struct Params { len: u32, c: u32, eps: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<T>;
@group(0) @binding(2) var<storage, read> x: array<T>;
@group(0) @binding(3) var<storage, read> weight: array<T>;
@group(0) @binding(4) var<storage, read> bias: array<T>;
@group(0) @binding(5) var<storage, read> mean: array<T>;
@group(0) @binding(6) var<storage, read> variance: array<T>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let i = flat_group(wg, grid) * WG + lane;
    if i >= p.len { return; }
    let k = i % p.c;
    y[i] = (x[i] - mean[k]) / sqrt(variance[k] + p.eps) * weight[k] + bias[k];
}
