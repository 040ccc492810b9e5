// y[n, row, column, (group, c)] = x[n, (row + pad) / stride - first, …, (group, phase, c)], where phase = remainders by the stride,
// zero for those that no tap reaches: a picture put together of its phases     one invocation per T of y; flat grid
#import grid
#import divide

alias T = f32; // or vec4f, then channels count fours
const WG: u32 = 64u;
const SH: u32 = 2u; // strides: drivers on the processor divide by constants all lanes at once
const SW: u32 = 2u;
const GROUPED: bool = false;

struct Params {
    len: u32, h: u32, w: u32, c: u32, ci_group: u32, high: u32, wide: u32, pad_top: u32, pad_left: u32,
    first_y: u32, first_x: u32, phases_h: u32, phases_w: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<T>;
@group(0) @binding(2) var<storage, read> x: array<T>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let i = flat_group(wg, grid) * WG + lane;
    if i >= p.len { return; }
    let channel = divided(i, p.c);
    let column = divided(channel.y, p.w);
    let row = divided(column.y, p.h); // and the picture
    var c = vec2u(channel.x, 0u); // and the group
    if GROUPED { c = divided(channel.x, p.ci_group); }
    let across = vec2u((column.x + p.pad_left) % SW, (column.x + p.pad_left) / SW);
    let down = vec2u((row.x + p.pad_top) % SH, (row.x + p.pad_top) / SH);
    let inside = across.x < p.phases_w && down.x < p.phases_h;
    let phase = (c.y * p.phases_h + down.x) * p.phases_w + across.x;
    let pixel = (row.y * p.high + down.y - p.first_y) * p.wide + across.y - p.first_x;
    let src = pixel * p.c * p.phases_h * p.phases_w + phase * p.ci_group + c.x;
    y[i] = select(T(0.0), x[select(0u, src, inside)], inside);
}
