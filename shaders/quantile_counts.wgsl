// y[part, b] = how many elements of a part of a row begin as the lower of two keys does and go on with the eight bits b; y[part, 256 + b] the same
// of the upper key where it is another; y[part, 512] = how many are NaN     one workgroup per part; flat grid
#import grid

const WG: u32 = 256u;
const BINS: u32 = 513u;

// mask covers the bits that keys begin with, shift those that are counted.
struct Params { rows: u32, parts: u32, part: u32, length: u32, mask: u32, shift: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<u32>;
@group(0) @binding(2) var<storage, read> x: array<u32>;
@group(0) @binding(3) var<storage, read> keys: array<vec4u>; // lower key, its rank, upper key, its rank

var<workgroup> bins: array<atomic<u32>, BINS>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let group = flat_group(wg, grid);
    // Workgroups beyond the last part go along and store nothing.
    let number = group % p.parts;
    let row = group / p.parts;
    for (var b = lane; b < BINS; b += WG) { atomicStore(&bins[b], 0u); }
    workgroupBarrier();

    if row < p.rows {
        let key = keys[row];
        let first = number * p.part;
        let last = min(first + p.part, p.length);
        for (var i = first + lane; i < last; i += WG) {
            let bits = x[row * p.length + i];
            if (bits & 0x7fffffffu) > 0x7f800000u {
                atomicAdd(&bins[512], 1u);
                continue;
            }
            // Larger numbers have larger keys.
            let k = bits ^ select(0x80000000u, 0xffffffffu, bits >= 0x80000000u);
            let digit = (k >> p.shift) & 255u;
            if ((k ^ key.x) & p.mask) == 0u { atomicAdd(&bins[digit], 1u); }
            if key.z != key.x && ((k ^ key.z) & p.mask) == 0u { atomicAdd(&bins[256u + digit], 1u); }
        }
    }
    workgroupBarrier();
    if row < p.rows {
        for (var b = lane; b < BINS; b += WG) { y[group * BINS + b] = atomicLoad(&bins[b]); }
    }
}
