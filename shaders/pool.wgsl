// y = largest or mean value of k x k windows of x     one invocation per T (one channel or four); flat grid
#import grid
#import maximum

alias T = f32; // or vec4f, then U = vec4u and c counts fours
alias U = u32;
const WG: u32 = 64u;
const MAX: bool = true; // else the mean
const COUNT_PAD: bool = false; // the mean counts padding as zeros

struct Params { n: u32, h: u32, w: u32, c: u32, out_h: u32, out_w: u32, k: u32, stride: u32, top: u32, left: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<T>;
@group(0) @binding(2) var<storage, read> x: array<T>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let i = flat_group(wg, grid) * WG + lane;
    if i >= p.n * p.out_h * p.out_w * p.c { return; }
    let channel = i % p.c;
    let window = vec2u(i / p.c % p.out_w, i / (p.c * p.out_w) % p.out_h) * p.stride;
    let picture = i / (p.c * p.out_w * p.out_h);
    // The window clipped to the picture; padding is less than k, so something is left.
    let pad = vec2u(p.left, p.top);
    let start = max(window, pad) - pad;
    let to = min(window + p.k, vec2u(p.w, p.h) + pad) - pad;

    let origin = picture * p.h * p.w;
    var best = x[(origin + start.y * p.w + start.x) * p.c + channel];
    var total = T(0.0);
    for (var r = start.y; r < to.y; r++) {
        var row = T(0.0);
        for (var s = start.x; s < to.x; s++) {
            let v = x[(origin + r * p.w + s) * p.c + channel];
            if MAX { best = maximum(best, v); } else { row += v; }
        }
        total += row;
    }
    var count = (to.x - start.x) * (to.y - start.y);
    if COUNT_PAD { count = p.k * p.k; }
    if MAX { y[i] = best; } else { y[i] = total / f32(count); }
}
