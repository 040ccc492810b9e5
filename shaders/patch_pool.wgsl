// y[at, i] = mean of bin i of the K x K window around pixel `at`, its values in the order channel, row, column; zeros outside the picture
// bins as in adaptive average pooling: floor(i * values / bins) up to ceil((i + 1) * values / bins)     one invocation per element of y; flat grid
#import divide
#import grid

const WG: u32 = 64u;
const K: u32 = 3u;

struct Params { elements: u32, h: u32, w: u32, c: u32, bins: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let i = flat_group(wg, grid) * WG + lane;
    if i >= p.elements { return; }
    let pixel = divided(i, p.bins);
    let column = divided(pixel.y, p.w);
    let row = divided(column.y, p.h);
    let values = p.c * K * K;
    let start = divided(pixel.x * values, p.bins).y;
    let end = divided((pixel.x + 1u) * values + p.bins - 1u, p.bins).y;
    let pad = K / 2u;
    var sum = 0.0;
    for (var v = start; v < end; v++) {
        let channel = v / (K * K);
        let place = v % (K * K);
        let from_y = row.x + place / K;
        let from_x = column.x + place % K;
        if from_y >= pad && from_y < p.h + pad && from_x >= pad && from_x < p.w + pad {
            sum += x[((row.y * p.h + from_y - pad) * p.w + from_x - pad) * p.c + channel];
        }
    }
    y[i] = sum / f32(end - start);
}
