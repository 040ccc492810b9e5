// y[r, :] = softmax(x[r, :])     LANES lanes per row, WG / LANES rows per workgroup; flat grid
#import grid
#import maximum
#import reduce

alias T = f32;
alias U = u32;
const WG: u32 = 64u;
const LANES: u32 = 64u;

struct Params { rows: u32, cols: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;

// A row of nothing but -inf, and one with +inf, give NaN: inf - inf.
fn power(v: f32, highest: f32) -> f32 {
    let d = v - highest;
    return keep_nan(d, exp(d));
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let row = flat_group(wg, grid) * (WG / LANES) + lane / LANES;
    // Lanes beyond the last row go along, because barriers want all of them; they read it again and store nothing.
    let at = min(row, p.rows - 1u) * p.cols;
    let first = lane % LANES;

    var m = x[at];
    for (var c = first; c < p.cols; c += LANES) { m = maximum(m, x[at + c]); }
    m = row_max(m, lane);

    var s = 0.0;
    for (var c = first; c < p.cols; c += LANES) { s += power(x[at + c], m); }
    s = row_sum(s, lane);

    if row < p.rows {
        for (var c = first; c < p.cols; c += LANES) { y[at + c] = power(x[at + c], m) / s; }
    }
}
