// y[r] = sum of the sums / sum of the numbers that the parts of row r come to, or that number alone     LANES lanes per row, WG / LANES rows per
// workgroup; flat grid
#import grid
#import maximum
#import reduce

alias T = f32;
alias U = u32;
const WG: u32 = 64u;
const LANES: u32 = 64u;
const COUNT: bool = false;

struct Params { rows: u32, cols: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<vec2f>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let row = flat_group(wg, grid) * (WG / LANES) + lane / LANES;
    // Lanes beyond the last row go along, because barriers want all of them; they read it again and store nothing.
    let at = min(row, p.rows - 1u) * p.cols;
    let first = lane % LANES;

    var v = vec2f(0.0);
    for (var c = first; c < p.cols; c += LANES) { v += x[at + c]; }
    let count = row_sum(v.y, lane);
    let sum = row_sum(v.x, lane);
    if row < p.rows && first == 0u {
        if COUNT { y[row] = count; } else { y[row] = sum / count; }
    }
}
