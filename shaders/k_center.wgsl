// |x[r, :] - c[j, :]| for rows and centres; `nearest` and `apart` say what becomes of it     LANES lanes a row, WG / LANES rows a
// workgroup, TC centres at a time; grid = (rows / (WG / LANES), in two axes; centres / span)
#import grid
#import maximum
#import nearest
#import reduce

alias T = f32;
alias U = u32;
const WG: u32 = 64u;
const LANES: u32 = 8u;
const TC: u32 = 8u;

struct Params { d: u32, rows: u32, centres: u32, span: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> centres: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let row = flat_group(wg, grid) * (WG / LANES) + lane / LANES;
    // Lanes beyond the last row go along, because barriers want all of them; they read it again and store nothing.
    let at = min(row, p.rows - 1u);
    let own = select(p.rows, row, lane % LANES == 0u);
    var best = before(at);
    let start = wg.z * p.span;
    let end = min(start + p.span, p.centres);
    for (var tile = start; tile < end; tile += TC) {
        if left_out(tile) { break; }
        var first: array<u32, TC>; // past the end the last centre comes again
        for (var j = 0u; j < TC; j++) { first[j] = min(tile + j, end - 1u) * p.d; } // unroll
        var sum: array<f32, TC>;
        for (var k = lane % LANES; k < p.d; k += LANES) {
            let v = x[at * p.d + k];
            for (var j = 0u; j < TC; j++) { let d = v - centres[first[j] + k]; sum[j] = fma(d, d, sum[j]); } // unroll
        }
        for (var j = 0u; j < TC; j++) { // unroll
            let squared = row_sum(sum[j], lane);
            best = nearer(best, met(squared, squared, own, tile + j));
        }
    }
    done(own, best);
}
