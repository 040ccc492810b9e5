// Four channels of a texel, all of which count.

fn channels(texel: vec4f) -> V {
    return texel;
}

fn four(v: V) -> vec4f {
    return v;
}
