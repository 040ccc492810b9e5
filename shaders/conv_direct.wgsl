// y = conv(x, w) + bias [+ z], activated; any groups     portable: one output per invocation; flat grid
// x [n, h, w, ci], w [co, ci/groups, kh, kw], y [n, ho, wo, co]
#import grid
#import activation
#import bias
#import joined
#import residual

const WG: u32 = 64u;

struct Params {
    h: u32, w: u32, ci: u32, ho: u32, wo: u32, co: u32, outputs: u32,
    kh: u32, kw: u32, stride_h: u32, stride_w: u32, pad_top: u32, pad_left: u32, ci_group: u32, co_group: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> w: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let i = flat_group(wg, grid) * WG + lane;
    if i >= p.outputs { return; }
    let c = i % p.co;
    let pixel = i / p.co;
    let ox = pixel % p.wo;
    let oy = pixel / p.wo % p.ho;
    let picture = pixel / p.wo / p.ho * p.h;
    let first = c / p.co_group * p.ci_group;
    var acc = 0.0;
    for (var ky = 0u; ky < p.kh; ky++) {
        let iy = oy * p.stride_h + ky - p.pad_top; // wraps to a huge number above the picture
        for (var kx = 0u; kx < p.kw; kx++) {
            let ix = ox * p.stride_w + kx - p.pad_left;
            if iy < p.h && ix < p.w {
                let a = ((picture + iy) * p.w + ix) * p.ci + first;
                let b = (c * p.ci_group * p.kh + ky) * p.kw + kx;
                for (var k = 0u; k < p.ci_group; k++) { acc = fma(x[a + k], w[b + k * p.kh * p.kw], acc); }
            }
        }
    }
    y[i] = activated(joined(acc + bias_at(c), residual_at(i)));
}
