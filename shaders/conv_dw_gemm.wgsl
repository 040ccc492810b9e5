// y[part, o, tap, :] = sum over the pixels of a part of dy[pixel, o] * x[what lies under the tap there, :]     GPU family: a product of
// dy, turned, and patches of x, by tiles in workgroup memory
// grid = (taps * quads of input channels / (WX * TN / 4), output channels / (WY * TM), parts); TM output channels x TN input channels of
// taps per invocation; k goes over pixels
// x [n, h, w, ci4], dy [n, ho, wo, co4] and y in vec4. What lies outside the picture or beyond the last pixel is zero.
// An invocation loads one quad of one tap, of pixels so far apart that they go through a part: no division once the loop has begun.
#import tile
#import later_pixel

struct Params {
    h: u32, w: u32, ci4: u32, ho: u32, wo: u32, co: u32, co4: u32, columns4: u32, pixels: u32, kw: u32,
    stride_h: u32, stride_w: u32, pad_top: u32, pad_left: u32, step: u32, part: u32, step_x: u32, step_y: u32, step_n: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(2) var<storage, read> x: array<vec4f>;
@group(0) @binding(3) var<storage, read> dy: array<vec4f>;

@compute @workgroup_size(WX, WY)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_id) l: vec3u, @builtin(local_invocation_index) lane: u32) {
    let column = min(wg.x * BN4 + lane % BN4, p.columns4 - 1u);
    let quad = column % p.ci4;
    let tap = column / p.ci4;
    let corner = vec2u(tap % p.kw - p.pad_left, tap / p.kw - p.pad_top); // wraps to huge numbers left of and above the picture
    let begin = wg.z * p.part * 4u;
    var q = begin + lane / BN4;
    var at = vec3u(q % p.wo, q / p.wo % p.ho, q / p.wo / p.ho);
    var sums: array<array<vec4f, N4>, TM>;
    for (var s = 0u; s < p.part + AFTER; s += K4) {
        var left: array<array<vec4f, 4>, LA>;
        var right: array<vec4f, LB>;
        if !AHEAD || s < p.part {
            for (var i = 0u; i < LA; i++) { // unroll
                let b = lane + i * WG;
                if has_left(b) {
                    let rows = wg.y * BM4 + block(b).x;
                    let first = begin + (s + block(b).y) * 4u;
                    for (var j = 0u; j < 4u; j++) { // unroll
                        let inside = first + j < p.pixels && rows < p.co4;
                        left[i][j] = select(vec4f(0.0), dy[select(0u, (first + j) * p.co4 + rows, inside)], inside);
                    }
                    if !AHEAD { put_left(b, left[i]); }
                }
            }
            for (var i = 0u; i < LB; i++) { // unroll
                let src = at.xy * vec2u(p.stride_w, p.stride_h) + corner;
                let inside = src.y < p.h && src.x < p.w && q < p.pixels;
                let v = x[select(0u, ((at.z * p.h + src.y) * p.w + src.x) * p.ci4 + quad, inside)];
                right[i] = select(vec4f(0.0), v, inside);
                if !AHEAD { tile[RIGHT + lane + i * WG] = right[i]; }
                q += WG / BN4;
                at = later(at);
            }
        }
        turn(&sums, &left, &right, l.xy, lane, vec2u(s, p.part));
    }
    for (var n = 0u; n < N4; n++) { // unroll
        let o = wg.x * BN4 + n * WX + l.x;
        if o < p.columns4 {
            for (var m = 0u; m < TM; m++) { // unroll
                let row = wg.y * BM + (l.y + m / 4u * WY) * 4u + m % 4u;
                if row < p.co { y[(wg.z * p.co + row) * p.columns4 + o] = sums[m][n]; }
            }
        }
    }
}
