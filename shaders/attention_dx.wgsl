// The gradient by queries, keys and values of a head     GPU family: tiles of ROWS keys x COLUMNS queries
// grid = (tokens / ROWS, heads, pictures); z is what attention_dq.wgsl writes: the gradient by queries, which is passed on, and of each
// query the facts from which its shares P are had again. By v[j]: sum over i of P[i, j] dy[i]; by k[j]: slope * sum over i of
// P[i, j] (dy[i] v[j]' - along[i]) q[i]
#import attention_tile
#import gradient_four
#import nonfinite

struct Params {
    tokens: u32, heads: u32, size: u32, scale: f32, slope: f32, // scale: of scores as powers of two
    quads: u32, keys: u32, step: u32, // D4, COLUMNS and 16
    z_row: u32, y_row: u32,
}
@group(0) @binding(0) var<uniform> p: Params;

// 2 to a power that is 0 at most: the highest score may be rounded otherwise than here.
fn power(v: vec4f) -> vec4f {
    return select(exp2(min(v, vec4f(0.0))), v, nan4(v));
}

@compute @workgroup_size(WX, WY)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_id) l: vec3u, @builtin(local_invocation_index) lane: u32) {
    let head = wg.yz;
    let key = wg.x * ROWS;
    var by_keys: array<array<vec4f, C4>, TM>;
    var by_values: array<array<vec4f, C4>, TM>;
    for (var query = 0u; query < p.tokens; query += COLUMNS) {
        let used = vec4u(query + l.x * 4u) + vec4u(0u, 1u, 2u, 3u) < vec4u(p.tokens);
        let f0 = facts_at(head, query + l.x * 4u);
        let f1 = facts_at(head, query + l.x * 4u + 1u);
        let f2 = facts_at(head, query + l.x * 4u + 2u);
        let f3 = facts_at(head, query + l.x * 4u + 3u);
        let highest = vec4f(f0.x, f1.x, f2.x, f3.x);
        let inverse = vec4f(f0.y, f1.y, f2.y, f3.y);
        let along = vec4f(f0.z, f1.z, f2.z, f3.z);
        var s: array<vec4f, TM>;
        for (var quad = 0u; quad < p.quads; quad += K4) {
            load_sides(head, key, query, vec2u(1u, 0u), quad, lane);
            workgroupBarrier();
            add_products(&s, l.xy);
            workgroupBarrier();
        }
        for (var c = 0u; c < TM; c++) { s[c] = select(vec4f(0.0), power(s[c] * p.scale - highest) * inverse, used); } // unroll
        put_shares(s, l.xy);
        for (var first = 0u; first < p.keys; first += KV) {
            load_values(head, query + first, 3u, lane);
            workgroupBarrier();
            add_values(&by_values, l.xy, first);
            workgroupBarrier();
        }
        var t: array<vec4f, TM>;
        for (var quad = 0u; quad < p.quads; quad += K4) {
            load_sides(head, key, query, vec2u(2u, 3u), quad, lane);
            workgroupBarrier();
            add_products(&t, l.xy);
            workgroupBarrier();
        }
        for (var c = 0u; c < TM; c++) { t[c] = select(vec4f(0.0), s[c] * (t[c] - along), used); } // unroll
        put_shares(t, l.xy);
        for (var first = 0u; first < p.keys; first += KV) {
            load_values(head, query + first, 0u, lane);
            workgroupBarrier();
            add_values(&by_keys, l.xy, first);
            workgroupBarrier();
        }
    }
    for (var c = 0u; c < TM; c++) { // unroll
        let token = key + (c / 4u * WY + l.y) * 4u + c % 4u;
        for (var n = 0u; n < C4; n++) { // unroll
            let quad = n * WX + l.x;
            put(head, token, 0u, quad, z_at(head, token, quad));
            put(head, token, 1u, quad, by_keys[c][n] * p.slope);
            put(head, token, 2u, quad, by_values[c][n]);
        }
    }
}
