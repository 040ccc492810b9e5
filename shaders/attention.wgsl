// y = softmax(q k' * scale) v of a head     GPU family: tiles of QUERIES x KEYS, the softmax carried along (Milakov and Gimelshein 2018)
// grid = (tokens / QUERIES, heads, pictures); an invocation has TM queries x 4 keys of a tile, and TM queries x C4 quads of the output
#import heads_four
#import nonfinite

const WX: u32 = 8u;
const WY: u32 = 8u;
const TM: u32 = 4u;
const D4: u32 = 16u; // quads of a head
const KV: u32 = 16u; // values in workgroup memory at a time
const WG: u32 = WX * WY;
const M4: u32 = TM / 4u;
const C4: u32 = (D4 + WX - 1u) / WX;
const QUERIES: u32 = WY * TM;
const Q4: u32 = QUERIES / 4u;
const KEYS: u32 = WX * 4u;
const K4: u32 = 4u; // quads of a head in workgroup memory at a time, of queries and keys
const ROW: u32 = Q4 + WX + 1u; // in workgroup memory: a step of the head, of queries and keys, and one more, as in tile.wgsl
const BLOCKS: u32 = (Q4 + WX) * K4; // of 4x4 elements
const LB: u32 = (BLOCKS + WG - 1u) / WG;
const LV: u32 = (KV * D4 + WG - 1u) / WG;
const LOWEST: f32 = -3.4e38;

struct Params { tokens: u32, heads: u32, size: u32, scale: f32, quads: u32, keys: u32, step: u32 } // the last three are D4, KEYS and 16
@group(0) @binding(0) var<uniform> p: Params;

var<workgroup> tile: array<vec4f, max(K4 * 4u * ROW, KV * D4)>; // queries and keys [step, quad of tokens], or values [key, quad]
var<workgroup> shares: array<vec4f, KEYS * Q4>; // [key, quad of queries]
var<workgroup> edges: array<vec4f, WX * Q4>; // what each invocation knows of its queries

fn power(v: vec4f) -> vec4f {
    return select(exp(v), v, nan4(v));
}

fn load_queries_and_keys(head: vec2u, query: u32, key: u32, quad: u32, lane: u32) {
    for (var i = 0u; i < LB; i++) { // unroll
        let b = lane + i * WG;
        if LB * WG == BLOCKS || b < BLOCKS {
            let rows = b / K4;
            let part = select(1u, 0u, rows < Q4);
            let token = select(key + (rows - Q4) * 4u, query + rows * 4u, rows < Q4);
            let at = quad + b % K4;
            let v0 = part_at(head, token, part, at);
            let v1 = part_at(head, token + 1u, part, at);
            let v2 = part_at(head, token + 2u, part, at);
            let v3 = part_at(head, token + 3u, part, at);
            let to = b % K4 * 4u * ROW + rows;
            for (var j = 0u; j < 4u; j++) { tile[to + j * ROW] = vec4f(v0[j], v1[j], v2[j], v3[j]); } // unroll
        }
    }
}

// Adds the products of the steps in workgroup memory. Trips of loops are params, as in tile.wgsl: compilers that know them write loops
// out, and spill.
fn add_products(s: ptr<function, array<vec4f, TM>>, l: vec2u) {
    var at = 0u;
    for (var k = p.step; k >= 4u; k -= 4u) {
        for (var j = 0u; j < 4u; j++) { // unroll
            let b = tile[at + j * ROW + Q4 + l.x];
            for (var m = 0u; m < M4; m++) { // unroll
                let a = tile[at + j * ROW + m * WY + l.y];
                for (var c = 0u; c < 4u; c++) { (*s)[m * 4u + c] = fma(vec4f(a[c]), b, (*s)[m * 4u + c]); } // unroll
            }
        }
        at += 4u * ROW;
    }
}

fn load_values(head: vec2u, key: u32, lane: u32) {
    for (var i = 0u; i < LV; i++) { // unroll
        let at = lane + i * WG;
        if LV * WG == KV * D4 || at < KV * D4 { tile[at] = part_at(head, key + at / D4, 2u, at % D4); }
    }
}

