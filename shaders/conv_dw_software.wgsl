// y[part, o, tap, :] = sum over the pixels of a part of dy[pixel, o] * x[what lies under the tap there, :]     software family: lanes run
// along taps, then quads of input channels; dy is spread by shuffles
// grid = (taps * quads / (LANES * TN), output channels / TM, parts); workgroup = one subgroup of LANES
#import pixel_products
#import channels_four
#import taps_packed
#import dy_image
#import later_pixel
#import divide

alias V = vec4f; // what a lane takes of a texel of x
const LANES: u32 = 8u;
const TM: u32 = 32u; // output channels of a lane
const TN: u32 = 1u; // texels of x of a lane, at a pixel
const PU: u32 = 4u; // pixels that a turn of the loop takes: every sum is loaded, blended and stored once a turn
const TEXELS: u32 = PU * TM / 4u / LANES;

struct Params {
    ci: u32, cin4: u32, taps: u32, kw: u32, stride_h: u32, stride_w: u32, pad_top: u32, pad_left: u32, ho: u32, wo: u32,
    co: u32, co4: u32, pixels: u32, part: u32, step_x: u32, step_y: u32, step_n: u32,
    in0_plane_w: u32, in0_plane_h: u32, in0_pad: u32, in1_plane_w: u32, in1_plane_h: u32, in1_pad: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(2) var x: texture_storage_2d<rgba32float, read>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lane: u32) {
    let units = p.taps * p.cin4;
    let first = wg.x * LANES * TN + lane;
    var unit: array<vec2u, TN>; // quad and tap
    var under: array<vec2u, TN>; // where its texel lies, seen from where the window begins
    for (var j = 0u; j < TN; j++) { // unroll
        unit[j] = divided(min(first + j * LANES, units - 1u), p.taps).yx; // lanes past the end repeat the last: shuffles need them all
        under[j] = divided(unit[j].y, p.kw) + vec2u(0u, unit[j].x * p.in0_plane_h) + p.in0_pad - vec2u(p.pad_left, p.pad_top);
    }
    var place: array<u32, TEXELS>; // of the channels of dy that this lane loads
    for (var i = 0u; i < TEXELS; i++) { // unroll
        place[i] = place_of(min(wg.y * (TM / 4u) + (i * LANES + lane) / PU, p.co4 - 1u));
    }

    // A lane's own pixel is one of the PU of a turn. One past the end stays at its last, and what lies there counts as zero.
    let begin = wg.z * p.part;
    var q = begin + lane % PU;
    let row = divided(min(q, p.pixels - 1u), p.wo);
    let picture = divided(row.y, p.ho);
    var at = vec3u(row.x, picture.x, picture.y);
    var acc: array<array<array<V, 4>, TM / 4u>, TN>;
    let count = min(p.part, p.pixels - begin);
    for (var s = 0u; s < count; s += PU) {
        let own = min(q, p.pixels - 1u);
        var d: array<vec4f, TEXELS>;
        for (var i = 0u; i < TEXELS; i++) { d[i] = select(vec4f(0.0), dy_at(at, own, place[i]), q == own); } // unroll
        let window = at.xy * vec2u(p.stride_w, p.stride_h) + vec2u(at.z * p.in0_plane_w, 0u);
        var v: array<array<V, PU>, TN>;
        for (var u = 0u; u < PU; u++) { // unroll
            let src = subgroupShuffle(window, u);
            for (var j = 0u; j < TN; j++) { // unroll
                v[j][u] = select(V(0.0), channels(textureLoad(x, src + under[j])), s + u < count);
            }
        }
        q += PU;
        at = select(at, later(at), q < p.pixels);
        for (var r = 0u; r < TM / 4u; r++) { // unroll
            var k: array<vec4f, PU>;
            for (var u = 0u; u < PU; u++) { k[u] = subgroupShuffle(d[(r * PU + u) / LANES], (r * PU + u) % LANES); } // unroll
            for (var j = 0u; j < TN; j++) { acc[j][r] = pixel_products(acc[j][r], v[j], k); } // unroll
        }
    }

    for (var j = 0u; j < TN; j++) { // unroll
        if first + j * LANES < units {
            for (var r = 0u; r < TM / 4u; r++) { // unroll
                for (var c = 0u; c < 4u; c++) { // unroll
                    let channel = wg.y * TM + 4u * r + c;
                    if channel < p.co { put(wg.z, channel, unit[j], four(acc[j][r][c])); }
                }
            }
        }
    }
}
