// y = table[channel][byte]: packed pixels as numbers     EACH numbers per invocation, a workgroup's stores side by side; flat grid
#import divide
#import grid
#import pixel

const WG: u32 = 64u;
const EACH: u32 = 4u;

struct Params { len: u32, row: u32, words: u32, order: u32 } // numbers; numbers of a row; words of a row; a byte per channel
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let first = flat_group(wg, grid) * WG * EACH + lane;
    for (var j = 0u; j < EACH; j++) { // unroll
        let i = first + j * WG;
        if i < p.len {
            let place = divided(i, p.row);
            y[i] = number(place.y, place.x / 3u, place.x % 3u);
        }
    }
}
