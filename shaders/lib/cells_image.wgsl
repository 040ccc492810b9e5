// Pictures in an image: four channels of pixel number r.
#import divide

@group(0) @binding(2) var x: texture_storage_2d<rgba32float, read>;

fn value_at(r: u32, column: u32) -> vec4f {
    let pixel = divided(r, p.h * p.w);
    let at = divided(pixel.x, p.w) + vec2u(pixel.y * p.in0_plane_w, column * p.in0_plane_h);
    return textureLoad(x, at + p.in0_pad);
}
