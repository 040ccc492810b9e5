// Products of the tokens of a lane, TN of them, with eight others, which the lanes hold jointly: lane i % LANES holds number i.
#import divide
#import four_products

const LANES: u32 = 8u;
const TN: u32 = 4u; // tokens of a lane
const D4: u32 = 16u; // planes of a head
const LOADS: u32 = 1u; // that bring eight tokens: 8 / LANES, at least one

// Texels, in plane 0, of eight tokens from number `first` of a picture on; those past the end repeat the last token.
fn eight_from(above: u32, first: u32, lane: u32) -> array<vec2u, LOADS> {
    var at: array<vec2u, LOADS>;
    for (var i = 0u; i < LOADS; i++) { // unroll
        at[i] = divided(above + min(first + i * LANES + lane % 8u, p.tokens - 1u), p.in0_plane_w);
    }
    return at;
}

// Which of four tokens from number `first` on there are.
fn used_from(first: u32) -> vec4<bool> {
    return vec4u(first) + vec4u(0u, 1u, 2u, 3u) < vec4u(p.tokens);
}

// Adds the products of four elements of each token of a lane and of the eight.
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

// Adds four elements of each of the eight by its share.
fn with_values(o: array<vec4f, TN>, shares: array<array<vec4f, TN>, 2>, values: array<vec4f, LOADS>) -> array<vec4f, TN> {
    var sums = o;
    for (var g = 0u; g < 2u; g++) { // unroll
        var k: array<vec4f, 4>;
        for (var c = 0u; c < 4u; c++) { k[c] = subgroupShuffle(values[(4u * g + c) / LANES], (4u * g + c) % LANES); } // unroll
        sums = four_products(sums, shares[g], k);
    }
    return sums;
}
