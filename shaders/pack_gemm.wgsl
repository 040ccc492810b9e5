// y[tap, c, o] = w[o, c, tap], zero for c >= ci     one invocation per element; flat grid
#import grid

const WG: u32 = 64u;

struct Params { co: u32, ci: u32, taps: u32, ci_padded: u32, elements: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let i = flat_group(wg, grid) * WG + lane;
    if i >= p.elements { return; }
    let o = i % p.co;
    let c = i / p.co % p.ci_padded;
    let tap = i / p.co / p.ci_padded;
    var v = 0.0;
    if c < p.ci { v = w[(o * p.ci + c) * p.taps + tap]; }
    y[i] = v;
}
