// y[o, :] = a[o, :] followed by b[o, :]     one invocation per T of y; flat grid
#import divide
#import grid

alias T = f32; // or vec4f, then sizes count fours
const WG: u32 = 64u;

struct Params { len: u32, first: u32, second: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<T>;
@group(0) @binding(2) var<storage, read> a: array<T>;
@group(0) @binding(3) var<storage, read> b: array<T>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let i = flat_group(wg, grid) * WG + lane;
    if i >= p.len { return; }
    let place = divided(i, p.first + p.second);
    if place.x < p.first {
        y[i] = a[place.y * p.first + place.x];
    } else {
        y[i] = b[place.y * p.second + place.x - p.first];
    }
}
