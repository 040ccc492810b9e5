// y = conv(x, w) + bias [+ z], optional ReLU     GPU family: a matrix product of patches and weights in shared-memory tiles
// grid = (output channels / (WX * TN), output pixels of all pictures / (WY * TM)); TM pixels x TN channels per invocation
// x [n, h, w, ci4] and y in vec4, w packed (pack_gemm.wgsl) as [tap, 4*ci4, co4] in vec4
#import nonfinite
#import bias
#import residual4

const WX: u32 = 8u;
const WY: u32 = 8u;
const TM: u32 = 8u;
const TN: u32 = 8u;
const TK: u32 = 8u;
const RELU: bool = false;
const WG: u32 = WX * WY;
const K4: u32 = TK / 4u;
const BM: u32 = WY * TM;
const BN4: u32 = WX * TN / 4u;
const N4: u32 = TN / 4u;
const LA: u32 = BM * K4 / WG;  // loads of patches per invocation
const LB: u32 = TK * BN4 / WG; // loads of weights per invocation

struct Params {
    h: u32, w: u32, ci4: u32, ho: u32, wo: u32, co: u32, pixels: u32,
    kh: u32, kw: u32, stride_h: u32, stride_w: u32, pad_top: u32, pad_left: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(2) var<storage, read> x: array<vec4f>;
@group(0) @binding(3) var<storage, read> w: array<vec4f>;

var<workgroup> sa: array<vec4f, BM * K4>; // [pixel, channel quad]
var<workgroup> sb: array<vec4f, TK * BN4>; // [channel, output quad]

@compute @workgroup_size(WX, WY)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_id) l: vec3u, @builtin(local_invocation_index) lane: u32) {
    let co4 = p.co / 4u;
    var top: array<u32, LA>;   // first input row and column of the window of each pixel that this invocation loads
    var left: array<u32, LA>;
    var picture: array<u32, LA>;
    for (var i = 0u; i < LA; i++) { // unroll
        let q = wg.y * BM + (lane + i * WG) / K4;
        picture[i] = select(p.pixels, q / (p.ho * p.wo), q < p.pixels);
        top[i] = q / p.wo % p.ho * p.stride_h - p.pad_top;
        left[i] = q % p.wo * p.stride_w - p.pad_left;
    }

    var acc: array<array<vec4f, N4>, TM>;
    for (var tap = 0u; tap < p.kh * p.kw; tap++) {
        let ky = tap / p.kw;
        let kx = tap % p.kw;
        for (var c = 0u; c < p.ci4; c += K4) {
            for (var i = 0u; i < LA; i++) { // unroll
                let quad = c + (lane + i * WG) % K4;
                let iy = top[i] + ky; // wraps to a huge number above the picture
                let ix = left[i] + kx;
                var v = vec4f(0.0);
                if picture[i] < p.pixels && iy < p.h && ix < p.w && quad < p.ci4 {
                    v = x[((picture[i] * p.h + iy) * p.w + ix) * p.ci4 + quad];
                }
                sa[lane + i * WG] = v;
            }
            for (var i = 0u; i < LB; i++) { // unroll
                let k = c * 4u + (lane + i * WG) / BN4;
                let o = wg.x * BN4 + (lane + i * WG) % BN4;
                var v = vec4f(0.0);
                if k < p.ci4 * 4u && o < co4 { v = w[(tap * p.ci4 * 4u + k) * co4 + o]; }
                sb[lane + i * WG] = v;
            }
            workgroupBarrier();
            for (var k = 0u; k < K4; k++) {
                var a: array<vec4f, TM>;
                for (var m = 0u; m < TM; m++) { a[m] = sa[(l.y + m * WY) * K4 + k]; } // unroll
                for (var j = 0u; j < 4u; j++) { // unroll
                    for (var n = 0u; n < N4; n++) { // unroll
                        let b = sb[(k * 4u + j) * BN4 + n * WX + l.x];
                        for (var m = 0u; m < TM; m++) { acc[m][n] = fma(vec4f(a[m][j]), b, acc[m][n]); } // unroll
                    }
                }
            }
            workgroupBarrier();
        }
    }

    for (var n = 0u; n < N4; n++) { // unroll
        let o = wg.x * BN4 + n * WX + l.x;
        if o < co4 {
            let bias = vec4f(bias_at(o * 4u), bias_at(o * 4u + 1u), bias_at(o * 4u + 2u), bias_at(o * 4u + 3u));
            for (var m = 0u; m < TM; m++) { // unroll
                let q = wg.y * BM + l.y + m * WY;
                if q < p.pixels {
                    var s = acc[m][n] + bias + residual_at(q * co4 + o);
                    if RELU { s = relu4(s); }
                    y[q * co4 + o] = s;
                }
            }
        }
    }
}
