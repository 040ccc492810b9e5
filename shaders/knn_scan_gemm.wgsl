// y[q, split, :] = the best KEEP rows of a split for query q: (half[row] - a[q].b[row], index)     GPU family: tiles in workgroup memory
// grid = (splits, queries / (WY * TM)); a [q, 4*k4] in vec4 along k, b [k, m] in vec4 along m; WY * TM <= WX * WY invocations keep lists
// A tile has queries as its rows and the bank's rows as its columns; what lies beyond the edges is zero, or read twice.
#import tile
#import best
#import skip
#import after

const KEEP: u32 = 4u;

struct Params { q: u32, m: u32, k: u32, k4: u32, step: u32, m4: u32, split: u32, splits: u32, first: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<vec2f>;
@group(0) @binding(2) var<storage, read> a: array<vec4f>;
@group(0) @binding(3) var<storage, read> b: array<vec4f>;
@group(0) @binding(4) var<storage, read> half: array<f32>;

@compute @workgroup_size(WX, WY)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_id) l: vec3u, @builtin(local_invocation_index) lane: u32) {
    let start = wg.x * p.split;
    let end = min(start + p.split, p.m);
    var keys: array<f32, KEEP>;
    var rows: array<f32, KEEP>;
    for (var t = 0u; t < KEEP; t++) { keys[t] = nobody().x; rows[t] = nobody().y; } // unroll
    for (var first = start; first < end; first += WX * TN) {
        var sums: array<array<vec4f, N4>, TM>;
        for (var s = 0u; s < p.k4 + AFTER; s += K4) {
            var left: array<array<vec4f, 4>, LA>;
            var right: array<vec4f, LB>;
            if !AHEAD || s < p.k4 {
                for (var i = 0u; i < LA; i++) { // unroll
                    let at = lane + i * WG;
                    if has_left(at) {
                        let quad = s + block(at).y;
                        let row = (wg.y * BM4 + block(at).x) * 4u;
                        for (var j = 0u; j < 4u; j++) { // unroll
                            let inside = row + j < p.q && quad < p.k4;
                            left[i][j] = select(vec4f(0.0), a[select(0u, (row + j) * p.k4 + quad, inside)], inside);
                        }
                        if !AHEAD { put_left(at, left[i]); }
                    }
                }
                for (var i = 0u; i < LB; i++) { // unroll
                    let at = lane + i * WG;
                    if has_right(at) {
                        let k = s * 4u + at / BN4;
                        let v = b[min(k, p.k - 1u) * p.m4 + min(first / 4u + at % BN4, p.m4 - 1u)];
                        right[i] = select(vec4f(0.0), v, k < p.k);
                        if !AHEAD { tile[RIGHT + at] = right[i]; }
                    }
                }
            }
            turn(&sums, &left, &right, l.xy, lane, vec2u(s, p.k4));
        }
        for (var n = 0u; n < N4; n++) { // unroll
            // The products of a slice of the tile's rows [row, query quad] lie where the operands were.
            for (var m = 0u; m < TM; m++) { // unroll
                for (var c = 0u; c < 4u; c++) { tile[(l.x * 4u + c) * BM4 + l.y + m / 4u * WY][m % 4u] = sums[m][n][c]; } // unroll
            }
            workgroupBarrier();
            let slice = first + n * WX * 4u;
            let stop = select(0u, min(end, slice + WX * 4u), lane < BM && wg.y * BM + lane < p.q);
            for (var row = slice; row < stop; row++) {
                var key = clean(half[row] - tile[(row - slice) * BM4 + lane / 4u][lane % 4u]);
                if key < keys[KEEP - 1u] && !skipped(wg.y * BM + lane, row + p.first) && wanted(wg.y * BM + lane, key, row + p.first) {
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
    let query = wg.y * BM + lane;
    if lane < BM && query < p.q {
        for (var t = 0u; t < KEEP; t++) { y[(query * p.splits + wg.x) * KEEP + t] = vec2f(keys[t], rows[t]); } // unroll
    }
}
