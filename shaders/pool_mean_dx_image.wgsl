// dx = sum of dy / count over the k x k windows that hold a pixel [, times a slope], images     one invocation per texel of dx; flat grid
#import divide
#import grid
#import target_image
#import windows

const WG: u32 = 64u;
const MOST: u32 = 1u; // windows along an axis that may hold one pixel
const COUNT_PAD: bool = false; // the mean counts padding as zeros

struct Params {
    n: u32, h: u32, w: u32, co: u32, out_h: u32, out_w: u32, k: u32, stride: u32, top: u32, left: u32,
    in0_plane_w: u32, in0_plane_h: u32, in0_pad: u32,
    in3_plane_w: u32, in3_plane_h: u32, in3_pad: u32,
    out_plane_w: u32, out_plane_h: u32, out_pad: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(2) var dy: texture_storage_2d<rgba32float, read>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let i = flat_group(wg, grid) * WG + lane;
    let planes = (p.co + 3u) / 4u;
    if i >= p.n * p.h * p.w * planes { return; }
    let texel = divided(i, p.h * p.w);
    let at = divided(texel.x, p.w);
    let place = divided(texel.y, planes); // plane and picture
    let down = windows(at.y + p.top, p.out_h);
    let along = windows(at.x + p.left, p.out_w);

    let origin = vec2u(place.y * p.in0_plane_w, place.x * p.in0_plane_h) + p.in0_pad;
    var total = vec4f(0.0);
    for (var a = 0u; a < MOST; a++) {
        let r = down.x + a;
        for (var b = 0u; b < MOST; b++) {
            let s = along.x + b;
            if r < down.y && s < along.y {
                var v = textureLoad(dy, origin + vec2u(s, r));
                if !COUNT_PAD { v /= f32(inside(r, p.top, p.h) * inside(s, p.left, p.w)); }
                total += v;
            }
        }
    }
    if COUNT_PAD { total /= f32(p.k * p.k); }
    put(vec3u(at, place.y), place.y * p.h * p.w + texel.x, place.x, total);
}
