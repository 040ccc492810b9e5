// y = softmax(q k' * scale) v of a head     GPU family: tiles of ROWS queries x COLUMNS keys, the softmax carried along (Milakov and
// Gimelshein 2018)
// grid = (tokens / ROWS, heads, pictures); an invocation has TM queries x 4 keys of a tile, and TM queries x C4 quads of the output
#import attention_tile
#import heads_four
#import nonfinite

const LOWEST: f32 = -3.4e38;

struct Params { tokens: u32, heads: u32, size: u32, scale: f32, quads: u32, keys: u32, step: u32 } // the last three are D4, COLUMNS and 16
@group(0) @binding(0) var<uniform> p: Params;

var<workgroup> edges: array<vec4f, WX * R4>; // what each invocation knows of its queries

fn power(v: vec4f) -> vec4f {
    return select(exp(v), v, nan4(v));
}

@compute @workgroup_size(WX, WY)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_id) l: vec3u, @builtin(local_invocation_index) lane: u32) {
    let head = wg.yz;
    let query = wg.x * ROWS;
    var o: array<array<vec4f, C4>, TM>;
    var best: array<vec4f, M4>;
    var total: array<vec4f, M4>;
    for (var m = 0u; m < M4; m++) { best[m] = vec4f(LOWEST); } // unroll
    for (var key = 0u; key < p.tokens; key += COLUMNS) {
        var s: array<vec4f, TM>;
        for (var quad = 0u; quad < p.quads; quad += K4) {
            load_sides(head, query, key, vec2u(0u, 1u), quad, lane);
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
            edges[l.x * R4 + m * WY + l.y] = top;
        }
        workgroupBarrier();
        for (var m = 0u; m < M4; m++) { // unroll
            var top = best[m];
            for (var i = 0u; i < WX; i++) { top = max(top, edges[i * R4 + m * WY + l.y]); } // unroll
            let before = power(best[m] - top);
            best[m] = top;
            total[m] *= before;
            for (var c = 0u; c < 4u; c++) { // unroll
                let share = select(vec4f(0.0), power(s[m * 4u + c] - vec4f(top[c])), used);
                s[m * 4u + c] = share;
                total[m][c] += (share.x + share.y) + (share.z + share.w);
                for (var n = 0u; n < C4; n++) { o[m * 4u + c][n] *= before[c]; } // unroll
            }
        }
        put_shares(s, l.xy);
        for (var first = 0u; first < p.keys; first += KV) {
            load_values(head, key + first, 2u, lane);
            workgroupBarrier();
            add_values(&o, l.xy, first);
            workgroupBarrier();
        }
    }
    for (var m = 0u; m < M4; m++) { edges[l.x * R4 + m * WY + l.y] = total[m]; } // unroll
    workgroupBarrier();
    for (var m = 0u; m < M4; m++) { // unroll
        var sum = vec4f(0.0);
        for (var i = 0u; i < WX; i++) { sum += edges[i * R4 + m * WY + l.y]; } // unroll
        for (var c = 0u; c < 4u; c++) { // unroll
            let token = query + (m * WY + l.y) * 4u + c;
            for (var n = 0u; n < C4; n++) { put(head, token, n * WX + l.x, o[m * 4u + c][n] / sum[c]); } // unroll
        }
    }
}
