// y[o, c, tap] = x[0, o, tap, c] + x[1, o, tap, c] + …: parts of a weight's gradient, added in their order and put as weights lie
// one invocation per element; flat grid; x [parts, co, taps, width]
#import grid
#import divide

const WG: u32 = 64u;

struct Params { elements: u32, ci: u32, taps: u32, width: u32, parts: u32, part: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let i = flat_group(wg, grid) * WG + lane;
    if i >= p.elements { return; }
    let tap = divided(i, p.taps);
    let channel = divided(tap.y, p.ci);
    let src = (channel.y * p.taps + tap.x) * p.width + channel.x;
    var s = x[src];
    for (var k = 1u; k < p.parts; k++) { s = s + x[k * p.part + src]; }
    y[i] = s;
}
