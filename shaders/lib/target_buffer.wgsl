// The output of a convolution as a buffer, channels in fours: four channels of pixel number q.
#import activation
#import joined
#import residual_image

@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;

fn put(at: vec3u, q: u32, plane: u32, sum: vec4f) {
    if plane * 4u >= p.co { return; }
    let to = q * (p.co / 4u) + plane;
    let residual = at.xy + vec2u(at.z * p.in3_plane_w, plane * p.in3_plane_h) + p.in3_pad;
    y[to] = activated4(joined4(sum, residual_at(residual, to)));
}
