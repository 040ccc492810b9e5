// |x[r, :] - c[j, :]| for rows and centres; `nearest` and `apart` say what becomes of it     software family: lanes run along rows,
// TN of them a lane, packed centres are spread to all; grid = (rows / (LANES * TN), centres / span); workgroup = one subgroup
#import divide
#import maximum
#import nearest
#import spread

alias T = f32;
alias U = u32;
const LANES: u32 = 8u;
const TM: u32 = 32u;
const TN: u32 = 3u;
const TEXELS: u32 = TM / LANES;

struct Params { k4: u32, rows: u32, centres: u32, span: u32, in0_plane_w: u32, in0_plane_h: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var x: texture_storage_2d<rgba32float, read>;
@group(0) @binding(3) var centres: texture_storage_2d<rgba32float, read>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lane: u32) {
    let row = wg.x * LANES * TN + lane;
    var src: array<vec2u, TN>; // texel of each row in plane 0
    var best: array<f32, TN>;
    for (var j = 0u; j < TN; j++) { // unroll
        let at = min(row + j * LANES, p.rows - 1u); // lanes past the end repeat the last row: shuffles need them all
        src[j] = divided(at, p.in0_plane_w);
        best[j] = before(at);
    }
    let start = wg.y * p.span;
    let end = min(start + p.span, p.centres);
    for (var tile = start; tile < end; tile += TM) {
        if left_out(tile) { break; }
        // One sum a row and centre, over the elements in their order, whatever the tile: the same bits in both uses.
        var acc: array<array<vec4f, TN>, TM / 4u>;
        var e = tile * p.k4;
        for (var plane = 0u; plane < p.k4; plane++) {
            var v: array<vec4f, TN>;
            for (var j = 0u; j < TN; j++) { v[j] = textureLoad(x, src[j] + vec2u(0u, plane * p.in0_plane_h)); } // unroll
            var w: array<vec4f, TEXELS>;
            for (var i = 0u; i < TEXELS; i++) { let t = e + i * LANES + lane; w[i] = textureLoad(centres, vec2u(t % 1024u, t / 1024u)); } // unroll
            for (var r = 0u; r < TM / 4u; r++) { // unroll
                for (var c = 0u; c < 4u; c++) { // unroll
                    let s = spread(w[(c * TM / 4u + r) / LANES], (c * TM / 4u + r) % LANES, e + c * TM / 4u + r);
                    for (var j = 0u; j < TN; j++) { let d = s - vec4f(v[j][c]); acc[r][j] = fma(d, d, acc[r][j]); } // unroll
                }
            }
            e += TM;
        }
        var squared: array<f32, TN>;
        for (var j = 0u; j < TN; j++) { squared[j] = acc[0][j][0]; } // unroll
        for (var r = 0u; r < TM / 4u; r++) { // unroll
            for (var c = 0u; c < 4u; c++) { // unroll
                for (var j = 0u; j < TN; j++) { squared[j] = met(squared[j], acc[r][j][c], row + j * LANES, tile + 4u * r + c); } // unroll
            }
        }
        for (var j = 0u; j < TN; j++) { best[j] = nearer(best[j], squared[j]); } // unroll
    }
    for (var j = 0u; j < TN; j++) { done(row + j * LANES, best[j]); } // unroll
}
