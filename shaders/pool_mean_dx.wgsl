// dx = sum of dy / count over the k x k windows that hold an element [, times a slope]     one invocation per T of dx (one channel or four); flat grid
#import divide
#import finish_one
#import grid
#import windows

alias T = f32; // or vec4f, then c counts fours
const WG: u32 = 64u;
const MOST: u32 = 1u; // windows along an axis that may hold one element
const COUNT_PAD: bool = false; // the mean counts padding as zeros

struct Params { len: u32, h: u32, w: u32, c: u32, out_h: u32, out_w: u32, k: u32, stride: u32, top: u32, left: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> dx: array<T>;
@group(0) @binding(2) var<storage, read> dy: array<T>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let i = flat_group(wg, grid) * WG + lane;
    if i >= p.len { return; }
    let channel = divided(i, p.c);
    let column = divided(channel.y, p.w);
    let row = divided(column.y, p.h);
    let down = windows(row.x + p.top, p.out_h);
    let along = windows(column.x + p.left, p.out_w);

    var total = T(0.0);
    for (var a = 0u; a < MOST; a++) {
        let r = down.x + a;
        for (var b = 0u; b < MOST; b++) {
            let s = along.x + b;
            if r < down.y && s < along.y {
                var v = dy[((row.y * p.out_h + r) * p.out_w + s) * p.c + channel.x];
                if !COUNT_PAD { v /= f32(inside(r, p.top, p.h) * inside(s, p.left, p.w)); }
                total += v;
            }
        }
    }
    if COUNT_PAD { total /= f32(p.k * p.k); }
    dx[i] = finished(i, channel.x, total);
}
