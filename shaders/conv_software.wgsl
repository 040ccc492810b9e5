// y = conv(x, w) + bias [+ z], activated     software family: lanes run along output pixels, weights are spread by shuffles
// grid = (output pixels of all pictures / (LANES * TN), output channels / TM), ACROSS the other way round; workgroup = one subgroup
// of LANES
// w, packed (pack_software.wgsl): texel e = ((block * KH*KW*cin4 + tap * cin4 + plane) * 4 + i) * TM/4 + r holds output channels
// 4r..4r+3 of the block for input channel 4*plane+i; rows of 1024 texels.
#import four_products
#import bias
#import divide
#import source_image
#import target_image

const LANES: u32 = 8u;
const TM: u32 = 32u;
const TN: u32 = 3u;
const KH: u32 = 3u;
const KW: u32 = 3u;
// Input planes that a turn of the loop takes, or, where there is one plane only, all taps of a row: KW.
const TU: u32 = 1u;
const ROW: bool = false;
const ACROSS: bool = false; // workgroups next to each other share pixels, not weights
const TEXELS: u32 = TM / LANES;

struct Params {
    h: u32, w: u32, cin4: u32, stride_h: u32, stride_w: u32, pad_top: u32, pad_left: u32, ho: u32, wo: u32, co: u32, pixels: u32,
    in0_plane_w: u32, in0_plane_h: u32, in0_pad: u32,
    in3_plane_w: u32, in3_plane_h: u32, in3_pad: u32,
    out_plane_w: u32, out_plane_h: u32, out_pad: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(3) var w: texture_storage_2d<rgba32float, read>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) lane: u32) {
    let wg = select(id.xy, id.yx, ACROSS);
    let first = wg.x * LANES * TN + lane;
    var n: array<u32, TN>;     // picture
    var o: array<vec2u, TN>;   // output pixel
    var src: array<vec2u, TN>; // where its window begins
    for (var j = 0u; j < TN; j++) { // unroll
        let q = min(first + j * LANES, p.pixels - 1u); // lanes past the end repeat the last pixel: shuffles need them all
        let pixel = divided(q, p.ho * p.wo);
        n[j] = pixel.y;
        o[j] = divided(pixel.x, p.wo);
        src[j] = window_of(vec3u(o[j], n[j]));
    }

    var acc: array<array<vec4f, TN>, TM / 4u>;
    var e = wg.y * KH * KW * p.cin4 * TM + lane;
    // One loop, however deep the window: such drivers blend every sum once a turn of every loop (7x7 from 3 channels: 15.2 ms
    // in three loops, 8.4 in one), hence also TU.
    var tap = vec2u(0u);
    var plane = 0u; // that holds the next four channels
    let next = select(vec2u(0u, 1u), vec2u(1u, 0u), ROW);
    for (var step = 0u; step < KH * KW * p.cin4 / TU; step++) {
        var v: array<array<vec4f, TN>, TU>;
        var a: array<array<vec4f, TEXELS>, TU>;
        for (var u = 0u; u < TU; u++) { // unroll
            for (var j = 0u; j < TN; j++) { v[u][j] = input_at(src[j], tap + vec2u(u * next.x, 0u), plane + u * next.y); } // unroll
            for (var i = 0u; i < TEXELS; i++) { let t = e + u * TM + i * LANES; a[u][i] = textureLoad(w, vec2u(t % 1024u, t / 1024u)); } // unroll
        }
        e += TU * TM;
        for (var r = 0u; r < TM / 4u; r++) { // unroll
            for (var u = 0u; u < TU; u++) { // unroll
                var k: array<vec4f, 4>;
                for (var c = 0u; c < DEPTH; c++) { k[c] = subgroupShuffle(a[u][(c * TM / 4u + r) / LANES], (c * TM / 4u + r) % LANES); } // unroll
                acc[r] = four_products(acc[r], v[u], k);
            }
        }
        plane += TU;
        if ROW {
            plane = 0u;
            tap.y += 1u;
        } else if plane == p.cin4 {
            plane = 0u;
            tap.x += 1u;
            if tap.x == KW { tap = vec2u(0u, tap.y + 1u); }
        }
    }

    var shared_bias: array<f32, TEXELS>; // loaded jointly, as the weights are
    for (var i = 0u; i < TEXELS; i++) { shared_bias[i] = bias_at(min(wg.y * TM + i * LANES + lane, p.co - 1u)); } // unroll
    for (var r = 0u; r < TM / 4u; r++) { // unroll
        let plane = wg.y * TM / 4u + r;
        var b: vec4f;
        for (var c = 0u; c < 4u; c++) { b[c] = subgroupShuffle(shared_bias[(4u * r + c) / LANES], (4u * r + c) % LANES); } // unroll
        for (var j = 0u; j < TN; j++) { // unroll
            if first + j * LANES < p.pixels { put(vec3u(o[j], n[j]), first + j * LANES, plane, acc[r][j] + b); }
        }
    }
}
