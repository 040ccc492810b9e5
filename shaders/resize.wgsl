// y = x at another size: bilinear between the four nearest pixels, or the nearest one     one invocation per T (one channel or four); flat grid
#import divide
#import grid

alias T = f32; // or vec4f, then c counts fours
const WG: u32 = 64u;
const NEAREST: bool = false;

struct Params { elements: u32, h: u32, w: u32, c: u32, out_h: u32, out_w: u32, scale_y: f32, scale_x: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<T>;
@group(0) @binding(2) var<storage, read> x: array<T>;

// The two source indices of output index `at`, and the weight of the second.
fn taps(at: u32, scale: f32, size: u32) -> vec2u {
    let i = min(u32(max((f32(at) + 0.5) * scale - 0.5, 0.0)), size - 1u);
    return vec2u(i, min(i + 1u, size - 1u));
}

fn fraction(at: u32, scale: f32, first: u32) -> f32 {
    return max((f32(at) + 0.5) * scale - 0.5, 0.0) - f32(first);
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let i = flat_group(wg, grid) * WG + lane;
    if i >= p.elements { return; }
    let channel = divided(i, p.c);
    let column = divided(channel.y, p.out_w);
    let row = divided(column.y, p.out_h);
    let picture = row.y * p.h;
    if NEAREST {
        let from_y = row.x * p.h / p.out_h;
        let from_x = column.x * p.w / p.out_w;
        y[i] = x[((picture + from_y) * p.w + from_x) * p.c + channel.x];
        return;
    }
    let rows = taps(row.x, p.scale_y, p.h);
    let columns = taps(column.x, p.scale_x, p.w);
    let down = fraction(row.x, p.scale_y, rows.x);
    let right = fraction(column.x, p.scale_x, columns.x);
    let upper = (picture + rows.x) * p.w;
    let lower = (picture + rows.y) * p.w;
    // A weight of zero does not hide what is not a number.
    let above = x[(upper + columns.x) * p.c + channel.x] * (1.0 - right) + x[(upper + columns.y) * p.c + channel.x] * right;
    let below = x[(lower + columns.x) * p.c + channel.x] * (1.0 - right) + x[(lower + columns.y) * p.c + channel.x] * right;
    y[i] = above * (1.0 - down) + below * down;
}
