// y[b] = (largest value of block b of x, its index); NaN is larger than all, ties go to the lowest index     LANES lanes per block; flat grid
#import better
#import grid

const WG: u32 = 64u;
const LANES: u32 = 64u;
const PAIRS: bool = false; // x holds (value, index) pairs, whose indices go on

struct Params { n: u32, block: u32, blocks: u32, modulus: u32, offset: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<vec2f>;
@group(0) @binding(2) var<storage, read> x: array<f32>;

var<workgroup> values: array<f32, WG>;
var<workgroup> indices: array<f32, WG>;

fn load(i: u32) -> vec2f {
    if PAIRS { return vec2f(x[2u * i], x[2u * i + 1u]); }
    return vec2f(x[i], f32(i % p.modulus + p.offset));
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let block = flat_group(wg, grid) * (WG / LANES) + lane / LANES;
    // Lanes beyond the last block go along, because barriers want all of them; they look at it again and store nothing.
    let first = min(block, p.blocks - 1u) * p.block;
    let last = min(first + p.block, p.n);
    var best = load(first);
    for (var i = first + lane % LANES; i < last; i += LANES) {
        let v = load(i);
        if better(v, best) { best = v; }
    }
    values[lane] = best.x;
    indices[lane] = best.y;
    for (var half = LANES / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if lane % LANES < half {
            let other = vec2f(values[lane + half], indices[lane + half]);
            let own = vec2f(values[lane], indices[lane]);
            if better(other, own) { values[lane] = other.x; indices[lane] = other.y; }
        }
    }
    workgroupBarrier();
    if block < p.blocks && lane % LANES == 0u { y[block] = vec2f(values[lane], indices[lane]); }
}
