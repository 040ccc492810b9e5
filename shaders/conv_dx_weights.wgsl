// Weights [co, ci/groups, kh, kw] as those of the convolution that makes the gradient by the picture out of dy: y[(group, phase, c), o,
// my, mx] = w[(group, o), c, ky, kx], where phase = (row, column) of the picture by the stride, and k = phase + stride * (last - m); zero
// beyond the window     one invocation per element; flat grid
#import grid
#import divide

const WG: u32 = 64u;

struct Params {
    elements: u32, ci_group: u32, co_group: u32, kh: u32, kw: u32, stride_h: u32, stride_w: u32,
    phases_h: u32, phases_w: u32, high: u32, wide: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let i = flat_group(wg, grid) * WG + lane;
    if i >= p.elements { return; }
    let column = divided(i, p.wide);
    let row = divided(column.y, p.high);
    let o = divided(row.y, p.co_group);
    let c = divided(o.y, p.ci_group);
    let across = divided(c.y, p.phases_w);
    let down = divided(across.y, p.phases_h); // and the group
    let ky = down.x + p.stride_h * (p.high - 1u - row.x);
    let kx = across.x + p.stride_w * (p.wide - 1u - column.x);
    let inside = ky < p.kh && kx < p.kw;
    let src = (((down.y * p.co_group + o.x) * p.ci_group + c.x) * p.kh + ky) * p.kw + kx;
    y[i] = select(0.0, w[select(0u, src, inside)], inside);
}
