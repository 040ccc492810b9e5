// y[r] = log(sum of exp(x[r, :])) - x[r, label[r]], or p.nan where no label is one     LANES lanes per row, WG / LANES rows per workgroup;
// flat grid
#import grid
#import maximum
#import reduce
#import label

alias T = f32;
alias U = u32;
const WG: u32 = 64u;
const LANES: u32 = 64u;

struct Params { rows: u32, cols: u32, nan: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> labels: array<f32>;

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

    if row < p.rows && first == 0u {
        let label = labels[row];
        let loss = (m - x[at + number(label)]) + keep_nan(s, log(s));
        y[row] = select(p.nan, loss, is_label(label));
    }
}
