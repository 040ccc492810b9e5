// y[b] = a[b] x b[b] + bias [+ z], optional ReLU     GPU family: tiles in shared memory, TM rows x TN columns per invocation
// grid = (columns / (WX * TN), rows / (WY * TM), batch); a [m, 4*k4] in vec4 along k, b [k, n] and y [m, n] in vec4 along n
// a is turned on its way into shared memory, so that a step of k needs TM + TN registers and not TM * 4 + TN: Intel's compiler spills
// otherwise. Loads are clamped, not skipped: what lies beyond the edges is read twice and stored nowhere.
#import nonfinite
#import bias
#import residual4

const WX: u32 = 8u;
const WY: u32 = 8u;
const TM: u32 = 8u;
const TN: u32 = 8u;
const TK: u32 = 16u;
const TU: u32 = 4u; // steps of k that are written out
const RELU: bool = false;
const WG: u32 = WX * WY;
const K4: u32 = TK / 4u;
const BM: u32 = WY * TM;
const BM4: u32 = BM / 4u;
const BN4: u32 = WX * TN / 4u;
const M4: u32 = TM / 4u;
const N4: u32 = TN / 4u;
const LA: u32 = (BM4 * K4 + WG - 1u) / WG; // 4x4 blocks of a per invocation
const LB: u32 = (TK * BN4 + WG - 1u) / WG; // loads of b per invocation

struct Params { m: u32, n4: u32, k: u32, k4: u32, b_batch4: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(2) var<storage, read> a: array<vec4f>;
@group(0) @binding(3) var<storage, read> b: array<vec4f>;

var<workgroup> tile: array<vec4f, TK * (BM4 + BN4)>; // a [k, row quad], then b [k, column quad]

@compute @workgroup_size(WX, WY)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_id) l: vec3u, @builtin(local_invocation_index) lane: u32) {
    let above = wg.z * p.m;
    let from_b = wg.z * p.b_batch4;
    var acc: array<array<vec4f, N4>, TM>;
    for (var k0 = 0u; k0 < p.k4; k0 += K4) {
        for (var i = 0u; i < LA; i++) { // unroll
            let rows = (lane + i * WG) / K4;
            let quad = (lane + i * WG) % K4;
            let column = min(k0 + quad, p.k4 - 1u);
            if LA * WG == BM4 * K4 || rows < BM4 {
                var v: array<vec4f, 4>;
                for (var c = 0u; c < 4u; c++) { // unroll
                    let row = min(wg.y * BM + rows * 4u + c, p.m - 1u);
                    v[c] = a[(above + row) * p.k4 + column];
                }
                for (var c = 0u; c < 4u; c++) { // unroll
                    tile[(quad * 4u + c) * BM4 + rows] = vec4f(v[0][c], v[1][c], v[2][c], v[3][c]);
                }
            }
        }
        for (var i = 0u; i < LB; i++) { // unroll
            let at = lane + i * WG;
            if LB * WG == TK * BN4 || at < TK * BN4 {
                let k = k0 * 4u + at / BN4;
                let v = b[from_b + min(k, p.k - 1u) * p.n4 + min(wg.x * BN4 + at % BN4, p.n4 - 1u)];
                tile[TK * BM4 + at] = select(vec4f(0.0), v, k < p.k);
            }
        }
        workgroupBarrier();
        var ia = l.y;
        var ib = TK * BM4 + l.x;
        // Counting down to nothing: drivers do not write such a loop out again, which would spill.
        for (var k = min(TK, (p.k4 - k0) * 4u); k >= TU; k -= TU) {
            for (var j = 0u; j < TU; j++) { // unroll
                var av: array<vec4f, M4>;
                for (var m = 0u; m < M4; m++) { av[m] = tile[ia + j * BM4 + m * WY]; } // unroll
                for (var n = 0u; n < N4; n++) { // unroll
                    let bv = tile[ib + j * BN4 + n * WX];
                    for (var m = 0u; m < M4; m++) { // unroll
                        for (var c = 0u; c < 4u; c++) { // unroll
                            acc[m * 4u + c][n] = fma(vec4f(av[m][c]), bv, acc[m * 4u + c][n]);
                        }
                    }
                }
            }
            ia += TU * BM4;
            ib += TU * BN4;
        }
        workgroupBarrier();
    }

    for (var n = 0u; n < N4; n++) { // unroll
        let quad = wg.x * BN4 + n * WX + l.x;
        if quad < p.n4 {
            let bias = vec4f(bias_at(quad * 4u), bias_at(quad * 4u + 1u), bias_at(quad * 4u + 2u), bias_at(quad * 4u + 3u));
            for (var m = 0u; m < TM; m++) { // unroll
                let row = wg.y * BM + (l.y + m / 4u * WY) * 4u + m % 4u;
                if row < p.m {
                    let at = (above + row) * p.n4 + quad;
                    var s = acc[m][n] + bias + residual_at(at);
                    if RELU { s = relu4(s); }
                    y[at] = s;
                }
            }
        }
    }
}
