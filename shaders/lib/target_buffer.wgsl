// The output of a convolution as a buffer, channels in fours: four channels of pixel number q. The residual is a buffer as well.
#import activation
#import residual_image

@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;

fn put(at: vec3u, q: u32, plane: u32, sum: vec4f) {
    if plane * 4u >= p.co { return; }
    let to = q * (p.co / 4u) + plane;
    y[to] = activated4(sum + residual_at(vec2u(0u), to));
}
