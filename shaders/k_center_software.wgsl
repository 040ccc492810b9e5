// y[r] = min(anchor[r], |x[r, :] - centre|)     software family: lanes run along rows, TN of them a lane; grid = rows / (WG * TN)
#import divide
#import maximum

alias T = f32;
alias U = u32;
const WG: u32 = 64u;
const TN: u32 = 4u;

struct Params { rows: u32, k4: u32, in0_plane_w: u32, in0_plane_h: u32, in2_plane_w: u32, in2_plane_h: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var x: texture_storage_2d<rgba32float, read>;
@group(0) @binding(3) var<storage, read> anchor: array<f32>;
@group(0) @binding(4) var centre: texture_storage_2d<rgba32float, read>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) lane: u32) {
    let first = (wg.y * grid.x + wg.x) * WG * TN + lane;
    var src: array<vec2u, TN>;
    for (var j = 0u; j < TN; j++) { src[j] = divided(min(first + j * WG, p.rows - 1u), p.in0_plane_w); } // unroll
    var sum: array<vec4f, TN>;
    for (var k = 0u; k < p.k4; k++) {
        let c = textureLoad(centre, vec2u(0u, k * p.in2_plane_h));
        for (var j = 0u; j < TN; j++) { // unroll
            let d = textureLoad(x, src[j] + vec2u(0u, k * p.in0_plane_h)) - c;
            sum[j] += d * d;
        }
    }
    for (var j = 0u; j < TN; j++) { // unroll
        let row = first + j * WG;
        if row < p.rows {
            let squared = (sum[j].x + sum[j].y) + (sum[j].z + sum[j].w);
            y[row] = -maximum(-anchor[row], -keep_nan(squared, sqrt(squared)));
        }
    }
}
