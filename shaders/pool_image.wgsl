// y = largest or mean value of k x k windows of x, both images     one invocation per texel of y; flat grid
#import divide
#import grid
#import maximum

alias T = vec4f;
alias U = vec4u;
const WG: u32 = 64u;
const MAX: bool = true; // else the mean
const COUNT_PAD: bool = false; // the mean counts padding as zeros

struct Params {
    n: u32, h: u32, w: u32, c: u32, out_h: u32, out_w: u32, k: u32, stride: u32, top: u32, left: u32,
    in0_plane_w: u32, in0_plane_h: u32, in0_pad: u32, out_plane_w: u32, out_plane_h: u32, out_pad: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var y: texture_storage_2d<rgba32float, write>;
@group(0) @binding(2) var x: texture_storage_2d<rgba32float, read>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let i = flat_group(wg, grid) * WG + lane;
    let planes = (p.c + 3u) / 4u;
    if i >= p.n * p.out_h * p.out_w * planes { return; }
    let texel = divided(i, p.out_w * p.out_h);
    let at = divided(texel.x, p.out_w);
    let place = divided(texel.y, planes);
    // The window clipped to the picture; padding is less than k, so something is left. The ring is zeros and no use to a maximum.
    let pad = vec2u(p.left, p.top);
    let start = max(at * p.stride, pad) - pad;
    let to = min(at * p.stride + p.k, vec2u(p.w, p.h) + pad) - pad;

    let origin = vec2u(place.y * p.in0_plane_w, place.x * p.in0_plane_h) + p.in0_pad;
    var best = textureLoad(x, origin + start);
    var total = T(0.0);
    for (var r = start.y; r < to.y; r++) {
        var row = T(0.0);
        for (var s = start.x; s < to.x; s++) {
            let v = textureLoad(x, origin + vec2u(s, r));
            if MAX { best = maximum(best, v); } else { row += v; }
        }
        total += row;
    }
    var count = (to.x - start.x) * (to.y - start.y);
    if COUNT_PAD { count = p.k * p.k; }
    let out = vec2u(place.y * p.out_plane_w, place.x * p.out_plane_h) + p.out_pad + at;
    if MAX { textureStore(y, out, best); } else { textureStore(y, out, total / f32(count)); }
}
