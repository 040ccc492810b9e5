// y = x * scale where a hash of the element's number and the seed is at least the threshold, x * 0 elsewhere     EACH T an invocation, which
// share the mixing of the seed; flat grid
#import grid
#import numbers

alias T = f32; // or vec4f, then U = vec4u and len counts fours
alias U = u32;
const WG: u32 = 256u;
const EACH: u32 = 4u;

// stream is mixed already.
struct Params { len: u32, stream: u32, threshold: u32, scale: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<T>;
@group(0) @binding(2) var<storage, read> x: array<T>;
@group(0) @binding(3) var<storage, read> seed: array<u32>;

// Every bit of v changes every bit of the result as often as not; no two v give the same.
fn mixed(v: U) -> U {
    var h = v;
    h = (h ^ (h >> U(16u))) * 0x9e3779b9u;
    h = (h ^ (h >> U(15u))) * 0x85a308d3u;
    h = (h ^ (h >> U(13u))) * 0xa4093823u;
    return h ^ (h >> U(16u));
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let key = mixed(U(seed[0] + p.stream));
    let other = mixed(U(seed[1]) ^ key);
    let first = flat_group(wg, grid) * WG * EACH + lane;
    for (var k = 0u; k < EACH; k++) {
        let i = first + k * WG;
        if i < p.len {
            let drawn = mixed(mixed(numbers(i) ^ key) + other);
            y[i] = x[i] * select(T(0.0), T(p.scale), drawn >= U(p.threshold));
        }
    }
}
