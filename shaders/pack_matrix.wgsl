// y[b, r, c] = x[b, r, c], or x[b, c, r]; zero in the columns that x lacks     one invocation per element; flat grid
#import grid

const WG: u32 = 64u;
const TRANSPOSED: bool = false;

struct Params { r: u32, c: u32, out_r: u32, out_c: u32, elements: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let i = flat_group(wg, grid) * WG + lane;
    if i >= p.elements { return; }
    let row = i / p.out_c % p.out_r;
    let column = i % p.out_c;
    let at = select(vec2u(row, column), vec2u(column, row), TRANSPOSED);
    var v = 0.0;
    if at.x < p.r && at.y < p.c { v = x[(i / p.out_c / p.out_r * p.r + at.x) * p.c + at.y]; }
    y[i] = v;
}
