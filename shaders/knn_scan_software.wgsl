// y[q, split, :] = the best KEEP rows of a split for query q: (half[row] - a[q].b[row], index)     software family: lanes run along
// queries, packed rows are spread by shuffles; grid = (queries / (LANES * TN), splits); workgroup = one subgroup of LANES
#import four_products
#import best
#import divide
#import skip
#import after

const LANES: u32 = 8u;
const TM: u32 = 32u;
const TN: u32 = 3u;
const TU: u32 = 1u; // planes that a turn of the loop takes: every sum is loaded, blended and stored once a turn
const KEEP: u32 = 4u;
const TEXELS: u32 = TM / LANES;

struct Params {
    k4: u32, q: u32, m: u32, split: u32, splits: u32, first: u32,
    in0_plane_w: u32, in0_plane_h: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<vec2f>;
@group(0) @binding(2) var a: texture_storage_2d<rgba32float, read>;
@group(0) @binding(3) var b: texture_storage_2d<rgba32float, read>;
@group(0) @binding(4) var<storage, read> half: array<f32>;

// Each invocation's own products: in registers they could only be gone through by code written out for every one of them.
var<workgroup> dots: array<f32, TM * TN * LANES>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lane: u32) {
    let query = wg.x * LANES * TN + lane;
    var src: array<vec2u, TN>; // texel of each query in plane 0
    for (var j = 0u; j < TN; j++) { // unroll
        src[j] = divided(min(query + j * LANES, p.q - 1u), p.in0_plane_w); // lanes past the end repeat the last query: shuffles need them all
    }
    var keys: array<array<f32, TN>, KEEP>;
    var rows: array<array<f32, TN>, KEEP>;
    for (var t = 0u; t < KEEP; t++) { // unroll
        for (var j = 0u; j < TN; j++) { keys[t][j] = nobody().x; rows[t][j] = nobody().y; } // unroll
    }
    let start = wg.y * p.split;
    let end = min(start + p.split, p.m);
    for (var tile = start; tile < end; tile += TM) {
        var acc: array<array<vec4f, TN>, TM / 4u>;
        var e = tile * p.k4 + lane;
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
        for (var r = 0u; r < TM / 4u; r++) { // unroll
            for (var c = 0u; c < 4u; c++) { // unroll
                for (var j = 0u; j < TN; j++) { dots[((4u * r + c) * TN + j) * LANES + lane] = acc[r][j][c]; } // unroll
            }
        }
        let stop = min(end, tile + TM);
        for (var row = tile; row < stop; row++) {
            let length = half[row];
            for (var j = 0u; j < TN; j++) { // unroll
                var key = clean(length - dots[((row - tile) * TN + j) * LANES + lane]);
                let asked = min(query + j * LANES, p.q - 1u);
                if key < keys[KEEP - 1u][j] && !skipped(asked, row + p.first) && wanted(asked, key, row + p.first) {
                    var index = f32(row + p.first);
                    for (var t = 0u; t < KEEP; t++) { // unroll
                        let k0 = keys[t][j];
                        let r0 = rows[t][j];
                        let better = key < k0;
                        keys[t][j] = select(k0, key, better);
                        rows[t][j] = select(r0, index, better);
                        key = select(key, k0, better);
                        index = select(index, r0, better);
                    }
                }
            }
        }
    }
    for (var j = 0u; j < TN; j++) { // unroll
        if query + j * LANES < p.q {
            let at = ((query + j * LANES) * p.splits + wg.y) * KEEP;
            for (var t = 0u; t < KEEP; t++) { y[at + t] = vec2f(keys[t][j], rows[t][j]); } // unroll
        }
    }
}
