// What layer_norm_dx.wgsl computes     software family: a lane has a row; channels in fours
// grid = (rows / LANES); workgroup = one subgroup of LANES; x, dy and the output lie alike
#import divide
#import rows_image

const LANES: u32 = 8u;

struct Params { row4: u32, rows: u32, eps: f32, in0_plane_w: u32, in0_plane_h: u32, out_plane_h: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(2) var x: texture_storage_2d<rgba32float, read>;
@group(0) @binding(3) var<storage, read> weight: array<vec4f>;
@group(0) @binding(4) var dy: texture_storage_2d<rgba32float, read>;

fn over_quad(v: vec4f) -> vec4f {
    return vec4f(((v.x + v.y) + (v.z + v.w)) / f32(4u * p.row4));
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lane: u32) {
    let row = wg.x * LANES + lane;
    let src = divided(min(row, p.rows - 1u), p.in0_plane_w); // lanes past the end repeat the last row: shuffles need them all
    let origin = vec4f(textureLoad(x, src).x);

    var s = vec4f(0.0);
    for (var plane = 0u; plane < p.row4; plane++) { s += textureLoad(x, src + vec2u(0u, plane * p.in0_plane_h)) - origin; }
    let mean = over_quad(s);

    s = vec4f(0.0);
    var plain = vec4f(0.0);
    var along = vec4f(0.0);
    for (var first = 0u; first < p.row4; first += LANES) {
        let w = weight[min(first + lane, p.row4 - 1u)]; // loaded jointly, spread by shuffles
        for (var i = 0u; i < LANES; i++) { // unroll
            let plane = first + i;
            let w_of = subgroupShuffle(w, i);
            if plane < p.row4 {
                let d = textureLoad(x, src + vec2u(0u, plane * p.in0_plane_h)) - origin - mean;
                let g = textureLoad(dy, src + vec2u(0u, plane * p.in0_plane_h)) * w_of;
                s += d * d;
                plain += g;
                along += g * d;
            }
        }
    }
    let scale = 1.0 / sqrt(over_quad(s) + p.eps);
    plain = over_quad(plain);
    along = over_quad(along) * scale;

    for (var first = 0u; first < p.row4; first += LANES) {
        let w = weight[min(first + lane, p.row4 - 1u)];
        for (var i = 0u; i < LANES; i++) { // unroll
            let plane = first + i;
            let w_of = subgroupShuffle(w, i);
            if plane < p.row4 && row < p.rows {
                let h = (textureLoad(x, src + vec2u(0u, plane * p.in0_plane_h)) - origin - mean) * scale;
                let g = textureLoad(dy, src + vec2u(0u, plane * p.in0_plane_h)) * w_of;
                put(row, src, plane, (g - plain - h * along) * scale);
            }
        }
    }
}
