// y = a x b + bias [+ z], activated     software family: lanes run along rows, the packed b is spread by shuffles
// grid = (columns / TM, rows / (LANES * TN)); workgroup = one subgroup of LANES; b packed by pack_software.wgsl
#import four_products
#import activation
#import bias
#import divide
#import joined
#import residual_image

const LANES: u32 = 8u;
const TM: u32 = 32u;
const TN: u32 = 3u;
const TU: u32 = 1u; // planes that a turn of the loop takes: every sum is loaded, blended and stored once a turn
const TEXELS: u32 = TM / LANES;

struct Params {
    k4: u32, m: u32, n: u32,
    in0_plane_w: u32, in0_plane_h: u32, in3_plane_w: u32, in3_plane_h: u32, out_plane_w: u32, out_plane_h: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var y: texture_storage_2d<rgba32float, write>;
@group(0) @binding(2) var a: texture_storage_2d<rgba32float, read>;
@group(0) @binding(3) var b: texture_storage_2d<rgba32float, read>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) lane: u32) {
    let wg = id.yx; // neighbours share rows of a: 0 to 10 % less time with six rows at 256 bits, 15 to 25 % with four, none at 512
    let first = wg.x * LANES * TN + lane;
    var src: array<vec2u, TN>; // texel of each row in plane 0
    for (var j = 0u; j < TN; j++) { // unroll
        src[j] = divided(min(first + j * LANES, p.m - 1u), p.in0_plane_w); // lanes past the end repeat the last row: shuffles need them all
    }

    var acc: array<array<vec4f, TN>, TM / 4u>;
    var e = wg.y * p.k4 * TM + lane;
    for (var plane = 0u; plane < p.k4; plane += TU) {
        var v: array<array<vec4f, TN>, TU>;
        var w: array<array<vec4f, TEXELS>, TU>;
        for (var u = 0u; u < TU; u++) { // unroll
            for (var j = 0u; j < TN; j++) { v[u][j] = textureLoad(a, src[j] + vec2u(0u, (plane + u) * p.in0_plane_h)); } // unroll
            for (var i = 0u; i < TEXELS; i++) { let t = e + u * TM + i * LANES; w[u][i] = textureLoad(b, vec2u(t % 1024u, t / 1024u)); } // unroll
        }
        e += TU * TM;
        for (var r = 0u; r < TM / 4u; r++) { // unroll
            for (var u = 0u; u < TU; u++) { // unroll
                var k: array<vec4f, 4>;
                for (var c = 0u; c < 4u; c++) { k[c] = subgroupShuffle(w[u][(c * TM / 4u + r) / LANES], (c * TM / 4u + r) % LANES); } // unroll
                acc[r] = four_products(acc[r], v[u], k);
            }
        }
    }

    var shared_bias: array<f32, TEXELS>; // loaded jointly, as the packed b is
    for (var i = 0u; i < TEXELS; i++) { shared_bias[i] = bias_at(min(wg.y * TM + i * LANES + lane, p.n - 1u)); } // unroll
    var at: array<vec2u, TN>;    // texel of each row in plane 0 of the output
    var other: array<vec2u, TN>; // and of the residual
    for (var j = 0u; j < TN; j++) { // unroll
        at[j] = divided(first + j * LANES, p.out_plane_w);
        other[j] = divided(first + j * LANES, max(p.in3_plane_w, 1u));
    }
    for (var r = 0u; r < TM / 4u; r++) { // unroll
        let plane = wg.y * TM / 4u + r;
        let used = vec4u(plane * 4u) + vec4u(0u, 1u, 2u, 3u) < vec4u(p.n);
        var bias4: vec4f;
        for (var c = 0u; c < 4u; c++) { bias4[c] = subgroupShuffle(shared_bias[(4u * r + c) / LANES], (4u * r + c) % LANES); } // unroll
        for (var j = 0u; j < TN; j++) { // unroll
            if first + j * LANES < p.m && used.x {
                let s = joined4(acc[r][j] + bias4, residual_at(other[j] + vec2u(0u, plane * p.in3_plane_h), 0u));
                textureStore(y, at[j] + vec2u(0u, plane * p.out_plane_h), select(vec4f(0.0), activated4(s), used));
            }
        }
    }
}
