// y = conv(x, w) + bias [+ z], activated; every channel by itself     GPU family: C outputs of a row of one T (a channel or four)
// one invocation per C outputs, channels innermost; flat grid; x [n, h, w, c], y [n, ho, wo, c], w [c, taps]
// (T = vec4f: packed by pack_depthwise.wgsl)
// A row of the window at a time, weights and sums in registers. All rows written out took 160 registers on Ampere for 5x5, and spilled on
// gfx1100, Intel and Mali: so the loop over them goes to `p.rows`, which compilers do not know.
#import divide
#import grid
#import finish_one

alias T = f32; // or vec4f, and channels count fours
const WG: u32 = 64u;
const C: u32 = 4u;
const KW: u32 = 3u;
const SW: u32 = 1u; // stride along a row
const WIDE: u32 = (C - 1u) * SW + KW; // columns of the input that C outputs read

struct Params {
    h: u32, w: u32, c: u32, rows: u32, stride_h: u32, stride_w: u32, pad_top: u32, pad_left: u32, ho: u32, wo: u32, co: u32,
    down: u32, across: u32, blocks: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<T>;
@group(0) @binding(2) var<storage, read> x: array<T>;
@group(0) @binding(3) var<storage, read> w: array<T>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let i = flat_group(wg, grid) * WG + lane;
    if i >= p.blocks { return; }
    let channel = divided(i, p.c);
    let column = divided(channel.y, p.across);
    let row = divided(column.y, p.down);
    let c = channel.x;
    let ox = column.x * C;
    let left = ox * p.stride_w - p.pad_left; // wraps to a huge number left of the picture, as rows do above it

    var sums: array<T, C>;
    for (var r = 0u; r < p.rows; r++) {
        let iy = row.x * p.stride_h + r - p.pad_top;
        if iy < p.h {
            let at = (row.y * p.h + iy) * p.w + left;
            var k: array<T, KW>;
            for (var s = 0u; s < KW; s++) { k[s] = w[(c * p.rows + r) * KW + s]; } // unroll
            for (var s = 0u; s < WIDE; s++) { // unroll
                let inside = left + s < p.w;
                let v = select(T(0.0), x[select(0u, (at + s) * p.c + c, inside)], inside);
                for (var j = 0u; j < C; j++) { // unroll
                    // Column s of the input is column s - j * SW of the window of output j, where it has one.
                    if s >= j * SW && s < j * SW + KW { sums[j] = fma(v, k[(s + C * SW * KW - j * SW) % KW], sums[j]); }
                }
            }
        }
    }
    let out = ((row.y * p.ho + row.x) * p.wo + ox) * p.c + c;
    for (var s = 0u; s < C; s++) { // unroll
        if ox + s < p.wo { y[out + s * p.c] = finished(out + s * p.c, c, sums[s]); }
    }
}
