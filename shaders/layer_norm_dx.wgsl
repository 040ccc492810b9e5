// dx of y = (x - mean) / deviation * weight + bias     LANES lanes per row, WG / LANES rows per workgroup; flat grid
// y = (g - mean(g) - h * mean(g h)) / deviation, where g = dy * weight and h = (x - mean) / deviation; all from the row's first element on,
// as in layer_norm.wgsl
#import grid
#import maximum
#import reduce

alias T = f32;
alias U = u32;
const WG: u32 = 64u;
const LANES: u32 = 64u;

struct Params { rows: u32, cols: u32, eps: f32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> weight: array<f32>;
@group(0) @binding(4) var<storage, read> dy: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let row = flat_group(wg, grid) * (WG / LANES) + lane / LANES;
    // Lanes beyond the last row go along, because barriers want all of them; they read it again and store nothing.
    let at = min(row, p.rows - 1u) * p.cols;
    let first = lane % LANES;
    let origin = x[at];

    var s = 0.0;
    for (var c = first; c < p.cols; c += LANES) { s += x[at + c] - origin; }
    let mean = row_sum(s, lane) / f32(p.cols);

    var squares = 0.0;
    var plain = 0.0;
    var along = 0.0;
    for (var c = first; c < p.cols; c += LANES) {
        let d = x[at + c] - origin - mean;
        let g = dy[at + c] * weight[c];
        squares += d * d;
        plain += g;
        along += g * d;
    }
    let deviation = sqrt(row_sum(squares, lane) / f32(p.cols) + p.eps);
    plain = row_sum(plain, lane) / f32(p.cols);
    along = row_sum(along, lane) / f32(p.cols) / deviation;

    if row < p.rows {
        for (var c = first; c < p.cols; c += LANES) {
            let h = (x[at + c] - origin - mean) / deviation;
            y[at + c] = (dy[at + c] * weight[c] - plain - h * along) / deviation;
        }
    }
}
