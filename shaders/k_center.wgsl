// y[r] = min(anchor[r], |x[r, :] - centre|)     LANES lanes per row, WG / LANES rows per workgroup; flat grid
#import grid
#import maximum
#import reduce

alias T = f32;
alias U = u32;
const WG: u32 = 64u;
const LANES: u32 = 8u;

struct Params { rows: u32, d: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> anchor: array<f32>;
@group(0) @binding(4) var<storage, read> centre: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let row = flat_group(wg, grid) * (WG / LANES) + lane / LANES;
    // Lanes beyond the last row go along, because barriers want all of them; they read it again and store nothing.
    let at = min(row, p.rows - 1u);
    var sum = 0.0;
    for (var k = lane % LANES; k < p.d; k += LANES) {
        let d = x[at * p.d + k] - centre[k];
        sum += d * d;
    }
    let distance = sqrt(row_sum(sum, lane));
    let old = anchor[at];
    if row < p.rows && lane % LANES == 0u { y[row] = -maximum(-old, -keep_nan(sum, distance)); }
}
