// The gradient by the queries of a head, and what the one by its keys and values has to know of each query     GPU family: tiles of ROWS
// queries x COLUMNS keys, the softmax carried along as in attention.wgsl
// grid = (tokens / ROWS, heads, pictures); y[i] = slope * sum over j of P[i, j] (dy[i] v[j]' - dy[i] z[i]') k[j], where P is the softmax of
// the scores and z what attention gave; then facts: the highest score as a power of two, 1 / the sum of the others' powers beside it,
// and dy[i] z[i]'
#import attention_tile
#import gradient_four
#import nonfinite

const LOWEST: f32 = -3.4e38;

struct Params {
    tokens: u32, heads: u32, size: u32, scale: f32, slope: f32, // scale: of scores as powers of two
    quads: u32, keys: u32, step: u32, // D4, COLUMNS and 16
    z_row: u32, y_row: u32,
}
@group(0) @binding(0) var<uniform> p: Params;

var<workgroup> edges: array<vec4f, WX * R4>; // what each invocation knows of its queries
// dy z' of each query, in parts at first. In registers instead, it and what it is made of took 45 more on Intel's chips, which spilled.
var<workgroup> along: array<f32, WG>;

fn power(v: vec4f) -> vec4f {
    return select(exp2(v), v, nan4(v));
}

// dy z' of one query, as far as an invocation's quads go: each query has WX / 4 invocations.
fn along_own(head: vec2u, query: u32, lane: u32) -> f32 {
    var sum = 0.0;
    for (var quad = 0u; quad < p.quads; quad += WX / 4u) {
        let at = quad + lane / ROWS;
        sum += dot(part_at(head, query + lane % ROWS, 3u, at), z_at(head, query + lane % ROWS, at));
    }
    return sum;
}

// The sum of what all invocations know of the same four queries.
fn over_edges(from_edge: u32) -> vec4f {
    var sum = vec4f(0.0);
    for (var i = 0u; i < WX; i++) { sum += edges[i * R4 + from_edge]; } // unroll
    return sum;
}

@compute @workgroup_size(WX, WY)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_id) l: vec3u, @builtin(local_invocation_index) lane: u32) {
    let head = wg.yz;
    let query = wg.x * ROWS;
    var o: array<array<vec4f, C4>, TM>;
    var best: array<vec4f, M4>;
    var total: array<vec4f, M4>;
    for (var m = 0u; m < M4; m++) { best[m] = vec4f(LOWEST); } // unroll
    along[lane] = along_own(head, query, lane);
    workgroupBarrier();
    if lane < ROWS {
        for (var i = 1u; i < WX / 4u; i++) { along[lane] += along[i * ROWS + lane]; } // unroll
    }
    workgroupBarrier();
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
        // After the softmax, which needs registers of its own.
        var t: array<vec4f, TM>;
        for (var quad = 0u; quad < p.quads; quad += K4) {
            load_sides(head, query, key, vec2u(3u, 2u), quad, lane);
            workgroupBarrier();
            add_products(&t, l.xy);
            workgroupBarrier();
        }
        for (var c = 0u; c < TM; c++) { s[c] = select(vec4f(0.0), s[c] * (t[c] - vec4f(along[(c / 4u * WY + l.y) * 4u + c % 4u])), used); } // unroll
        put_shares(s, l.xy);
        for (var first = 0u; first < p.keys; first += KV) {
            load_values(head, key + first, 1u, lane);
            workgroupBarrier();
            add_values(&o, l.xy, first);
            workgroupBarrier();
        }
    }
    for (var m = 0u; m < M4; m++) { edges[l.x * R4 + m * WY + l.y] = total[m]; } // unroll
    workgroupBarrier();
    for (var m = 0u; m < M4; m++) { // unroll
        let sum = over_edges(m * WY + l.y);
        let inverse = 1.0 / sum;
        let highest = select(best[m], sum, nan4(sum));
        for (var c = 0u; c < 4u; c++) { // unroll
            let token = query + (m * WY + l.y) * 4u + c;
            for (var n = 0u; n < C4; n++) { put(head, token, 0u, n * WX + l.x, o[m * 4u + c][n] * (inverse[c] * p.slope)); } // unroll
            if l.x == 0u { put_facts(head, token, vec4f(highest[c], inverse[c], along[(m * WY + l.y) * 4u + c], 0.0)); }
        }
    }
}
