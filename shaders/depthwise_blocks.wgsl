// y = conv(x, w) + bias [+ z], activated; every channel by itself     software family: R x C outputs of one T (a channel or four) an
// invocation, all written out
// one invocation per block of outputs, channels innermost; flat grid; x [n, h, w, c], y [n, ho, wo, c], w [c, taps]
// (T = vec4f: packed by pack_depthwise.wgsl)
// Neighbouring outputs share what is loaded. On a driver that runs on the processor (8 lanes, 3x3, 32 channels of 112x112): 4x4 outputs
// 1.09 ms, 2x4 1.19, 1x4 1.77; from image to image, lanes along pixels, weights by shuffles, 4x4: 2.05.
#import row_products
#import divide
#import grid
#import finish_one

alias T = f32; // or vec4f, and channels count fours
const WG: u32 = 64u;

struct Params {
    h: u32, w: u32, c: u32, stride_h: u32, stride_w: u32, pad_top: u32, pad_left: u32, ho: u32, wo: u32, co: u32,
    down: u32, across: u32, blocks: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<T>;
@group(0) @binding(2) var<storage, read> x: array<T>;
@group(0) @binding(3) var<storage, read> w: array<T>;

// Channels c of the input at (column, row, picture); zero beyond the picture, where coordinates wrap to huge numbers.
fn input_at(at: vec3u, c: u32) -> T {
    let inside = at.x < p.w && at.y < p.h;
    return select(T(0.0), x[select(0u, ((at.z * p.h + at.y) * p.w + at.x) * p.c + c, inside)], inside);
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let i = flat_group(wg, grid) * WG + lane;
    if i >= p.blocks { return; }
    let channel = divided(i, p.c);
    let column = divided(channel.y, p.across);
    let row = divided(column.y, p.down);
    let c = channel.x;
    let o = vec2u(column.x * C, row.x * R);
    let corner = vec3u(o * vec2u(p.stride_w, p.stride_h) - vec2u(p.pad_left, p.pad_top), row.y);

    var k: array<array<T, KW>, KH>;
    for (var r = 0u; r < KH; r++) { // unroll
        for (var s = 0u; s < KW; s++) { k[r][s] = w[(c * KH + r) * KW + s]; } // unroll
    }
    var sums: array<array<T, C>, R>;
    for (var i = 0u; i < TALL; i++) { // unroll
        var v: array<T, WIDE>;
        for (var s = 0u; s < WIDE; s++) { v[s] = input_at(corner + vec3u(s, i, 0u), c); } // unroll
        for (var r = 0u; r < R; r++) { // unroll
            // Row i of the input is row i - r * SH of the window of output r, where it has one.
            if i >= r * SH && i < r * SH + KH { sums[r] = row_products(sums[r], v, k[(i + R * SH * KH - r * SH) % KH]); }
        }
    }
    for (var r = 0u; r < R; r++) { // unroll
        for (var s = 0u; s < C; s++) { // unroll
            let at = ((row.y * p.ho + o.y + r) * p.wo + o.x + s) * p.c + c;
            if o.x + s < p.wo && o.y + r < p.ho { y[at] = finished(at, c, sums[r][s]); }
        }
    }
}
