// y = conv(x, w) + bias [+ z], activated     GPU family: a matrix product of patches and weights, by tiles in workgroup memory
// grid = (output channels / (WX * TN), output pixels of all pictures / (WY * TM), parts); TM pixels x TN channels per invocation
// x [n, h, w, ci4] and y in vec4, w packed (pack_gemm.wgsl) as [4*k4, co4] in vec4
// k goes over taps, then channels, of which every tap has a multiple of TK. What lies outside the picture or beyond its channels is zero;
// what lies beyond the last pixel is read twice and stored nowhere.
// What was tried, as the compilers of tests/isa see it (share of multiply-adds in the hottest loop; whole figures in benches/RESULTS.md):
// - 8x8 sums, steps of k written out by fours, patches turned on their way in, texels divided out anew for every tap: navi21 0.93, dg2
//   0.84, Adreno 0.92, Ampere 0.83, Mali with 4x4 0.60. The start of this ladder.
// - Divisions before the loop: nothing is lost where a pixel keeps two words (picture; row and column), and with three Mali spills 32.
// - Stores in rows of BM4 vec4 meet 4 to a bank; one vec4 of padding a row makes that 2. None at all: with half as wide loads (Adreno
//   0.88 to 0.86) or a skew of two vec4 for every quad of k (Adreno 0.82 to 0.80, Mali 11 spills to 66). Neither was taken.
// - The next step loaded ahead of the products: 24 registers more; navi21 0.93 as before with 8 subgroups instead of 10, Ampere 0.82
//   (4x4: 0.65 instead of 0.81), dg2 spills 15. So it is a choice of tiles, by vendor (src/ops/tile.rs).
// - The trips of loops from params alone: where they depended on the workgroup's part, Ampere took 234 registers for 102, and 0.29.
// - As many products for the last channels as for others, zeros among them: the loop over a step then needs no count, one value less.
// - 8x8 with 64 invocations, four steps written out instead of one: navi21 0.89 to 0.93, Adreno 0.86 to 0.91, same registers.
#import tile
#import parts
#import bias
#import residual4

struct Params {
    h: u32, w: u32, ci4: u32, ho: u32, wo: u32, co: u32, pixels: u32, kw: u32,
    stride_h: u32, stride_w: u32, pad_top: u32, pad_left: u32, k4: u32, step: u32, parts: u32, part: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(2) var<storage, read> x: array<vec4f>;
@group(0) @binding(3) var<storage, read> w: array<vec4f>;

// Where the window of pixel q begins: picture, and row and column with the pad counted, in 16 bits each.
fn corner(q: u32) -> vec2u {
    return vec2u(q / (p.ho * p.wo), ((q / p.wo % p.ho * p.stride_h) << 16u) | (q % p.wo * p.stride_w));
}

@compute @workgroup_size(WX, WY)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_id) l: vec3u, @builtin(local_invocation_index) lane: u32) {
    let co4 = p.co / 4u;
    var corners: array<vec2u, 4u * LA>; // of the pixels that this invocation loads
    for (var i = 0u; i < LA; i++) { // unroll
        let pixels = wg.y * BM + block(lane + i * WG).x * 4u;
        for (var j = 0u; j < 4u; j++) { corners[4u * i + j] = corner(min(pixels + j, p.pixels - 1u)); } // unroll
    }
    for (var part = 0u; part < p.parts; part++) {
        let begin = select(part, wg.z, SPLIT) * p.part;
        let quads = (p.ci4 + K4 - 1u) / K4 * K4; // of k of a tap
        var tap = ((begin / quads / p.kw) << 16u) | (begin / quads % p.kw); // row and column
        var c = begin % quads;
        var sums: array<array<vec4f, N4>, TM>;
        var k0 = begin;
        for (var s = 0u; s < p.part + AFTER; s += K4) {
            var left: array<array<vec4f, 4>, LA>;
            var right: array<vec4f, LB>;
            if !AHEAD || s < p.part {
                for (var i = 0u; i < LA; i++) { // unroll
                    let b = lane + i * WG;
                    if has_left(b) {
                        let channel = c + block(b).y;
                        for (var j = 0u; j < 4u; j++) { // unroll
                            let at = corners[4u * i + j] + vec2u(0u, tap);
                            let row = (at.y >> 16u) - p.pad_top; // wraps to a huge number above the picture
                            let column = (at.y & 0xffffu) - p.pad_left;
                            let inside = row < p.h && column < p.w && channel < p.ci4;
                            let v = x[select(0u, ((at.x * p.h + row) * p.w + column) * p.ci4 + channel, inside)];
                            left[i][j] = select(vec4f(0.0), v, inside);
                        }
                        if !AHEAD { put_left(b, left[i]); }
                    }
                }
                for (var i = 0u; i < LB; i++) { // unroll
                    let b = lane + i * WG;
                    if has_right(b) {
                        right[i] = w[(k0 * 4u + b / BN4) * co4 + min(wg.x * BN4 + b % BN4, co4 - 1u)];
                        if !AHEAD { tile[RIGHT + b] = right[i]; }
                    }
                }
                k0 += K4;
                c += K4;
                if c >= p.ci4 {
                    c = 0u;
                    tap += 1u;
                    if (tap & 0xffffu) == p.kw { tap = (tap | 0xffffu) + 1u; }
                }
            }
            turn(&sums, &left, &right, l.xy, lane, vec2u(s, p.part));
        }
        for (var n = 0u; n < N4; n++) { // unroll
            let o = wg.x * BN4 + n * WX + l.x;
            if o < co4 {
                let bias = vec4f(bias_at(o * 4u), bias_at(o * 4u + 1u), bias_at(o * 4u + 2u), bias_at(o * 4u + 3u));
                for (var m = 0u; m < TM; m++) { // unroll
                    let q = wg.y * BM + (l.y + m / 4u * WY) * 4u + m % 4u;
                    if q < p.pixels { store((wg.z * p.pixels + q) * co4 + o, bias, sums[m][n], part); }
                }
            }
        }
        if !WALK { break; }
    }
}
