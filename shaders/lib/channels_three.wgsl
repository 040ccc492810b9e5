// Three channels of a texel, as pictures have: the fourth is zero.

fn channels(texel: vec4f) -> V {
    return texel.xyz;
}

fn four(v: V) -> vec4f {
    return vec4f(v, 0.0);
}
