// A residual of the output's shape at binding 5, in an image.

@group(0) @binding(5) var z: texture_storage_2d<rgba32float, read>;

fn residual_at(texel: vec2u, quad: u32) -> vec4f {
    return textureLoad(z, texel);
}
