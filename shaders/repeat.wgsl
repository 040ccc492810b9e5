// y = runs of `run` elements of x, each `times` times in a row     one invocation per T of y; flat grid
#import divide
#import grid

alias T = f32; // or vec4f, then len and span count fours
alias X = f32; // T where runs come in fours, then run counts them too; else one element for all of T
const WG: u32 = 256u;

struct Params { len: u32, run: u32, span: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<T>;
@group(0) @binding(2) var<storage, read> x: array<X>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let i = flat_group(wg, grid) * WG + lane;
    if i >= p.len { return; }
    // A run and its copies are `span` elements of y.
    let place = divided(i, p.span);
    y[i] = T(x[place.y * p.run + divided(place.x, p.run).x]);
}
