// Weights [co, ci/groups, kh, kw] as those of the convolution that makes the gradient by the picture out of dy: y[(group, phase, c), o,
// my, mx] = w[(group, o), c, ky, kx], where phase = (row, column) of the picture by the stride, and k = phase + stride * (last - m); zero
// beyond the window     one invocation per element, or per window of y (WHOLE); flat grid
// Drivers on the processor take as long to find out where an element lies as to move five: for 256x256x3x3, 10 ms by elements.
#import grid
#import divide

const WG: u32 = 64u;
const WHOLE: bool = false;

struct Params {
    count: u32, ci_group: u32, co_group: u32, kh: u32, kw: u32, stride_h: u32, stride_w: u32,
    phases_h: u32, phases_w: u32, high: u32, wide: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<f32>;

// Moves element (column, row) of window number `window`, of which (phase column, phase row, first element of w) is known.
fn place(window: u32, known: vec3u, m: vec2u) {
    let k = known.xy + vec2u(p.stride_w, p.stride_h) * (vec2u(p.wide, p.high) - 1u - m);
    let inside = k.y < p.kh && k.x < p.kw;
    y[(window * p.high + m.y) * p.wide + m.x] = select(0.0, w[select(0u, known.z + k.y * p.kw + k.x, inside)], inside);
}

// Phase column, phase row, first element of w.
fn source_of(window: u32) -> vec3u {
    let o = divided(window, p.co_group);
    let c = divided(o.y, p.ci_group);
    let across = divided(c.y, p.phases_w);
    let down = divided(across.y, p.phases_h); // and the group
    return vec3u(across.x, down.x, ((down.y * p.co_group + o.x) * p.ci_group + c.x) * p.kh * p.kw);
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let i = flat_group(wg, grid) * WG + lane;
    if i >= p.count { return; }
    if WHOLE {
        let known = source_of(i);
        for (var my = 0u; my < p.high; my++) {
            for (var mx = 0u; mx < p.wide; mx++) { place(i, known, vec2u(mx, my)); }
        }
    } else {
        let column = divided(i, p.wide);
        let row = divided(column.y, p.high);
        place(row.y, source_of(row.y), vec2u(column.x, row.x));
    }
}
