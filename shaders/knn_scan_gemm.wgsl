// y[q, split, :] = the best KEEP rows of a split for query q: (half[row] - a[q].b[row], index)     GPU family: tiles in shared memory
// grid = (splits, queries / (WY * TM)); a [q, 4*k4] in vec4 along k, b [k, m] in vec4 along m; WY * TM <= WX * WY invocations keep lists
#import best
#import skip
#import after

const WX: u32 = 8u;
const WY: u32 = 8u;
const TM: u32 = 8u;
const TN: u32 = 8u;
const TK: u32 = 8u;
const KEEP: u32 = 4u;
const WG: u32 = WX * WY;
const K4: u32 = TK / 4u;
const BM: u32 = WY * TM;
const BN4: u32 = WX * TN / 4u;
const N4: u32 = TN / 4u;
const LA: u32 = BM * K4 / WG;
const LB: u32 = TK * BN4 / WG;

struct Params { q: u32, m: u32, k: u32, k4: u32, m4: u32, split: u32, splits: u32, first: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<vec2f>;
@group(0) @binding(2) var<storage, read> a: array<vec4f>;
@group(0) @binding(3) var<storage, read> b: array<vec4f>;
@group(0) @binding(4) var<storage, read> half: array<f32>;

var<workgroup> sa: array<vec4f, BM * K4>; // [query, k quad]
var<workgroup> sb: array<vec4f, TK * BN4>; // [k, row quad]
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
                let row = wg.y * BM + (lane + i * WG) / K4;
                let quad = k0 + (lane + i * WG) % K4;
                var v = vec4f(0.0);
                if row < p.q && quad < p.k4 { v = a[row * p.k4 + quad]; }
                sa[lane + i * WG] = v;
            }
            for (var i = 0u; i < LB; i++) { // unroll
                let k = k0 * 4u + (lane + i * WG) / BN4;
                let quad = tile / 4u + (lane + i * WG) % BN4;
                var v = vec4f(0.0);
                if k < p.k && quad < p.m4 { v = b[k * p.m4 + quad]; }
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
            for (var m = 0u; m < TM; m++) { // unroll
                for (var c = 0u; c < 4u; c++) { dots[(l.x * 4u + c) * BM + l.y + m * WY] = acc[m][n][c]; } // unroll
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
