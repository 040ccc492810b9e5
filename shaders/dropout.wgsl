// y = x * scale where a hash of the element's number and the seed is at least the threshold, x * 0 elsewhere     one invocation per element; flat grid
#import grid

const WG: u32 = 256u;

struct Params { len: u32, stream: u32, threshold: u32, scale: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> seed: array<u32>;

// Every bit of v changes every bit of the result as often as not; no two v give the same.
fn mixed(v: u32) -> u32 {
    var h = v;
    h = (h ^ (h >> 16u)) * 0x9e3779b9u;
    h = (h ^ (h >> 15u)) * 0x85a308d3u;
    h = (h ^ (h >> 13u)) * 0xa4093823u;
    return h ^ (h >> 16u);
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let i = flat_group(wg, grid) * WG + lane;
    if i >= p.len { return; }
    let key = mixed(seed[0] + mixed(p.stream));
    let other = mixed(seed[1] ^ key);
    let drawn = mixed(mixed(i ^ key) + other);
    y[i] = x[i] * select(0.0, p.scale, drawn >= p.threshold);
}
