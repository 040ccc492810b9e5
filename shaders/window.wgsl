// y[o, i] = x[o, i + shift], zero beyond x: a slice, a padding or a copy     one invocation per T of y; flat grid
#import divide
#import grid

alias T = f32; // or vec4f, then sizes and shift count fours
const WG: u32 = 64u;

struct Params { len: u32, inner_in: u32, inner_out: u32, shift: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<T>;
@group(0) @binding(2) var<storage, read> x: array<T>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let i = flat_group(wg, grid) * WG + lane;
    if i >= p.len { return; }
    // Padding before x is a shift below zero: two's complement, so that what lies before x is a huge number, beyond x too.
    let place = divided(i, p.inner_out);
    let start = place.x + p.shift;
    if start < p.inner_in { y[i] = x[place.y * p.inner_in + start]; } else { y[i] = T(0.0); }
}
