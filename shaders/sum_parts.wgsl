// y = x[0] + x[1] + … + x[parts - 1] + bias [+ z], activated: sums that another kernel made in parts, added in the parts' order
// one invocation per four elements of y; flat grid; x [parts, quads] and y in vec4
#import grid
#import activation
#import bias
#import joined
#import residual4

const WG: u32 = 64u;

struct Params { parts: u32, quads: u32, columns4: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(2) var<storage, read> x: array<vec4f>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let i = flat_group(wg, grid) * WG + lane;
    if i >= p.quads { return; }
    var s = x[i];
    for (var k = 1u; k < p.parts; k++) { s = s + x[k * p.quads + i]; }
    let o = i % p.columns4 * 4u;
    s = s + vec4f(bias_at(o), bias_at(o + 1u), bias_at(o + 2u), bias_at(o + 3u));
    y[i] = activated4(joined4(s, residual_at(i)));
}
