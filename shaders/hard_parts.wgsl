// y[part] = (sum, number) of the elements of a part of a row that reach the row's threshold     LANES lanes per part, WG / LANES parts per
// workgroup; flat grid
#import grid
#import maximum
#import reaches
#import reduce

alias T = f32;
alias B = bool;
alias U = u32;
const WG: u32 = 64u;
const LANES: u32 = 64u;

// Of all parts, and of their elements: the last of a row of `length` may have fewer.
struct Params { rows: u32, cols: u32, length: u32, parts: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<vec2f>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> threshold: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let part = flat_group(wg, grid) * (WG / LANES) + lane / LANES;
    // Lanes beyond the last part go along, because barriers want all of them; they read it again and store nothing.
    let number = min(part, p.rows - 1u);
    let row = number / p.parts;
    let before = number % p.parts * p.cols;
    let at = row * p.length + before;
    let size = min(p.cols, p.length - before);
    let first = lane % LANES;
    let least = threshold[row];

    var sum = 0.0;
    var count = 0.0;
    for (var c = first; c < size; c += LANES) {
        let v = x[at + c];
        if reaches(v, least) { sum += v; count += 1.0; }
    }
    sum = row_sum(sum, lane);
    count = row_sum(count, lane);
    if part < p.rows && first == 0u { y[part] = vec2f(sum, count); }
}
