// y[r] = sum, mean, largest, smallest or Euclidean norm of x[r, :]     LANES lanes per row, WG / LANES rows per workgroup; flat grid
#import grid
#import maximum
#import reduce

alias T = f32;
alias U = u32;
const WG: u32 = 64u;
const LANES: u32 = 64u;

const SUM: u32 = 0u;
const MEAN: u32 = 1u;
const NORM: u32 = 2u;
const MAX: u32 = 3u;
const MIN: u32 = 4u;
const KIND: u32 = SUM;

struct Params { rows: u32, cols: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;

// The smallest value is the largest of the negated ones.
fn load(at: u32) -> f32 {
    let v = x[at];
    if KIND == MIN { return -v; }
    if KIND == NORM { return v * v; }
    return v;
}

fn result(v: f32) -> f32 {
    if KIND == MEAN { return v / f32(p.cols); }
    if KIND == NORM { return keep_nan(v, sqrt(v)); }
    if KIND == MIN { return -v; }
    return v;
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let row = flat_group(wg, grid) * (WG / LANES) + lane / LANES;
    // Lanes beyond the last row go along, because barriers want all of them; they read it again and store nothing.
    let at = min(row, p.rows - 1u) * p.cols;
    let first = lane % LANES;

    var v = 0.0;
    if KIND == MAX || KIND == MIN {
        v = load(at);
        for (var c = first; c < p.cols; c += LANES) { v = maximum(v, load(at + c)); }
        v = row_max(v, lane);
    } else {
        for (var c = first; c < p.cols; c += LANES) { v += load(at + c); }
        v = row_sum(v, lane);
    }
    if row < p.rows && first == 0u { y[row] = result(v); }
}
