// y[b] = a[b] x b[b] + bias [+ z], activated     GPU family: tiles in workgroup memory, TM rows x TN columns per invocation
// grid = (columns / (WX * TN), rows / (WY * TM), batch, or parts * batch where SPLIT); a [m, 4*k4] in vec4 along k, b [k, n] and
// y [m, n] in vec4 along n
// What lies beyond the edges is zero, or read twice and stored nowhere.
#import tile
#import parts
#import bias
#import residual4

struct Params { m: u32, n4: u32, k: u32, k4: u32, step: u32, parts: u32, part: u32, batch: u32, b_batch4: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(2) var<storage, read> a: array<vec4f>;
@group(0) @binding(3) var<storage, read> b: array<vec4f>;

@compute @workgroup_size(WX, WY)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_id) l: vec3u, @builtin(local_invocation_index) lane: u32) {
    let batch = wg.z % p.batch;
    let above = batch * p.m;
    let from_b = batch * p.b_batch4;
    for (var part = 0u; part < p.parts; part++) {
        let begin = select(part, wg.z / p.batch, SPLIT) * p.part;
        var sums: array<array<vec4f, N4>, TM>;
        for (var s = 0u; s < p.part + AFTER; s += K4) {
            let k0 = begin + s;
            var left: array<array<vec4f, 4>, LA>;
            var right: array<vec4f, LB>;
            if !AHEAD || s < p.part {
                for (var i = 0u; i < LA; i++) { // unroll
                    let at = lane + i * WG;
                    if has_left(at) {
                        let quad = k0 + block(at).y;
                        let row = wg.y * BM + block(at).x * 4u;
                        for (var j = 0u; j < 4u; j++) { // unroll
                            let inside = row + j < p.m && quad < p.k4;
                            left[i][j] = select(vec4f(0.0), a[select(0u, (above + row + j) * p.k4 + quad, inside)], inside);
                        }
                        if !AHEAD { put_left(at, left[i]); }
                    }
                }
                for (var i = 0u; i < LB; i++) { // unroll
                    let at = lane + i * WG;
                    if has_right(at) {
                        let k = k0 * 4u + at / BN4;
                        let v = b[from_b + min(k, p.k - 1u) * p.n4 + min(wg.x * BN4 + at % BN4, p.n4 - 1u)];
                        right[i] = select(vec4f(0.0), v, k < p.k);
                        if !AHEAD { tile[RIGHT + at] = right[i]; }
                    }
                }
            }
            turn(&sums, &left, &right, l.xy, lane, vec2u(s, p.part));
        }
        for (var n = 0u; n < N4; n++) { // unroll
            let quad = wg.x * BN4 + n * WX + l.x;
            if quad < p.n4 {
                let bias = vec4f(bias_at(quad * 4u), bias_at(quad * 4u + 1u), bias_at(quad * 4u + 2u), bias_at(quad * 4u + 3u));
                for (var m = 0u; m < TM; m++) { // unroll
                    let row = wg.y * BM + (l.y + m / 4u * WY) * 4u + m % 4u;
                    if row < p.m { store((wg.z * p.m + row) * p.n4 + quad, bias, sums[m][n], part); }
                }
            }
        }
        if !WALK { break; }
    }
}
