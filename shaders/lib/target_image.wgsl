// The output of a convolution as an image: four channels of pixel number q, (x, y, picture).
#import activation
#import joined
#import residual_image

@group(0) @binding(1) var y: texture_storage_2d<rgba32float, write>;

fn put(at: vec3u, q: u32, plane: u32, sum: vec4f) {
    let used = vec4u(plane * 4u) + vec4u(0u, 1u, 2u, 3u) < vec4u(p.co);
    if !used.x { return; }
    let residual = at.xy + vec2u(at.z * p.in3_plane_w, plane * p.in3_plane_h) + p.in3_pad;
    let s = joined4(sum, residual_at(residual, q * (p.co / 4u) + plane));
    let to = at.xy + vec2u(at.z * p.out_plane_w, plane * p.out_plane_h) + p.out_pad;
    textureStore(y, to, select(vec4f(0.0), activated4(s), used));
}
