// What layer_norm_dw.wgsl computes     software family: a lane has a row; channels in fours
// grid = (rows / LANES); workgroup = one subgroup of LANES; x, dy and the output lie alike
#import divide
#import rows_image

const LANES: u32 = 8u;

struct Params { row4: u32, rows: u32, eps: f32, in0_plane_w: u32, in0_plane_h: u32, out_plane_h: u32 }
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(2) var x: texture_storage_2d<rgba32float, read>;
@group(0) @binding(3) var dy: texture_storage_2d<rgba32float, read>;

fn over_quad(v: vec4f) -> vec4f {
    return vec4f(((v.x + v.y) + (v.z + v.w)) / f32(4u * p.row4));
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) lane: u32) {
    let row = wg.x * LANES + lane;
    if row >= p.rows { return; }
    let src = divided(row, p.in0_plane_w);
    let origin = vec4f(textureLoad(x, src).x);

    var s = vec4f(0.0);
    for (var plane = 0u; plane < p.row4; plane++) { s += textureLoad(x, src + vec2u(0u, plane * p.in0_plane_h)) - origin; }
    let mean = over_quad(s);

    s = vec4f(0.0);
    for (var plane = 0u; plane < p.row4; plane++) {
        let d = textureLoad(x, src + vec2u(0u, plane * p.in0_plane_h)) - origin - mean;
        s += d * d;
    }
    let scale = 1.0 / sqrt(over_quad(s) + p.eps);

    for (var plane = 0u; plane < p.row4; plane++) {
        let h = (textureLoad(x, src + vec2u(0u, plane * p.in0_plane_h)) - origin - mean) * scale;
        put(row, src, plane, textureLoad(dy, src + vec2u(0u, plane * p.in0_plane_h)) * h);
    }
}
