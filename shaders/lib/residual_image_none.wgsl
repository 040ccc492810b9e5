// No residual.

fn residual_at(texel: vec2u) -> vec4f {
    return vec4f(0.0);
}
