// y[n] = the rows of prefix, then the rows of x[n], each with its position added     one invocation per T; flat grid
#import grid

alias T = f32; // or vec4f, then sizes count fours
const WG: u32 = 256u;

struct Params { len: u32, prefix: u32, picture: u32 } // elements of y, of prefix, and of x[n]
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<T>;
@group(0) @binding(2) var<storage, read> x: array<T>;
@group(0) @binding(3) var<storage, read> prefix: array<T>;
@group(0) @binding(4) var<storage, read> positions: array<T>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let i = flat_group(wg, grid) * WG + lane;
    if i >= p.len { return; }
    let n = i / (p.prefix + p.picture);
    let at = i % (p.prefix + p.picture);
    if at < p.prefix {
        y[i] = prefix[at];
    } else {
        y[i] = x[n * p.picture + at - p.prefix] + positions[at - p.prefix];
    }
}
