// y[part, o, tap, c] = sum over the pixels of a part of dy[pixel, o] * x[what lies under the tap there, c]; any groups     portable: one
// output per invocation; flat grid
// x [n, h, w, ci], dy [n, ho, wo, co], y [parts, co, taps, ci/groups]
#import grid
#import later_pixel

const WG: u32 = 64u;

struct Params {
    h: u32, w: u32, ci: u32, ho: u32, wo: u32, co: u32, taps: u32, kw: u32, stride_h: u32, stride_w: u32, pad_top: u32, pad_left: u32,
    ci_group: u32, co_group: u32, pixels: u32, part: u32, outputs: u32, step_x: u32, step_y: u32, step_n: u32,
}
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> dy: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let i = flat_group(wg, grid) * WG + lane;
    if i >= p.outputs { return; }
    let c = i % p.ci_group;
    let tap = i / p.ci_group % p.taps;
    let o = i / p.ci_group / p.taps % p.co;
    let part = i / p.ci_group / p.taps / p.co;
    let channel = o / p.co_group * p.ci_group + c;
    let corner = vec2u(tap % p.kw - p.pad_left, tap / p.kw - p.pad_top); // wraps to huge numbers left of and above the picture
    var q = part * p.part;
    var at = vec3u(q % p.wo, q / p.wo % p.ho, q / p.wo / p.ho);
    var acc = 0.0;
    for (var s = 0u; s < p.part; s++) {
        let src = at.xy * vec2u(p.stride_w, p.stride_h) + corner;
        if src.y < p.h && src.x < p.w && q < p.pixels {
            acc = fma(dy[q * p.co + o], x[((at.z * p.h + src.y) * p.w + src.x) * p.ci + channel], acc);
        }
        q++;
        at = later(at);
    }
    y[i] = acc;
}
