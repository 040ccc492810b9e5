// y = softmax(q k' * scale) v of a head     software family: lanes run along queries, keys and values are spread by shuffles
// grid = (tokens / (LANES * TN), heads, pictures); workgroup = one subgroup of LANES; the softmax is carried along, eight keys at a time
// The tokens of all pictures are the rows of a matrix; a head has D4 planes of it, queries first, then keys, then values.
#import divide
#import four_products
#import nonfinite
#import power

const LANES: u32 = 8u;
const TN: u32 = 4u; // queries of a lane
const D4: u32 = 16u; // planes of a head
const LOADS: u32 = 1u; // that bring eight keys or values: 8 / LANES, at least one
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

// What eight keys or values have in a plane, loaded jointly; lane i % LANES holds number i.
fn eight(tokens: array<vec2u, LOADS>, plane: u32) -> array<vec4f, LOADS> {
    var v: array<vec4f, LOADS>;
    for (var i = 0u; i < LOADS; i++) { v[i] = textureLoad(x, tokens[i] + vec2u(0u, plane * p.in0_plane_h)); } // unroll
    return v;
}

// Adds the products of four elements of each query and of eight keys.
fn with_scores(s: array<array<vec4f, TN>, 2>, q: array<vec4f, TN>, keys: array<vec4f, LOADS>) -> array<array<vec4f, TN>, 2> {
    var sums = s;
    for (var g = 0u; g < 2u; g++) { // unroll
        let k0 = subgroupShuffle(keys[4u * g / LANES], (4u * g) % LANES);
        let k1 = subgroupShuffle(keys[(4u * g + 1u) / LANES], (4u * g + 1u) % LANES);
        let k2 = subgroupShuffle(keys[(4u * g + 2u) / LANES], (4u * g + 2u) % LANES);
        let k3 = subgroupShuffle(keys[(4u * g + 3u) / LANES], (4u * g + 3u) % LANES);
        var k: array<vec4f, 4>;
        for (var c = 0u; c < 4u; c++) { k[c] = vec4f(k0[c], k1[c], k2[c], k3[c]); } // unroll
        sums[g] = four_products(sums[g], q, k);
    }
    return sums;
}

// Adds the shares of eight values, four elements of each.
fn with_values(o: array<vec4f, TN>, shares: array<array<vec4f, TN>, 2>, values: array<vec4f, LOADS>) -> array<vec4f, TN> {
    var sums = o;
    for (var g = 0u; g < 2u; g++) { // unroll
        var k: array<vec4f, 4>;
        for (var c = 0u; c < 4u; c++) { k[c] = subgroupShuffle(values[(4u * g + c) / LANES], (4u * g + c) % LANES); } // unroll
        sums = four_products(sums, shares[g], k);
    }
    return sums;
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
        var at: array<vec2u, LOADS>;
        for (var i = 0u; i < LOADS; i++) { // unroll
            at[i] = divided(above + min(key + i * LANES + lane % 8u, p.tokens - 1u), p.in0_plane_w);
        }
        var s: array<array<vec4f, TN>, 2>;
        for (var d = 0u; d < D4; d++) { s = with_scores(s, q[d], eight(at, planes + wg.y * D4 + d)); } // unroll
        for (var j = 0u; j < TN; j++) { // unroll
            for (var g = 0u; g < 2u; g++) { // unroll
                let used = vec4u(key + 4u * g) + vec4u(0u, 1u, 2u, 3u) < vec4u(p.tokens);
                s[g][j] = select(vec4f(LOWEST), s[g][j], used);
            }
            let top = max(s[0][j], s[1][j]);
            let highest = max(best[j], max(max(top.x, top.y), max(top.z, top.w)));
            let before = power(vec4f(best[j] - highest)).x;
            best[j] = highest;
            for (var g = 0u; g < 2u; g++) { // unroll
                let used = vec4u(key + 4u * g) + vec4u(0u, 1u, 2u, 3u) < vec4u(p.tokens);
                s[g][j] = select(vec4f(0.0), power(s[g][j] - highest), used);
            }
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
