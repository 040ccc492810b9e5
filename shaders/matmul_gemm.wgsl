// y[b] = a[b] x b[b] + bias [+ z], optional ReLU     GPU family: tiles in shared memory, TM rows x TN columns per invocation
// grid = (columns / (WX * TN), rows / (WY * TM), batch); a [m, 4*k4] in vec4 along k, b [k, n] and y [m, n] in vec4 along n
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
const LA: u32 = BM * K4 / WG;
const LB: u32 = TK * BN4 / WG;

struct Params { m: u32, n4: u32, k: u32, k4: u32, a_batch4: u32, b_batch4: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(2) var<storage, read> a: array<vec4f>;
@group(0) @binding(3) var<storage, read> b: array<vec4f>;

var<workgroup> sa: array<vec4f, BM * K4>; // [row, k quad]
var<workgroup> sb: array<vec4f, TK * BN4>; // [k, column quad]

@compute @workgroup_size(WX, WY)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_id) l: vec3u, @builtin(local_invocation_index) lane: u32) {
    let from_a = wg.z * p.a_batch4;
    let from_b = wg.z * p.b_batch4;
    var acc: array<array<vec4f, N4>, TM>;
    for (var k0 = 0u; k0 < p.k4; k0 += K4) {
        for (var i = 0u; i < LA; i++) { // unroll
            let row = wg.y * BM + (lane + i * WG) / K4;
            let quad = k0 + (lane + i * WG) % K4;
            var v = vec4f(0.0);
            if row < p.m && quad < p.k4 { v = a[from_a + row * p.k4 + quad]; }
            sa[lane + i * WG] = v;
        }
        for (var i = 0u; i < LB; i++) { // unroll
            let k = k0 * 4u + (lane + i * WG) / BN4;
            let quad = wg.x * BN4 + (lane + i * WG) % BN4;
            var v = vec4f(0.0);
            if k < p.k && quad < p.n4 { v = b[from_b + k * p.n4 + quad]; }
            sb[lane + i * WG] = v;
        }
        workgroupBarrier();
        for (var k = 0u; k < K4; k++) {
            var av: array<vec4f, TM>;
            for (var m = 0u; m < TM; m++) { av[m] = sa[(l.y + m * WY) * K4 + k]; } // unroll
            for (var j = 0u; j < 4u; j++) { // unroll
                for (var n = 0u; n < N4; n++) { // unroll
                    let bv = sb[(k * 4u + j) * BN4 + n * WX + l.x];
                    for (var m = 0u; m < TM; m++) { acc[m][n] = fma(vec4f(av[m][j]), bv, acc[m][n]); } // unroll
                }
            }
        }
        workgroupBarrier();
    }

    for (var n = 0u; n < N4; n++) { // unroll
        let quad = wg.x * BN4 + n * WX + l.x;
        if quad < p.n4 {
            let bias = vec4f(bias_at(quad * 4u), bias_at(quad * 4u + 1u), bias_at(quad * 4u + 2u), bias_at(quad * 4u + 3u));
            for (var m = 0u; m < TM; m++) { // unroll
                let row = wg.y * BM + l.y + m * WY;
                if row < p.m {
                    let at = (wg.z * p.m + row) * p.n4 + quad;
                    var s = acc[m][n] + bias + residual_at(at);
                    if RELU { s = relu4(s); }
                    y[at] = s;
                }
            }
        }
    }
}
