// y[i, :] = the row of x whose number is in pick i, where it is among x's; else what an earlier part of the rows gave     one
// invocation per element; flat grid
#import divide
#import earlier
#import grid

const WG: u32 = 64u;

struct Params { d: u32, n: u32, first: u32, elements: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> picks: array<vec2f>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let i = flat_group(wg, grid) * WG + lane;
    if i >= p.elements { return; }
    let at = divided(i, p.d);
    let number = picks[at.y].y;
    var v = earlier(i);
    if number >= f32(p.first) && number < f32(p.first + p.n) { v = x[(u32(number) - p.first) * p.d + at.x]; }
    y[i] = v;
}
