// dx of n = x / max(Euclidean norm of x, least), row by row: y = (dy - n (n dy')) / norm, or dy / least where least was divided by
// LANES lanes per row, WG / LANES rows per workgroup; flat grid
#import grid
#import maximum
#import reduce

alias T = f32;
alias U = u32;
const WG: u32 = 64u;
const LANES: u32 = 64u;

struct Params { rows: u32, cols: u32, least: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> dy: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let row = flat_group(wg, grid) * (WG / LANES) + lane / LANES;
    // Lanes beyond the last row go along, because barriers want all of them; they read it again and store nothing.
    let at = min(row, p.rows - 1u) * p.cols;
    let first = lane % LANES;

    var s = 0.0;
    for (var c = first; c < p.cols; c += LANES) { s += x[at + c] * x[at + c]; }
    s = row_sum(s, lane);
    let length = keep_nan(s, sqrt(s));
    let norm = maximum(length, p.least);
    var along = 0.0;
    for (var c = first; c < p.cols; c += LANES) { along += x[at + c] / norm * dy[at + c]; }
    along = row_sum(along, lane);
    if length < p.least { along = 0.0; }
    if row < p.rows {
        for (var c = first; c < p.cols; c += LANES) { y[at + c] = (dy[at + c] - x[at + c] / norm * along) / norm; }
    }
}
