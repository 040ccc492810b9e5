// y = conv(x, w) + bias [+ z], optional ReLU     GPU family: a matrix product of patches and weights in shared-memory tiles
// grid = (output channels / (WX * TN), output pixels of all pictures / (WY * TM)); TM pixels x TN channels per invocation
// x [n, h, w, ci4] and y in vec4, w packed (pack_gemm.wgsl) as [tap, 4*ci4, co4] in vec4
// Patches are turned on their way into shared memory and loads are clamped, as in matmul_gemm.wgsl.
#import nonfinite
#import bias
#import residual4

const WX: u32 = 8u;
const WY: u32 = 8u;
const TM: u32 = 8u;
const TN: u32 = 8u;
const TK: u32 = 16u;
const TU: u32 = 4u; // channels that are written out
const RELU: bool = false;
const WG: u32 = WX * WY;
const K4: u32 = TK / 4u;
const BM: u32 = WY * TM;
const BM4: u32 = BM / 4u;
const BN4: u32 = WX * TN / 4u;
const M4: u32 = TM / 4u;
const N4: u32 = TN / 4u;
const LA: u32 = (BM4 * K4 + WG - 1u) / WG; // 4x4 blocks of patches per invocation
const LB: u32 = (TK * BN4 + WG - 1u) / WG; // loads of weights per invocation
const OUTSIDE: u32 = 0xffffffffu; // no texel

struct Params {
    h: u32, w: u32, ci4: u32, ho: u32, wo: u32, co: u32, pixels: u32,
    kh: u32, kw: u32, stride_h: u32, stride_w: u32, pad_top: u32, pad_left: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(2) var<storage, read> x: array<vec4f>;
@group(0) @binding(3) var<storage, read> w: array<vec4f>;

var<workgroup> tile: array<vec4f, TK * (BM4 + BN4)>; // patches [channel, pixel quad], then weights [channel, output quad]

@compute @workgroup_size(WX, WY)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_id) l: vec3u, @builtin(local_invocation_index) lane: u32) {
    let co4 = p.co / 4u;
    var acc: array<array<vec4f, N4>, TM>;
    for (var tap = 0u; tap < p.kh * p.kw; tap++) {
        var texel: array<u32, 4u * LA>; // of the tap, for each pixel that this invocation loads
        for (var i = 0u; i < LA; i++) { // unroll
            for (var j = 0u; j < 4u; j++) { // unroll
                let q = wg.y * BM + (lane + i * WG) / K4 * 4u + j;
                let iy = q / p.wo % p.ho * p.stride_h + tap / p.kw - p.pad_top; // wraps to a huge number above the picture
                let ix = q % p.wo * p.stride_w + tap % p.kw - p.pad_left;
                let inside = q < p.pixels && iy < p.h && ix < p.w;
                texel[4u * i + j] = select(OUTSIDE, ((q / (p.ho * p.wo) * p.h + iy) * p.w + ix) * p.ci4, inside);
            }
        }
        for (var c = 0u; c < p.ci4; c += K4) {
            for (var i = 0u; i < LA; i++) { // unroll
                let pixels = (lane + i * WG) / K4;
                let quad = (lane + i * WG) % K4;
                let channel = min(c + quad, p.ci4 - 1u);
                if LA * WG == BM4 * K4 || pixels < BM4 {
                    var v: array<vec4f, 4>;
                    for (var j = 0u; j < 4u; j++) { // unroll
                        let at = texel[4u * i + j];
                        let found = x[select(at, 0u, at == OUTSIDE) + channel];
                        v[j] = select(found, vec4f(0.0), at == OUTSIDE);
                    }
                    for (var j = 0u; j < 4u; j++) { // unroll
                        tile[(quad * 4u + j) * BM4 + pixels] = vec4f(v[0][j], v[1][j], v[2][j], v[3][j]);
                    }
                }
            }
            for (var i = 0u; i < LB; i++) { // unroll
                let at = lane + i * WG;
                if LB * WG == TK * BN4 || at < TK * BN4 {
                    let k = min(c * 4u + at / BN4, p.ci4 * 4u - 1u);
                    tile[TK * BM4 + at] = w[(tap * p.ci4 * 4u + k) * co4 + min(wg.x * BN4 + at % BN4, co4 - 1u)];
                }
            }
            workgroupBarrier();
            var ia = l.y;
            var ib = TK * BM4 + l.x;
            for (var k = min(TK, (p.ci4 - c) * 4u); k >= TU; k -= TU) {
                for (var j = 0u; j < TU; j++) { // unroll
                    var a: array<vec4f, M4>;
                    for (var m = 0u; m < M4; m++) { a[m] = tile[ia + j * BM4 + m * WY]; } // unroll
                    for (var n = 0u; n < N4; n++) { // unroll
                        let b = tile[ib + j * BN4 + n * WX];
                        for (var m = 0u; m < M4; m++) { // unroll
                            for (var i = 0u; i < 4u; i++) { // unroll
                                acc[m * 4u + i][n] = fma(vec4f(a[m][i]), b, acc[m * 4u + i][n]);
                            }
                        }
                    }
                }
                ia += TU * BM4;
                ib += TU * BN4;
            }
            workgroupBarrier();
        }
    }

    for (var n = 0u; n < N4; n++) { // unroll
        let o = wg.x * BN4 + n * WX + l.x;
        if o < co4 {
            let bias = vec4f(bias_at(o * 4u), bias_at(o * 4u + 1u), bias_at(o * 4u + 2u), bias_at(o * 4u + 3u));
            for (var m = 0u; m < TM; m++) { // unroll
                let q = wg.y * BM + (l.y + m / 4u * WY) * 4u + m % 4u;
                if q < p.pixels {
                    var s = acc[m][n] + bias + residual_at(q * co4 + o);
                    if RELU { s = relu4(s); }
                    y[q * co4 + o] = s;
                }
            }
        }
    }
}
