// y[b] = a[b] x b[b] + bias [+ z], activated; either side transposed     portable: one output per invocation; flat grid
#import grid
#import activation
#import bias
#import joined
#import residual

const WG: u32 = 64u;

// Steps from one element to the next: of a along m and k, of b along k and n; the batch steps are 0 for a matrix that all share.
struct Params { m: u32, n: u32, k: u32, outputs: u32, a_m: u32, a_k: u32, b_k: u32, b_n: u32, a_batch: u32, b_batch: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> a: array<f32>;
@group(0) @binding(3) var<storage, read> b: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let i = flat_group(wg, grid) * WG + lane;
    if i >= p.outputs { return; }
    let column = i % p.n;
    let batch = i / p.n / p.m;
    let from_a = batch * p.a_batch + i / p.n % p.m * p.a_m;
    let from_b = batch * p.b_batch + column * p.b_n;
    var acc = 0.0;
    for (var k = 0u; k < p.k; k++) { acc = fma(a[from_a + k * p.a_k], b[from_b + k * p.b_k], acc); }
    y[i] = activated(joined(acc + bias_at(column), residual_at(i)));
}