// Beyond the head's end, where it ends within a quad of invocations, something is read, and stored nowhere.
fn value_at(at: u32) -> u32 {
    if D4 % WX == 0u { return at; }
    return min(at, KV * D4 - 1u);
}

fn add_values(o: ptr<function, array<array<vec4f, C4>, TM>>, l: vec2u, first: u32) {
    var at = first * Q4 + l.y;
    var from_tile = l.x;
    for (var k = p.step; k >= 4u; k -= 4u) {
        for (var j = 0u; j < 4u; j++) { // unroll
            for (var m = 0u; m < M4; m++) { // unroll
                let a = shares[at + j * Q4 + m * WY];
                for (var n = 0u; n < C4; n++) { // unroll
                    let b = tile[value_at(from_tile + j * D4 + n * WX)];
                    for (var c = 0u; c < 4u; c++) { (*o)[m * 4u + c][n] = fma(vec4f(a[c]), b, (*o)[m * 4u + c][n]); } // unroll
                }
            }
        }
        at += 4u * Q4;
        from_tile += 4u * D4;
    }
}

@compute @workgroup_size(WX, WY)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_id) l: vec3u, @builtin(local_invocation_index) lane: u32) {
    let head = wg.yz;
    let query = wg.x * QUERIES;
    var o: array<array<vec4f, C4>, TM>;
    var best: array<vec4f, M4>;
    var total: array<vec4f, M4>;
    for (var m = 0u; m < M4; m++) { best[m] = vec4f(LOWEST); } // unroll
    for (var key = 0u; key < p.tokens; key += KEYS) {
        var s: array<vec4f, TM>;
        for (var quad = 0u; quad < p.quads; quad += K4) {
            load_queries_and_keys(head, query, key, quad, lane);
            workgroupBarrier();
            add_products(&s, l.xy);
            workgroupBarrier();
        }
        let used = vec4u(key + l.x * 4u) + vec4u(0u, 1u, 2u, 3u) < vec4u(p.tokens);
        for (var m = 0u; m < M4; m++) { // unroll
            var top: vec4f;
            for (var c = 0u; c < 4u; c++) { // unroll
                s[m * 4u + c] = select(vec4f(LOWEST), s[m * 4u + c] * p.scale, used);
                let v = s[m * 4u + c];
                top[c] = max(max(v.x, v.y), max(v.z, v.w));
            }
            edges[l.x * Q4 + m * WY + l.y] = top;
        }
        workgroupBarrier();
        for (var m = 0u; m < M4; m++) { // unroll
            var top = best[m];
            for (var i = 0u; i < WX; i++) { top = max(top, edges[i * Q4 + m * WY + l.y]); } // unroll
            let before = power(best[m] - top);
            best[m] = top;
            total[m] *= before;
            for (var c = 0u; c < 4u; c++) { // unroll
                let share = select(vec4f(0.0), power(s[m * 4u + c] - vec4f(top[c])), used);
                s[m * 4u + c] = share;
                total[m][c] += (share.x + share.y) + (share.z + share.w);
                for (var n = 0u; n < C4; n++) { o[m * 4u + c][n] *= before[c]; } // unroll
            }
            for (var i = 0u; i < 4u; i++) { // unroll
                shares[(l.x * 4u + i) * Q4 + m * WY + l.y] = vec4f(s[m * 4u][i], s[m * 4u + 1u][i], s[m * 4u + 2u][i], s[m * 4u + 3u][i]);
            }
        }
        for (var first = 0u; first < p.keys; first += KV) {
            load_values(head, key + first, lane);
            workgroupBarrier();
            add_values(&o, l.xy, first);
            workgroupBarrier();
        }
    }
    for (var m = 0u; m < M4; m++) { edges[l.x * Q4 + m * WY + l.y] = total[m]; } // unroll
    workgroupBarrier();
    for (var m = 0u; m < M4; m++) { // unroll
        var sum = vec4f(0.0);
        for (var i = 0u; i < WX; i++) { sum += edges[i * Q4 + m * WY + l.y]; } // unroll
        for (var c = 0u; c < 4u; c++) { // unroll
            let token = query + (m * WY + l.y) * 4u + c;
            for (var n = 0u; n < C4; n++) { put(head, token, n * WX + l.x, o[m * 4u + c][n] / sum[c]); } // unroll
        }
    }
}
