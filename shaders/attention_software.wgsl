// y = softmax(q k' * scale) v of a head     software family: lanes run along queries, keys and values are spread by shuffles
// grid = (tokens / (LANES * TN), heads, pictures); workgroup = one subgroup of LANES; the softmax is carried along, eight keys at a time
// The tokens of all pictures are the rows of a matrix; a head has D4 planes of it, queries first, then keys, then values.
#import eight
#import nonfinite
#import power

const LOWEST: f32 = -3.4e38;

struct Params {
    tokens: u32, heads: u32, scale: f32,
    in0_plane_w: u32, in0_plane_h: u32, out_plane_w: u32, out_plane_h: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var y: texture_storage_2d<rgba32float, write>;
@group(0) @binding(2) var x: texture_storage_2d<rgba32float, read>;

// 2 to the power z, where NaN stays and what is below 2^-126 is nothing.
fn power(z: vec4f) -> vec4f {
    return select(select(power2(z), vec4f(0.0), z < vec4f(-126.0)), z, nan4(z));
}

// What eight keys or values have in a plane, loaded jointly.
fn eight(tokens: array<vec2u, LOADS>, plane: u32) -> array<vec4f, LOADS> {
    var v: array<vec4f, LOADS>;
    for (var i = 0u; i < LOADS; i++) { v[i] = textureLoad(x, tokens[i] + vec2u(0u, plane * p.in0_plane_h)); } // unroll
    return v;
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lane: u32) {
    let above = wg.z * p.tokens;
    let first = wg.x * LANES * TN + lane;
    let planes = p.heads * D4;
    var src: array<vec2u, TN>;
    for (var j = 0u; j < TN; j++) { // unroll
        src[j] = divided(above + min(first + j * LANES, p.tokens - 1u), p.in0_plane_w); // lanes past the end repeat the last token
    }
    var q: array<array<vec4f, TN>, D4>;
    for (var d = 0u; d < D4; d++) { // unroll
        for (var j = 0u; j < TN; j++) { q[d][j] = textureLoad(x, src[j] + vec2u(0u, (wg.y * D4 + d) * p.in0_plane_h)) * p.scale; } // unroll
    }

    var o: array<array<vec4f, TN>, D4>;
    var best: array<f32, TN>;
    var total: array<f32, TN>;
    for (var j = 0u; j < TN; j++) { best[j] = LOWEST; } // unroll
    for (var key = 0u; key < p.tokens; key += 8u) {
        let at = eight_from(above, key, lane);
        var s: array<array<vec4f, TN>, 2>;
        for (var d = 0u; d < D4; d++) { s = with_scores(s, q[d], eight(at, planes + wg.y * D4 + d)); } // unroll
        for (var j = 0u; j < TN; j++) { // unroll
            for (var g = 0u; g < 2u; g++) { s[g][j] = select(vec4f(LOWEST), s[g][j], used_from(key + 4u * g)); } // unroll
            let top = max(s[0][j], s[1][j]);
            let highest = max(best[j], max(max(top.x, top.y), max(top.z, top.w)));
            let before = power(vec4f(best[j] - highest)).x;
            best[j] = highest;
            for (var g = 0u; g < 2u; g++) { s[g][j] = select(vec4f(0.0), power(s[g][j] - highest), used_from(key + 4u * g)); } // unroll
            let four = s[0][j] + s[1][j];
            total[j] = total[j] * before + ((four.x + four.y) + (four.z + four.w));
            for (var d = 0u; d < D4; d++) { o[d][j] *= before; } // unroll
        }
        for (var d = 0u; d < D4; d++) { o[d] = with_values(o[d], s, eight(at, 2u * planes + wg.y * D4 + d)); } // unroll
    }

    for (var j = 0u; j < TN; j++) { // unroll
        let token = first + j * LANES;
        let dst = divided(above + token, p.out_plane_w);
        if token < p.tokens {
            for (var d = 0u; d < D4; d++) { textureStore(y, dst + vec2u(0u, (wg.y * D4 + d) * p.out_plane_h), o[d][j] / total[j]); } // unroll
        }
    }
}
