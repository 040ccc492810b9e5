// y = sum of taps[t] * x[at - radius + t] along one axis, x mirrored at its ends     one invocation per element; flat grid
#import divide
#import grid

const WG: u32 = 64u;
const REPEAT_EDGE: bool = true; // dcba|abcd|dcba, else dcb|abcd|cba

struct Params { elements: u32, size: u32, step: u32, taps: u32, shift: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> taps: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let i = flat_group(wg, grid) * WG + lane;
    if i >= p.elements { return; }
    let inner = divided(i, p.step);
    let place = divided(inner.y, p.size);
    let first = place.y * p.size * p.step + inner.x;
    // The mirrored line repeats itself after `period`; p.shift is a multiple of it that keeps indices above zero.
    var period = 2u * p.size;
    if !REPEAT_EDGE { period = max(period - 2u, 1u); }
    let start = divided(place.x + p.shift, period).x;
    var sum = 0.0;
    var at = start;
    for (var t = 0u; t < p.taps; t++) {
        let back = select(period - at, period - 1u - at, REPEAT_EDGE);
        sum += taps[t] * x[first + select(at, back, at >= p.size) * p.step];
        at = select(at + 1u, 0u, at + 1u == period);
    }
    y[i] = sum;
}
