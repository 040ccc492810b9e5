// y[r, :] = (x[r, :] - mean) / sqrt(variance + eps) * weight + bias     software family: a lane has a row; channels in fours
// grid = (rows / LANES); workgroup = one subgroup of LANES. All is reckoned from the row's first element, as in layer_norm.wgsl
#import divide

const LANES: u32 = 8u;

struct Params { c4: u32, rows: u32, eps: f32, in0_plane_w: u32, in0_plane_h: u32, out_plane_w: u32, out_plane_h: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var y: texture_storage_2d<rgba32float, write>;
@group(0) @binding(2) var x: texture_storage_2d<rgba32float, read>;
@group(0) @binding(3) var<storage, read> weight: array<vec4f>;
@group(0) @binding(4) var<storage, read> bias: array<vec4f>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lane: u32) {
    let row = wg.x * LANES + lane;
    let src = divided(min(row, p.rows - 1u), p.in0_plane_w); // lanes past the end repeat the last row: shuffles need them all
    let dst = divided(row, p.out_plane_w);
    let origin = vec4f(textureLoad(x, src).x);

    var s = vec4f(0.0);
    for (var plane = 0u; plane < p.c4; plane++) { s += textureLoad(x, src + vec2u(0u, plane * p.in0_plane_h)) - origin; }
    let mean = vec4f(((s.x + s.y) + (s.z + s.w)) / f32(4u * p.c4));

    s = vec4f(0.0);
    for (var plane = 0u; plane < p.c4; plane++) {
        let d = textureLoad(x, src + vec2u(0u, plane * p.in0_plane_h)) - origin - mean;
        s += d * d;
    }
    let scale = vec4f(1.0 / sqrt(((s.x + s.y) + (s.z + s.w)) / f32(4u * p.c4) + p.eps));

    for (var first = 0u; first < p.c4; first += LANES) {
        let w = weight[min(first + lane, p.c4 - 1u)]; // loaded jointly, spread by shuffles
        let b = bias[min(first + lane, p.c4 - 1u)];
        for (var i = 0u; i < LANES; i++) { // unroll
            let plane = first + i;
            let w_of = subgroupShuffle(w, i);
            let b_of = subgroupShuffle(b, i);
            if plane < p.c4 && row < p.rows {
                let v = textureLoad(x, src + vec2u(0u, plane * p.in0_plane_h)) - origin - mean;
                textureStore(y, dst + vec2u(0u, plane * p.out_plane_h), v * scale * w_of + b_of);
            }
        }
    }
}
