// y[r] = sum, mean, largest, smallest or Euclidean norm of x[r, :], or of a part of a row: of parts that are put together afterwards
// LANES lanes per part, WG / LANES parts per workgroup; flat grid
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
const PARTS: bool = false; // y is of parts, not yet of rows
const TOTAL: bool = false; // x is what parts came to

// Of all parts, and of their elements: the last of a row of `length` may have fewer. The mean is that of `count`.
struct Params { rows: u32, cols: u32, length: u32, parts: u32, count: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;

// The smallest value is the largest of the negated ones.
fn load(at: u32) -> f32 {
    let v = x[at];
    if KIND == MIN { return -v; }
    if KIND == NORM && !TOTAL { return v * v; }
    return v;
}

fn result(v: f32) -> f32 {
    if KIND == MEAN && !PARTS { return v / f32(p.count); }
    if KIND == NORM && !PARTS { return keep_nan(v, sqrt(v)); }
    if KIND == MIN { return -v; }
    return v;
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let row = flat_group(wg, grid) * (WG / LANES) + lane / LANES;
    // Lanes beyond the last part go along, because barriers want all of them; they read it again and store nothing.
    let number = min(row, p.rows - 1u);
    let before = number % p.parts * p.cols;
    let at = number / p.parts * p.length + before;
    let size = min(p.cols, p.length - before);
    let first = lane % LANES;

    var v = 0.0;
    if KIND == MAX || KIND == MIN {
        v = load(at);
        for (var c = first; c < size; c += LANES) { v = maximum(v, load(at + c)); }
        v = row_max(v, lane);
    } else {
        for (var c = first; c < size; c += LANES) { v += load(at + c); }
        v = row_sum(v, lane);
    }
    if row < p.rows && first == 0u { y[row] = result(v); }
}
