// y = place of the first largest value of k x k windows of x, its row times k plus its column in the window     one invocation per T of x's
// channels (one or four); flat grid
#import divide
#import grid

alias T = f32; // or vec4f, then U = vec4u, B = vec4<bool> and c counts fours
alias U = u32;
alias B = bool;
const WG: u32 = 64u;

struct Params { len: u32, h: u32, w: u32, c: u32, out_h: u32, out_w: u32, k: u32, stride: u32, top: u32, left: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<U>;
@group(0) @binding(2) var<storage, read> x: array<T>;

fn nan(v: T) -> B {
    return (bitcast<U>(v) & U(0x7fffffffu)) > U(0x7f800000u);
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let i = flat_group(wg, grid) * WG + lane;
    if i >= p.len { return; }
    let channel = divided(i, p.c);
    let column = divided(channel.y, p.out_w);
    let row = divided(column.y, p.out_h);
    // The window clipped to the picture; padding is less than k, so something is left.
    let window = vec2u(column.x, row.x) * p.stride;
    let pad = vec2u(p.left, p.top);
    let start = max(window, pad) - pad;
    let to = min(window + p.k, vec2u(p.w, p.h) + pad) - pad;

    let origin = row.y * p.h * p.w;
    var best = x[(origin + start.y * p.w + start.x) * p.c + channel.x];
    var first = U((start.y + pad.y - window.y) * p.k + start.x + pad.x - window.x);
    for (var r = start.y; r < to.y; r++) {
        for (var s = start.x; s < to.x; s++) {
            let v = x[(origin + r * p.w + s) * p.c + channel.x];
            // NaN is larger than all.
            let larger = (v > best) | (nan(v) & !nan(best));
            best = select(best, v, larger);
            first = select(first, U((r + pad.y - window.y) * p.k + s + pad.x - window.x), larger);
        }
    }
    y[i] = first;
}
