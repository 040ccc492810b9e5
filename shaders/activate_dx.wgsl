// y = dy * slope of an activation at v, element by element     one invocation per T; flat grid
#import grid
#import slope_one

const WG: u32 = 256u;

struct Params { len: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<T>;
@group(0) @binding(2) var<storage, read> v: array<T>;
@group(0) @binding(3) var<storage, read> dy: array<T>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let i = flat_group(wg, grid) * WG + lane;
    if i < p.len { y[i] = dy[i] * slope_of(v[i]); }
}
