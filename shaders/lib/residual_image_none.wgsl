// No residual.

fn residual_at(texel: vec2u, quad: u32) -> vec4f {
    return vec4f(0.0);
}
