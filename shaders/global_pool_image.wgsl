// y[n, c] = mean of x[n, :, :, c], both images     one workgroup per picture and four channels; flat grid
#import divide
#import grid

const WG: u32 = 8u;

struct Params { n: u32, h: u32, w: u32, c: u32, in0_plane_w: u32, in0_plane_h: u32, in0_pad: u32, out_plane_w: u32, out_plane_h: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var y: texture_storage_2d<rgba32float, write>;
@group(0) @binding(2) var x: texture_storage_2d<rgba32float, read>;

var<workgroup> scratch: array<vec4f, WG>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let group = flat_group(wg, grid);
    let planes = (p.c + 3u) / 4u;
    let picture = group / planes;
    let plane = group % planes;
    let origin = vec2u(picture * p.in0_plane_w, plane * p.in0_plane_h) + p.in0_pad;

    var total = vec4f(0.0);
    if picture < p.n {
        for (var i = lane; i < p.h * p.w; i += WG) { total += textureLoad(x, origin + divided(i, p.w)); }
    }
    scratch[lane] = total;
    for (var half = WG / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if lane < half { scratch[lane] += scratch[lane + half]; }
    }
    workgroupBarrier();
    if picture < p.n && lane == 0u {
        let at = vec2u(picture % p.out_plane_w, picture / p.out_plane_w + plane * p.out_plane_h);
        textureStore(y, at, scratch[0] / f32(p.h * p.w));
    }
}
