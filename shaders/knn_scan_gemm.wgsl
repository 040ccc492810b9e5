// y[q, split, :] = the best KEEP rows of a split for query q: (half[row] - a[q].b[row], index)     GPU family: tiles in shared memory
// grid = (splits, queries / (WY * TM)); a [q, 4*k4] in vec4 along k, b [k, m] in vec4 along m; WY * TM <= WX * WY invocations keep lists
// Queries are turned on their way into shared memory and loads are clamped, as in matmul_gemm.wgsl.
#import best
#import skip
#import after

const WX: u32 = 8u;
const WY: u32 = 8u;
const TM: u32 = 8u;
const TN: u32 = 8u;
const TK: u32 = 16u;
const TU: u32 = 4u; // steps of k that are written out
const KEEP: u32 = 4u;
const WG: u32 = WX * WY;
const K4: u32 = TK / 4u;
const BM: u32 = WY * TM;
const BM4: u32 = BM / 4u;
const BN4: u32 = WX * TN / 4u;
const M4: u32 = TM / 4u;
const N4: u32 = TN / 4u;
const LA: u32 = (BM4 * K4 + WG - 1u) / WG; // 4x4 blocks of queries per invocation
const LB: u32 = (TK * BN4 + WG - 1u) / WG; // loads of rows per invocation

struct Params { q: u32, m: u32, k: u32, k4: u32, m4: u32, split: u32, splits: u32, first: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<vec2f>;
@group(0) @binding(2) var<storage, read> a: array<vec4f>;
@group(0) @binding(3) var<storage, read> b: array<vec4f>;
@group(0) @binding(4) var<storage, read> half: array<f32>;

var<workgroup> tiles: array<vec4f, TK * (BM4 + BN4)>; // a [k, query quad], then b [k, row quad]
var<workgroup> dots: array<f32, 4u * WX * BM>; // [row, query] of one slice of the tile

@compute @workgroup_size(WX, WY)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_id) l: vec3u, @builtin(local_invocation_index) lane: u32) {
    let start = wg.x * p.split;
    let end = min(start + p.split, p.m);
    let query = wg.y * BM + lane;
    var keys: array<f32, KEEP>;
    var rows: array<f32, KEEP>;
    for (var t = 0u; t < KEEP; t++) { keys[t] = nobody().x; rows[t] = nobody().y; } // unroll
    for (var tile = start; tile < end; tile += WX * TN) {
        var acc: array<array<vec4f, N4>, TM>;
        for (var k0 = 0u; k0 < p.k4; k0 += K4) {
            for (var i = 0u; i < LA; i++) { // unroll
                let queries = (lane + i * WG) / K4;
                let quad = (lane + i * WG) % K4;
                let column = min(k0 + quad, p.k4 - 1u);
                if LA * WG == BM4 * K4 || queries < BM4 {
                    var v: array<vec4f, 4>;
                    for (var c = 0u; c < 4u; c++) { // unroll
                        v[c] = a[min(wg.y * BM + queries * 4u + c, p.q - 1u) * p.k4 + column];
                    }
                    for (var c = 0u; c < 4u; c++) { // unroll
                        tiles[(quad * 4u + c) * BM4 + queries] = vec4f(v[0][c], v[1][c], v[2][c], v[3][c]);
                    }
                }
            }
            for (var i = 0u; i < LB; i++) { // unroll
                let at = lane + i * WG;
                if LB * WG == TK * BN4 || at < TK * BN4 {
                    let k = k0 * 4u + at / BN4;
                    let v = b[min(k, p.k - 1u) * p.m4 + min(tile / 4u + at % BN4, p.m4 - 1u)];
                    tiles[TK * BM4 + at] = select(vec4f(0.0), v, k < p.k);
                }
            }
            workgroupBarrier();
            var ia = l.y;
            var ib = TK * BM4 + l.x;
            for (var k = min(TK, (p.k4 - k0) * 4u); k >= TU; k -= TU) {
                for (var j = 0u; j < TU; j++) { // unroll
                    var av: array<vec4f, M4>;
                    for (var m = 0u; m < M4; m++) { av[m] = tiles[ia + j * BM4 + m * WY]; } // unroll
                    for (var n = 0u; n < N4; n++) { // unroll
                        let bv = tiles[ib + j * BN4 + n * WX];
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
            for (var m = 0u; m < TM; m++) { // unroll
                for (var c = 0u; c < 4u; c++) { dots[(l.x * 4u + c) * BM + (l.y + m / 4u * WY) * 4u + m % 4u] = acc[m][n][c]; } // unroll
            }
            workgroupBarrier();
            let slice = tile + n * WX * 4u;
            let stop = select(slice, min(end, slice + WX * 4u), lane < BM && query < p.q);
            for (var row = slice; row < stop; row++) {
                var key = clean(half[row] - dots[(row - slice) * BM + lane]);
                if key < keys[KEEP - 1u] && !skipped(query, row + p.first) && wanted(query, key, row + p.first) {
                    var index = f32(row + p.first);
                    for (var t = 0u; t < KEEP; t++) { // unroll
                        let k1 = keys[t];
                        let r1 = rows[t];
                        let better = key < k1;
                        keys[t] = select(k1, key, better);
                        rows[t] = select(r1, index, better);
                        key = select(key, k1, better);
                        index = select(index, r1, better);
                    }
                }
            }
            workgroupBarrier();
        }
    }
    if lane < BM && query < p.q {
        for (var t = 0u; t < KEEP; t++) { y[(query * p.splits + wg.x) * KEEP + t] = vec2f(keys[t], rows[t]); } // unroll
    }
}
