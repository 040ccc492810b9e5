// What attention_dx.wgsl computes     software family: lanes run along keys, queries are spread by shuffles, eight at a time
// grid = (tokens / (LANES * TN), heads, pictures); workgroup = one subgroup of LANES
// All matrices have a row for each token and lie alike, as in attention_dq_software.wgsl, which writes z; queries are multiplied by the
// scale on their way in, which p.slope makes good.
#import eight
#import nonfinite
#import power
#import rows_image

struct Params {
    tokens: u32, heads: u32, scale: f32, slope: f32, row4: u32,
    in0_plane_w: u32, in0_plane_h: u32, out_plane_h: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(2) var x: texture_storage_2d<rgba32float, read>;
@group(0) @binding(3) var dy: texture_storage_2d<rgba32float, read>;
@group(0) @binding(4) var z: texture_storage_2d<rgba32float, read>;

// 2 to a power that is 0 at most, where NaN stays and what is below 2^-126 is nothing.
fn power(v: vec4f) -> vec4f {
    let bounded = min(v, vec4f(0.0));
    return select(select(power2(bounded), vec4f(0.0), v < vec4f(-126.0)), v, nan4(v));
}

// What eight queries have in a plane, loaded jointly, and what the gradients by what they gave have.
fn queries(tokens: array<vec2u, LOADS>, plane: u32) -> array<vec4f, LOADS> {
    var v: array<vec4f, LOADS>;
    for (var i = 0u; i < LOADS; i++) { v[i] = textureLoad(x, tokens[i] + vec2u(0u, plane * p.in0_plane_h)) * p.scale; } // unroll
    return v;
}

fn gradients(tokens: array<vec2u, LOADS>, plane: u32) -> array<vec4f, LOADS> {
    var v: array<vec4f, LOADS>;
    for (var i = 0u; i < LOADS; i++) { v[i] = textureLoad(dy, tokens[i] + vec2u(0u, plane * p.in0_plane_h)); } // unroll
    return v;
}

// The facts of eight queries, of four in each vector: highest score, 1 / sum, what gradient and output have in common.
fn facts_of(tokens: array<vec2u, LOADS>, plane: u32) -> array<array<vec4f, 3>, 2> {
    var v: array<vec4f, LOADS>;
    for (var i = 0u; i < LOADS; i++) { v[i] = textureLoad(z, tokens[i] + vec2u(0u, plane * p.in0_plane_h)); } // unroll
    var facts: array<array<vec4f, 3>, 2>;
    for (var g = 0u; g < 2u; g++) { // unroll
        for (var c = 0u; c < 4u; c++) { // unroll
            let row = subgroupShuffle(v[(4u * g + c) / LANES], (4u * g + c) % LANES);
            for (var i = 0u; i < 3u; i++) { facts[g][i][c] = row[i]; } // unroll
        }
    }
    return facts;
}

fn own_of(src: array<vec2u, TN>, plane: u32) -> array<vec4f, TN> {
    var v: array<vec4f, TN>;
    for (var j = 0u; j < TN; j++) { v[j] = textureLoad(x, src[j] + vec2u(0u, plane * p.in0_plane_h)); } // unroll
    return v;
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lane: u32) {
    let above = wg.z * p.tokens;
    let first = wg.x * LANES * TN + lane;
    let planes = p.heads * D4;
    let own = wg.y * D4;
    var src: array<vec2u, TN>;
    for (var j = 0u; j < TN; j++) { // unroll
        src[j] = divided(above + min(first + j * LANES, p.tokens - 1u), p.in0_plane_w); // lanes past the end repeat the last token
    }
    var k: array<array<vec4f, TN>, D4>;
    var v: array<array<vec4f, TN>, D4>;
    for (var d = 0u; d < D4; d++) { // unroll
        k[d] = own_of(src, planes + own + d);
        v[d] = own_of(src, 2u * planes + own + d);
    }

    var by_keys: array<array<vec4f, TN>, D4>;
    var by_values: array<array<vec4f, TN>, D4>;
    for (var query = 0u; query < p.tokens; query += 8u) {
        let at = eight_from(above, query, lane);
        let facts = facts_of(at, planes + wg.y);
        var s: array<array<vec4f, TN>, 2>;
        var t: array<array<vec4f, TN>, 2>;
        for (var d = 0u; d < D4; d++) { s = with_scores(s, k[d], queries(at, own + d)); } // unroll
        for (var g = 0u; g < 2u; g++) { // unroll
            let used = used_from(query + 4u * g);
            for (var j = 0u; j < TN; j++) { s[g][j] = select(vec4f(0.0), power(s[g][j] - facts[g][0]) * facts[g][1], used); } // unroll
        }
        for (var d = 0u; d < D4; d++) { // unroll
            let given = gradients(at, own + d);
            t = with_scores(t, v[d], given);
            by_values[d] = with_values(by_values[d], s, given);
        }
        for (var g = 0u; g < 2u; g++) { // unroll
            let used = used_from(query + 4u * g);
            for (var j = 0u; j < TN; j++) { s[g][j] = select(vec4f(0.0), s[g][j] * (t[g][j] - facts[g][2]), used); } // unroll
        }
        for (var d = 0u; d < D4; d++) { by_keys[d] = with_values(by_keys[d], s, queries(at, own + d)); } // unroll
    }

    for (var j = 0u; j < TN; j++) { // unroll
        let token = first + j * LANES;
        if token < p.tokens {
            for (var d = 0u; d < D4; d++) { // unroll
                put(above + token, src[j], own + d, textureLoad(z, src[j] + vec2u(0u, (own + d) * p.in0_plane_h)));
                put(above + token, src[j], planes + own + d, by_keys[d][j] * p.slope);
                put(above + token, src[j], 2u * planes + own + d, by_values[d][j]);
            }
        }
    }
}
