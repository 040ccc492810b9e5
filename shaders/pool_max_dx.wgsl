// dx = sum of dy over the k x k windows of which an element is the first largest     one invocation per T of dx (one channel or four); flat grid
#import divide
#import grid
#import windows

alias T = f32; // or vec4f, then U = vec4u, B = vec4<bool> and c counts fours
alias U = u32;
alias B = bool;
const WG: u32 = 64u;

struct Params { len: u32, h: u32, w: u32, c: u32, out_h: u32, out_w: u32, k: u32, stride: u32, top: u32, left: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> dx: array<T>;
@group(0) @binding(2) var<storage, read> x: array<T>;
@group(0) @binding(3) var<storage, read> dy: array<T>;

fn nan(v: T) -> B {
    return (bitcast<U>(v) & U(0x7fffffffu)) > U(0x7f800000u);
}

// Larger; NaN is larger than all.
fn beats(a: T, b: T) -> B {
    return (a > b) | (nan(a) & !nan(b));
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let i = flat_group(wg, grid) * WG + lane;
    if i >= p.len { return; }
    let channel = divided(i, p.c);
    let column = divided(channel.y, p.w);
    let row = divided(column.y, p.h);
    let down = windows(row.x + p.top, p.out_h);
    let along = windows(column.x + p.left, p.out_w);
    let own = x[i];

    var total = T(0.0);
    for (var r = down.x; r < down.y; r++) {
        // The window clipped to the picture.
        let top = max(r * p.stride, p.top) - p.top;
        let bottom = min(r * p.stride + p.k, p.h + p.top) - p.top;
        for (var s = along.x; s < along.y; s++) {
            let left = max(s * p.stride, p.left) - p.left;
            let right = min(s * p.stride + p.k, p.w + p.left) - p.left;
            var first = B(true);
            for (var y = top; y < bottom; y++) {
                for (var z = left; z < right; z++) {
                    let v = x[((row.y * p.h + y) * p.w + z) * p.c + channel.x];
                    let before = y < row.x || (y == row.x && z < column.x);
                    // What stands before it must be smaller, what stands after it not larger.
                    if before { first &= beats(own, v); } else { first &= !beats(v, own); }
                }
            }
            let v = dy[((row.y * p.out_h + r) * p.out_w + s) * p.c + channel.x];
            total += select(T(0.0), v, first);
        }
    }
    dx[i] = total;
}
