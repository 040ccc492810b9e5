// dx = sum of dy over the places of a longer or shorter line that read an element of it, each times its weight, along one axis
// one invocation per T of dx (one element or four of those further in); flat grid; every line has `inner` elements at each of its places
#import divide
#import grid

alias T = f32; // or vec4f, then len and inner count fours
const WG: u32 = 64u;
const NEAREST: bool = false;

struct Params { len: u32, inner: u32, size: u32, to: u32, scale: f32, inverse: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> dx: array<T>;
@group(0) @binding(2) var<storage, read> dy: array<T>;

// The places that may read element `at`: the first, and the one after the last. Where they are a little more, the others weigh nothing.
fn readers(at: u32) -> vec2u {
    if NEAREST {
        let both = vec2u(at * p.to, (at + 1u) * p.to) + p.size - 1u;
        return vec2u(divided(both.x, p.size).y, divided(both.y, p.size).y);
    }
    let first = u32(max((f32(at) - 0.5) * p.inverse - 1.5, 0.0));
    let after = u32((f32(at) + 1.5) * p.inverse) + 2u;
    return vec2u(first, min(after, p.to));
}

// How much of element `at` the place has, as in resize.wgsl; below zero where it does not look at it.
fn weight(place: u32, at: u32) -> f32 {
    let source = max((f32(place) + 0.5) * p.scale - 0.5, 0.0);
    let first = min(u32(source), p.size - 1u);
    let second = source - f32(first);
    if first == at && first + 1u == p.size { return 1.0; }
    if first == at { return 1.0 - second; }
    return select(-1.0, second, first + 1u == at);
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let i = flat_group(wg, grid) * WG + lane;
    if i >= p.len { return; }
    let inner = divided(i, p.inner);
    let line = divided(inner.y, p.size);
    let places = readers(line.x);

    var total = T(0.0);
    for (var o = places.x; o < places.y; o++) {
        let v = dy[(line.y * p.to + o) * p.inner + inner.x];
        if NEAREST {
            total += v;
        } else {
            let share = weight(o, line.x);
            if share >= 0.0 { total += share * v; }
        }
    }
    dx[i] = total;
}
