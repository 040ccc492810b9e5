// What attention_dq.wgsl computes     software family: lanes run along queries, keys and values are spread by shuffles, eight at a time
// grid = (tokens / (LANES * TN), heads, pictures); workgroup = one subgroup of LANES; the softmax is carried along
// The tokens of all pictures are the rows of every matrix here, so all lie alike: a head has D4 planes of dy, of z and of y, which has the
// facts of each head's queries behind them, and of x D4 planes of queries, then of keys, then of values.
#import eight
#import nonfinite
#import power

const LOWEST: f32 = -3.4e38;

struct Params { tokens: u32, heads: u32, scale: f32, slope: f32, in0_plane_w: u32, in0_plane_h: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var y: texture_storage_2d<rgba32float, write>;
@group(0) @binding(2) var x: texture_storage_2d<rgba32float, read>;
@group(0) @binding(3) var dy: texture_storage_2d<rgba32float, read>;
@group(0) @binding(4) var z: texture_storage_2d<rgba32float, read>;

// 2 to the power v, where NaN stays and what is below 2^-126 is nothing.
fn power(v: vec4f) -> vec4f {
    return select(select(power2(v), vec4f(0.0), v < vec4f(-126.0)), v, nan4(v));
}

// What eight keys or values have in a plane, loaded jointly.
fn eight(tokens: array<vec2u, LOADS>, plane: u32) -> array<vec4f, LOADS> {
    var v: array<vec4f, LOADS>;
    for (var i = 0u; i < LOADS; i++) { v[i] = textureLoad(x, tokens[i] + vec2u(0u, plane * p.in0_plane_h)); } // unroll
    return v;
}

fn queries(src: array<vec2u, TN>, plane: u32) -> array<vec4f, TN> {
    var v: array<vec4f, TN>;
    for (var j = 0u; j < TN; j++) { v[j] = textureLoad(x, src[j] + vec2u(0u, plane * p.in0_plane_h)) * p.scale; } // unroll
    return v;
}

fn gradients(src: array<vec2u, TN>, plane: u32) -> array<vec4f, TN> {
    var v: array<vec4f, TN>;
    for (var j = 0u; j < TN; j++) { v[j] = textureLoad(dy, src[j] + vec2u(0u, plane * p.in0_plane_h)); } // unroll
    return v;
}

fn with_products(sums: array<f32, TN>, g: array<vec4f, TN>, src: array<vec2u, TN>, plane: u32) -> array<f32, TN> {
    var s = sums;
    for (var j = 0u; j < TN; j++) { // unroll
        let v = g[j] * textureLoad(z, src[j] + vec2u(0u, plane * p.in0_plane_h));
        s[j] += (v.x + v.y) + (v.z + v.w);
    }
    return s;
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
    var q: array<array<vec4f, TN>, D4>;
    var g: array<array<vec4f, TN>, D4>;
    var along: array<f32, TN>;
    for (var d = 0u; d < D4; d++) { // unroll
        q[d] = queries(src, own + d);
        g[d] = gradients(src, own + d);
        along = with_products(along, g[d], src, own + d);
    }

    var o: array<array<vec4f, TN>, D4>;
    var best: array<f32, TN>;
    var total: array<f32, TN>;
    for (var j = 0u; j < TN; j++) { best[j] = LOWEST; } // unroll
    for (var key = 0u; key < p.tokens; key += 8u) {
        let at = eight_from(above, key, lane);
        var s: array<array<vec4f, TN>, 2>;
        var t: array<array<vec4f, TN>, 2>;
        for (var d = 0u; d < D4; d++) { s = with_scores(s, q[d], eight(at, planes + own + d)); } // unroll
        for (var d = 0u; d < D4; d++) { t = with_scores(t, g[d], eight(at, 2u * planes + own + d)); } // unroll
        for (var j = 0u; j < TN; j++) { // unroll
            for (var i = 0u; i < 2u; i++) { s[i][j] = select(vec4f(LOWEST), s[i][j], used_from(key + 4u * i)); } // unroll
            let top = max(s[0][j], s[1][j]);
            let highest = max(best[j], max(max(top.x, top.y), max(top.z, top.w)));
            let before = power(vec4f(best[j] - highest)).x;
            best[j] = highest;
            for (var i = 0u; i < 2u; i++) { s[i][j] = select(vec4f(0.0), power(s[i][j] - highest), used_from(key + 4u * i)); } // unroll
            let four = s[0][j] + s[1][j];
            total[j] = total[j] * before + ((four.x + four.y) + (four.z + four.w));
            for (var i = 0u; i < 2u; i++) { s[i][j] = select(vec4f(0.0), s[i][j] * (t[i][j] - along[j]), used_from(key + 4u * i)); } // unroll
            for (var d = 0u; d < D4; d++) { o[d][j] *= before; } // unroll
        }
        for (var d = 0u; d < D4; d++) { o[d] = with_values(o[d], s, eight(at, planes + own + d)); } // unroll
    }

    for (var j = 0u; j < TN; j++) { // unroll
        let token = first + j * LANES;
        let dst = divided(above + token, p.in0_plane_w);
        if token < p.tokens {
            let inverse = 1.0 / total[j];
            for (var d = 0u; d < D4; d++) { textureStore(y, dst + vec2u(0u, (own + d) * p.in0_plane_h), o[d][j] * (inverse * p.slope)); } // unroll
            let facts = vec4f(select(best[j], total[j], nan(total[j])), inverse, along[j], 0.0);
            textureStore(y, dst + vec2u(0u, (planes + wg.y) * p.in0_plane_h), facts);
        }
    }
}
