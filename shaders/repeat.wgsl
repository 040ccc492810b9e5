// y[n, i, c] = x[n, c] for every pixel i     one invocation per T; flat grid
#import grid

alias T = f32; // or vec4f, then sizes count fours
const WG: u32 = 256u;

struct Params { len: u32, picture: u32, c: u32 } // elements of y, of y[n] and of x[n]
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<T>;
@group(0) @binding(2) var<storage, read> x: array<T>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let i = flat_group(wg, grid) * WG + lane;
    if i < p.len { y[i] = x[i / p.picture * p.c + i % p.c]; }
}
