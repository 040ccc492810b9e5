// y[row] = both keys with eight more bits, and the ranks of what is looked for among elements that begin so     one workgroup per row; flat grid
#import grid

const WG: u32 = 256u;
const BINS: u32 = 513u;

struct Params { rows: u32, parts: u32, shift: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<vec2u>;
@group(0) @binding(2) var<storage, read> counts: array<u32>;
@group(0) @binding(3) var<storage, read> keys: array<vec4u>; // lower key, its rank, upper key, its rank

var<workgroup> bins: array<u32, BINS>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let row = flat_group(wg, grid);
    let alive = row < p.rows;
    if alive {
        for (var b = lane; b < BINS; b += WG) {
            var count = 0u;
            for (var part = 0u; part < p.parts; part++) { count += counts[(row * p.parts + part) * BINS + b]; }
            bins[b] = count;
        }
    }
    workgroupBarrier();
    // One lane for the lower key, one for the upper.
    if !alive || lane > 1u { return; }
    let both = keys[row];
    let own = select(both.xy, both.zw, lane == 1u);
    let start = select(0u, 256u, both.x != both.z && lane == 1u);
    var digit = 255u;
    var rank = own.y;
    var found = false;
    for (var b = 0u; b < 256u; b++) {
        let count = bins[start + b];
        if !found {
            if rank < count { found = true; digit = b; } else { rank -= count; }
        }
    }
    // The key of a NaN, which all later bits leave as it is.
    let key = select(own.x | (digit << p.shift), 0xffffffffu, bins[512] > 0u);
    y[2u * row + lane] = vec2u(key, rank);
}
