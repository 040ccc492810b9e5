// dx[r, i] = share[r] where x[r, i] reaches the threshold of row r, else 0     one invocation per T of x; flat grid
#import divide
#import grid
#import reaches

alias T = f32; // or vec4f, then U = vec4u, B = vec4<bool> and sizes count fours
alias B = bool;
alias U = u32;
const WG: u32 = 256u;

struct Params { len: u32, cols: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> dx: array<T>;
@group(0) @binding(2) var<storage, read> x: array<T>;
@group(0) @binding(3) var<storage, read> threshold: array<f32>;
@group(0) @binding(4) var<storage, read> share: array<f32>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let i = flat_group(wg, grid) * WG + lane;
    if i >= p.len { return; }
    let row = divided(i, p.cols).y;
    dx[i] = select(T(0.0), T(share[row]), reaches(x[i], threshold[row]));
}
